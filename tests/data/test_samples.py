"""The built-in samples: deterministic, in layouts that the readers know, meaningful names."""

import hashlib

import numpy as np
import pytest

from automl.data.ground_truth import truth
from automl.data.samples import CATEGORY_IDS, SAMPLES, write_sample
from automl.data.scenes import Digits
from automl.errors import UsageError
from tests.data.toys import prepared

TASKS = {name: name.removeprefix("digits-") for name in SAMPLES}


def digest(folder):
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    whole = hashlib.sha256()
    for path in files:
        whole.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
    return whole.hexdigest()


@pytest.mark.parametrize("name", SAMPLES)
def test_write_sample__is_recognised_and_clean(tmp_path, name):
    counts = write_sample(name, tmp_path / "set", images=60, size=64)
    found = prepared(tmp_path / "set", TASKS[name])
    assert found.findings == ()
    assert found.dataset.counts() == counts == {"train": 48, "val": 12}
    assert found.dataset.brought_splits == ("train", "val")
    names = [str(d) for d in range(10)]
    assert found.dataset.names == (["background", *names] if "segm" in name else names)
    assert (found.profile.width, found.profile.height) == (64, 64)


@pytest.mark.parametrize("name", SAMPLES)
def test_write_sample__same_seed_same_bytes(tmp_path, name):
    for folder, seed in (("a", 0), ("b", 0), ("c", 1)):
        write_sample(name, tmp_path / folder, images=12, size=48, seed=seed)
    assert digest(tmp_path / "a") == digest(tmp_path / "b")
    assert digest(tmp_path / "a") != digest(tmp_path / "c")


def test_write_sample__scenes_are_the_same_for_boxes_and_masks(tmp_path):
    for task in ("detection", "segmentation"):
        write_sample(f"digits-{task}", tmp_path / task, images=12, size=96)
    boxes = prepared(tmp_path / "detection", "detection").dataset
    masks = prepared(tmp_path / "segmentation", "segmentation").dataset
    assert [c.id for c in boxes.classes] == list(CATEGORY_IDS)
    for a, b in zip(boxes.samples, masks.samples, strict=True):
        assert (a.path, a.digest) == (b.path, b.digest)
        mask = truth(masks, b).mask
        inside = np.zeros_like(mask)
        for (x0, y0, x1, y1), label in zip(a.boxes, a.labels, strict=True):
            part = mask[int(y0) : int(y1), int(x0) : int(x1)]
            assert set(np.unique(part)) <= {0, label + 1}
            for edge in (part[0], part[-1], part[:, 0], part[:, -1]):
                assert (edge == label + 1).any()
            inside[int(y0) : int(y1), int(x0) : int(x1)] = 1
        assert not mask[inside == 0].any()


@pytest.mark.slow  # importing scikit-learn takes seconds
def test_digits__are_those_of_scikit_learn():
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    digits = Digits.load(0, 0.2)
    assert np.array_equal(digits.pixels.reshape(-1, 64) * 16, pixels)
    assert np.array_equal(digits.labels, labels)


def test_digits__training_and_validation_share_nothing():
    digits = Digits.load(0, 0.2)
    train, val = digits.pool("train"), digits.pool("val")
    assert (len(train), len(val)) == (1438, 359)
    assert not set(train) & set(val)
    assert min(np.bincount(digits.labels[val])) >= 30
    images = {digits.pixels[i].tobytes() for i in train}
    assert not any(digits.pixels[i].tobytes() in images for i in val)


def test_write_sample__again_keeps_what_is_there(tmp_path):
    write_sample("digits-detection", tmp_path / "set", images=12, size=48)
    before = (tmp_path / "set/annotations/train.json").stat().st_mtime_ns
    assert write_sample("digits-detection", tmp_path / "set", images=12, size=48)
    assert (tmp_path / "set/annotations/train.json").stat().st_mtime_ns == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["set"]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("digits-pose", {}, "no sample set"),
        ("digits-detection", {"images": 2}, "has no 2 images"),
        ("digits-classification", {"images": 5000}, "has no 5000 images"),
    ],
)
def test_write_sample__impossible_wishes(tmp_path, name, options, message):
    with pytest.raises(UsageError, match=message):
        write_sample(name, tmp_path / "set", **options)
    assert list(tmp_path.iterdir()) == []


def test_write_sample__foreign_folder_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(UsageError, match="holds other files"):
        write_sample("digits-detection", tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]
