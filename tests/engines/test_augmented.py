"""The sheet of augmented images: what training sees first, and nothing else."""

import json
import tempfile
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from automl import pipeline
from automl.data.ground_truth import truth
from automl.data.images import read_image
from automl.dataset import Dataset
from automl.engines import native, yolo
from automl.engines.randomness import epoch_order
from automl.engines.yolo_layout import write_layout
from automl.engines.yolo_settings import arguments, load_ultralytics
from automl.errors import RecipeError
from automl.plan import Augment, Plan
from automl.recipe.schema import load_recipe
from automl.run_dir import RunDir
from automl.talk import Silent
from automl.tasks.draw import THUMBNAIL, draw
from tests.engines.toy import draw_set, toy_plan, yolo_plan


def plainly_drawn(dataset: Dataset, path: str) -> np.ndarray:
    """The sample as it lies on disk, drawn as a sheet draws it."""
    (sample,) = [s for s in dataset.samples if s.path == path]
    shown, image = truth(dataset, sample), read_image(Path(dataset.root) / path)
    return draw(image, dataset.names, shown, longest=THUMBNAIL, every_name=True)


@pytest.mark.parametrize("task", ["classification", "segmentation", "detection"])
def test_native__draws_the_first_of_epoch_0(task, tmp_path):
    dataset = draw_set(task, tmp_path)
    plan = toy_plan(task, dataset)
    none = plan.model_copy(update={"augment": Augment(policy="none", transforms=())})
    images, captions = native.augmented(none, dataset, 5)
    order = epoch_order(plan.train.seed, 0, len(dataset.split("train")))
    assert captions == [dataset.split("train")[i].path for i in order[:5]]
    for image, path in zip(images, captions, strict=True):
        assert np.array_equal(image, plainly_drawn(dataset, path))
    varied, again = (native.augmented(plan, dataset, 5)[0] for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(varied, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(varied, images, strict=True))


@pytest.mark.parametrize("engine", [native, yolo])
def test_both__no_more_than_there_are(engine, tmp_path):
    dataset = draw_set("detection", tmp_path, train=3, val=1)
    plan = yolo_plan(policy="heavy")
    for asked, given in ((0, 0), (2, 2), (9, 3)):
        images, captions = engine.augmented(plan, dataset, asked)
        assert len(images) == len(set(captions)) == given


def test_yolo__draws_samples_as_they_are_where_nothing_is_varied(tmp_path, monkeypatch, capfd):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    dataset = draw_set("detection", tmp_path / "set")
    load_ultralytics(None)
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    images, captions = yolo.augmented(yolo_plan(policy="none"), dataset, 6)
    assert set(captions) < {s.path for s in dataset.split("train")}
    for image, path in zip(images, captions, strict=True):
        assert np.array_equal(image, plainly_drawn(dataset, path))
    assert list(scratch.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_yolo__mosaics_are_the_trainers_own(tmp_path):
    dataset = draw_set("detection", tmp_path / "set", train=12)
    plan = yolo_plan(policy="heavy", seed=5)
    load_ultralytics(None)
    from ultralytics.cfg import get_cfg

    from automl.engines.yolo_data import description, first_epoch

    seen = first_batch_of_training(plan, dataset, tmp_path / "run")
    layout = write_layout(tmp_path / "layout", Path(dataset.root), dataset.split("train"))
    settings = get_cfg(overrides=arguments(plan, dataset.split("train"), tmp_path, backbone=0))
    items = list(first_epoch(settings, description(layout, dataset.names), plan.train.seed))
    assert len(items) == 12
    assert len(seen) == 4
    for image, (shown, found) in zip(seen, items, strict=False):
        assert np.array_equal(image, shown)
        assert len(found.boxes) == len(found.labels)
        assert (found.boxes >= 0).all()
        assert (found.boxes <= 64).all()
    assert max(len(found.labels) for _, found in items) > 1  # a sample alone has one box


def first_batch_of_training(plan: Plan, dataset: Dataset, folder: Path) -> list[np.ndarray]:
    """Pixels that the trainer hands to its net first."""
    from automl.engines.yolo_trainer import Job, Trainer

    class Seen(Exception):
        """Carries the batch out of the loop."""

    class Watched(Trainer):
        def preprocess_batch(self, batch):
            raise Seen(batch["img"])

    def make_net():
        from automl.engines.yolo_net import architecture, build_net

        return build_net(architecture("yolo11n.yaml"), dataset.names)

    samples = dataset.split("train")
    images = write_layout(folder / "data", Path(dataset.root), samples)
    given = arguments(plan, samples, folder, backbone=0)
    job = Job(plan, dataset, images, folder, given, None, make_net, None, None, None, None)
    with pytest.raises(Seen) as caught:
        Watched(job).train()
    return list(caught.value.args[0].permute(0, 2, 3, 1).numpy())


def test_yolo__the_first_mosaic_shows_several_images(tmp_path):
    dataset = draw_set("detection", tmp_path, train=24)
    black = [replace(s, path=f"plain-{i}.png") for i, s in enumerate(dataset.samples)]
    for shade, sample in enumerate(black):
        cv2.imwrite(str(tmp_path / sample.path), np.full((64, 64, 3), 6 * shade + 8, np.uint8))
    plain = replace(
        dataset, samples=tuple(replace(s, boxes=(), labels=(), crowd=()) for s in black)
    )
    plan = yolo_plan(policy="heavy")
    first = yolo.augmented(plan, plain, 1)[0][0]
    tiles = {int(v) for v in np.unique(first) if (first == v).mean() > 0.02}
    assert len(tiles) >= 3


def test_yolo__a_rectangle_stays_one(tmp_path):
    dataset = draw_set("detection", tmp_path)
    for sample in dataset.samples:
        image = cv2.imread(str(tmp_path / sample.path))
        cv2.imwrite(str(tmp_path / sample.path), image[:32])
    wide = replace(dataset, samples=tuple(replace(s, height=32) for s in dataset.samples))
    plan = yolo_plan(policy="light", image_size=(64, 128), crop=(64, 128))
    images, _ = yolo.augmented(plan, wide, 2)
    assert [i.shape[1] == 2 * i.shape[0] for i in images] == [True, True]


def test_yolo__a_refused_setting_is_a_fault_of_the_recipe(tmp_path):
    dataset = draw_set("detection", tmp_path, train=2, val=1)
    with pytest.raises(RecipeError, match="lr0"):
        yolo.augmented(yolo_plan(policy="none", lr=2.0), dataset, 1)


@pytest.mark.parametrize("model", ["fcos-test_efficientnet", "yolo26n"])
def test_show_augmented__leaves_a_sheet(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_coco(draw_set("detection", tmp_path / "data", train=10, val=3), tmp_path / "data")
    (tmp_path / "recipe.yaml").write_text(
        f"task: detection\ndata: data\nmodel: {model}\nlicence: any\nweights: none\n"
        "train: {image_size: 64}\n"
    )
    recipe, run = load_recipe(tmp_path / "recipe.yaml"), RunDir(tmp_path / "run")
    pipeline.prepare(recipe, run, Silent())
    pipeline.plan(recipe, run, Silent(), device="cpu")
    sheets = [pipeline.show_augmented(run, 5, tmp_path / f"{n}.png").read_bytes() for n in "ab"]
    assert sheets[0] == sheets[1]
    height, width = cv2.imread(str(tmp_path / "a.png")).shape[:2]
    assert width > 2 * THUMBNAIL
    assert height > 2 * THUMBNAIL


def write_coco(dataset: Dataset, folder: Path) -> None:
    images = [
        {"id": i, "file_name": s.path, "width": s.width, "height": s.height}
        for i, s in enumerate(dataset.samples)
    ]
    boxes = [(i, s.boxes[0], s.labels[0]) for i, s in enumerate(dataset.samples)]
    annotations = [
        {
            "id": i,
            "image_id": i,
            "category_id": dataset.classes[label].id,
            "bbox": [b[0], b[1], b[2] - b[0], b[3] - b[1]],
        }
        for i, b, label in boxes
    ]
    categories = [{"id": c.id, "name": c.name} for c in dataset.classes]
    document = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "annotations.json").write_text(json.dumps(document))
