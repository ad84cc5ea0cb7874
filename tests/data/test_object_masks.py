"""A mask file per object: the union segments, the boxes detect; what is no such file is told."""

import numpy as np
import pytest

from automl.data.check import check
from automl.data.ground_truth import truth
from automl.data.recognise import recognise
from automl.talk import Silent
from tests.data.drawn import write_object_masks
from tests.data.toys import HEIGHT, WIDTH, codes, prepared, save, toys


def union(toy):
    return (toy.mask > 0).astype(np.uint8)


def check_masks(found, made, *, splits=True):
    assert found.findings == ()
    assert found.dataset.names == ["background", "object"]
    samples = {s.path.rsplit("/", 1)[-1][:2]: s for s in found.dataset.samples}
    assert sorted(samples) == [toy.name for toy in made]
    for toy in made:
        assert np.array_equal(truth(found.dataset, samples[toy.name]).mask, union(toy))
        assert not splits or samples[toy.name].split == toy.split


def test_union__read_as_drawn(tmp_path):
    made = toys()
    root = write_object_masks(tmp_path, made)
    assert recognise(root).format == "object_masks"
    check_masks(prepared(root, "segmentation"), made)


def test_boxes__read_as_drawn(tmp_path):
    made = toys()
    found = prepared(write_object_masks(tmp_path, made), "detection")
    assert found.findings == ()
    assert found.dataset.names == ["object"]
    for sample, toy in zip(
        sorted(found.dataset.samples, key=lambda s: s.path[-6:]), made, strict=True
    ):
        assert sample.boxes == tuple(tuple(map(float, box)) for _, box in toy.boxes)


def test_no_splits__and_an_image_of_nothing(tmp_path):
    made = [t for t in toys() if t.split == "train"]
    root = write_object_masks(tmp_path, made) / "stage1_train"
    check_masks(prepared(root, "segmentation"), made, splits=False)
    for mask in (root / "00/masks").iterdir():
        mask.unlink()
    found = prepared(root, "segmentation")
    assert found.findings == ()
    sample = next(s for s in found.dataset.samples if s.path.endswith("00.png"))
    assert not truth(found.dataset, sample).mask.any()
    assert prepared(root, "detection").profile.extra["images_without_objects"] == 1


def test_test_images_without_masks_are_left_alone(tmp_path):
    made = [t for t in toys() if t.split == "train"]
    root = write_object_masks(tmp_path, made)
    save(255 - made[0].pixels, root / "stage1_test/99/images/99.png")
    check_masks(prepared(root, "segmentation"), made, splits=False)


BLANK = np.zeros((HEIGHT, WIDTH), np.uint8)
BROKEN = {
    "empty_mask": lambda f: save(BLANK, f / "masks/m0.png"),
    "several_values": lambda f: save(toys()[1].mask + BLANK, f / "masks/m0.png"),
    "mask_size_differs": lambda f: save(BLANK[:, :9] + 255, f / "masks/m0.png"),
    "broken_mask": lambda f: (f / "masks/m0.png").write_bytes(b"no image"),
    "several_images": lambda f: save(BLANK, f / "images/more.png"),
    "missing_annotation": lambda f: (f / "masks").rename(f / "other"),
}


@pytest.mark.parametrize("task", ["segmentation", "detection"])
@pytest.mark.parametrize("code", BROKEN)
def test_broken__one_finding_for_the_image(tmp_path, code, task):
    root = write_object_masks(tmp_path / "set", toys())
    BROKEN[code](root / "stage1_train/02")
    assert codes(prepared(root, task)) == [code]
    found = check(root, Silent(), task=task, fix=tmp_path / "out")
    assert found.fatal == 0
    assert "02.png" not in {s.path[-6:] for s in found.dataset.samples}
