from pathlib import Path

import cv2
import numpy as np
import pytest

from automl.engines.loader import TrainingSamples
from automl.engines.mosaic import mosaic
from automl.errors import RecipeError
from automl.model.preprocess import PAD_VALUE
from automl.plan import Augment
from automl.planning.augmentation import POLICIES
from automl.recipe.schema import read_recipe
from tests.engines.toy import SIDE, draw_set, toy_plan

SIZE = (120, 160)
COLOURS = ((250, 0, 0), (0, 250, 0), (0, 0, 250), (250, 250, 0))


def tiles() -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """One square of a colour of its own in each; shapes differ."""
    found = []
    for number, (height, width) in enumerate(((90, 160), (120, 80), (100, 100), (64, 150))):
        image = np.full((height, width, 3), 20, np.uint8)
        image[24:60, 30:70] = COLOURS[number]
        found.append((image, np.array([[30, 24, 70, 60]], np.float32), np.array([number])))
    return found


@pytest.mark.parametrize("seed", range(20))
def test_mosaic__boxes_lie_around_what_is_left_of_their_objects(seed: int) -> None:
    image, known = mosaic(tiles(), SIZE, np.random.default_rng(seed))
    assert image.shape == (*SIZE, 3)
    assert len(known["bboxes"]) == len(known["labels"])
    for box, label in zip(known["bboxes"], known["labels"], strict=True):
        alike = np.abs(image.astype(int) - COLOURS[label]).max(axis=2) < 110
        rows, columns = np.nonzero(alike)
        seen = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        assert np.abs(box - seen).max() <= 1.5
    for label in set(range(4)) - set(known["labels"].tolist()):
        shown = (np.abs(image.astype(int) - COLOURS[label]).max(axis=2) < 60).sum()
        assert shown < 0.3 * 36 * 40 * 1.2**2


def test_mosaic__shows_all_four_and_grey_where_there_is_none() -> None:
    plain = [
        (np.full((40, 50, 3), value, np.uint8), np.zeros((0, 4)), np.zeros(0, int))
        for value in (1, 2, 3, 4)
    ]
    image, known = mosaic(plain, SIZE, np.random.default_rng(3))
    assert set(np.unique(image)) == {1, 2, 3, 4, PAD_VALUE}
    assert known["bboxes"].shape == (0, 4)


@pytest.mark.parametrize("policy", ["none", "medium", "custom"])
def test_item__mosaics_are_drawn_by_the_key_and_stay_in_the_frame(
    policy: str, tmp_path: Path
) -> None:
    listed = POLICIES["detection"]["medium" if policy == "custom" else policy]
    augment = Augment(policy=policy, transforms=listed)
    dataset = draw_set("detection", tmp_path, train=8, val=2)
    plan = toy_plan("detection", dataset, mosaic=1.0).model_copy(update={"augment": augment})
    samples, again = TrainingSamples(plan, dataset), TrainingSamples(plan, dataset)
    counts = []
    for index in range(8):
        image, known = samples.item(0, index)
        boxes = np.asarray(known["bboxes"]).reshape(-1, 4)
        assert image.shape == (SIDE, SIDE, 3)
        assert ((boxes >= 0) & (boxes <= SIDE)).all()
        assert len(boxes) == len(known["labels"])
        assert (again.item(0, index)[0] == image).all()
        counts.append(len(boxes))
    assert max(counts) > 1


def test_item__a_share_of_the_images_are_mosaics(tmp_path: Path) -> None:
    dataset = draw_set("detection", tmp_path, train=8, val=2)
    nothing = Augment(policy="none")
    plan = toy_plan("detection", dataset, mosaic=0.5).model_copy(update={"augment": nothing})
    samples = TrainingSamples(plan, dataset)
    plain = [cv2.imread(str(tmp_path / s.path))[..., ::-1] for s in samples.samples]
    made = sum((samples.item(e, i)[0] != plain[i]).any() for e in range(10) for i in range(8))
    assert 20 < made < 60


def test_recipe__a_mosaic_belongs_to_detection(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("task: classification\ndata: d\ntrain: {mosaic: 0.5}\n")
    with pytest.raises(RecipeError) as caught:
        read_recipe(tmp_path / "r.yaml")
    (fault,) = caught.value.faults
    assert fault.message == "`train.mosaic` does not fit the task classification"
