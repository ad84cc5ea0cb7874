"""The dataset as a value: its digest, its root, its profile, its truth, its file."""

import json

import numpy as np
import pytest

from automl.data.digest import digest_of
from automl.data.ground_truth import to_indices, truth
from automl.data.prepare import prepare
from automl.dataset import Class, Dataset, Profile
from automl.recipe.schema import Recipe
from tests.data.toys import (
    NAMES,
    prepared,
    save,
    toys,
    write_csv,
    write_folders,
    write_masks,
    write_text,
    write_voc,
    write_yolo,
    yolo_lines,
)


def test_digest__same_wherever_the_set_lies(tmp_path):
    a = prepared(write_yolo(tmp_path / "a", toys()), "detection").dataset
    b = prepared(write_yolo(tmp_path / "b", toys()), "detection").dataset
    assert a.root != b.root
    assert a.digest == b.digest == digest_of(a)
    assert len(a.digest) == 64


def test_digest__covers_bytes_annotation_split_path_and_classes(tmp_path):
    made = toys()
    write_yolo(tmp_path, made)
    seen = [prepared(tmp_path, "detection").dataset.digest]

    def changed():
        seen.append(prepared(tmp_path, "detection").dataset.digest)

    save(255 - made[0].pixels, tmp_path / "images/train/00.png")
    changed()
    write_text(tmp_path / "labels/train/00.txt", yolo_lines(made[1]))
    changed()
    for kind, end in (("images", "png"), ("labels", "txt")):
        (tmp_path / kind / f"train/01.{end}").rename(tmp_path / kind / f"val/01.{end}")
    changed()
    for kind, end in (("images", "png"), ("labels", "txt")):
        (tmp_path / kind / f"train/02.{end}").rename(tmp_path / kind / f"train/99.{end}")
    changed()
    text = (tmp_path / "data.yaml").read_text()
    write_text(tmp_path / "data.yaml", text.replace("square", "box"))
    changed()
    assert len(set(seen)) == len(seen) == 6


def test_digest__covers_the_bytes_of_masks(tmp_path):
    made = toys()
    write_masks(tmp_path, made)
    before = prepared(tmp_path, "segmentation").dataset
    other = made[0].mask.copy()
    other[0, 0] = 1
    save(other, tmp_path / "train/masks/00.png")
    after = prepared(tmp_path, "segmentation").dataset
    assert before.digest != after.digest
    changed = [a.mask for a, b in zip(before.samples, after.samples, strict=True) if a != b]
    assert changed == ["train/masks/00.png"]


def test_prepare__twice_gives_the_same_file(tmp_path):
    write_masks(tmp_path / "data", toys())
    for name in ("one", "two"):
        prepared(tmp_path / "data", "segmentation").dataset.write(tmp_path / f"{name}.json")
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()
    read = Dataset.read(tmp_path / "one.json")
    assert read == prepared(tmp_path / "data", "segmentation").dataset


def test_prepare__root_is_relative_below_the_current_folder(tmp_path, monkeypatch):
    write_folders(tmp_path / "here/data", toys())
    monkeypatch.chdir(tmp_path / "here")
    assert prepared(tmp_path / "here/data", "classification").dataset.root == "data"
    (tmp_path / "here/deeper").mkdir()
    monkeypatch.chdir(tmp_path / "here/deeper")
    absolute = (tmp_path / "here/data").as_posix()
    assert prepared(tmp_path / "here/data", "classification").dataset.root == absolute


class Heard:
    def __init__(self):
        self.steps = []

    def say(self, text):
        raise AssertionError(text)

    def progress(self, label, done, total, note=""):
        self.steps.append((done, total))


def test_prepare__tells_its_progress(tmp_path):
    write_folders(tmp_path, toys())
    heard = Heard()
    prepare(
        Recipe.model_validate({"task": "classification", "data": {"path": str(tmp_path)}}), heard
    )
    assert heard.steps == [(i, 12) for i in range(1, 13)]


def test_truth__classification_and_detection(tmp_path):
    made = toys()
    dataset = prepared(write_csv(tmp_path / "a", made), "classification").dataset
    assert dataset.names[truth(dataset, dataset.samples[1]).label] == NAMES[made[1].label]
    dataset = prepared(write_voc(tmp_path / "b", made), "detection").dataset
    known = truth(dataset, dataset.samples[1])
    assert known.boxes.dtype == np.float32
    assert known.boxes.tolist() == [list(box) for _, box in made[1].boxes]
    assert [dataset.names[i] for i in known.labels] == [NAMES[c] for c, _ in made[1].boxes]
    assert known.crowd.dtype == bool


def test_truth__image_without_boxes(tmp_path):
    write_yolo(tmp_path, toys())
    (tmp_path / "labels/train/00.txt").write_text("")
    dataset = prepared(tmp_path, "detection").dataset
    sample = next(s for s in dataset.samples if s.path.endswith("00.png"))
    assert truth(dataset, sample).boxes.shape == (0, 4)


def test_to_indices__everything_that_is_no_class_is_ignored():
    ids = np.array([[0, 5, 7], [255, 1000, 6]])
    classes = (Class(5, "a"), Class(0, "b"), Class(1000, "c"))
    assert to_indices(ids, classes).tolist() == [[1, 0, 255], [255, 2, 255]]
    assert to_indices(np.zeros((1, 1), np.uint8), classes).tolist() == [[1]]


def test_profile__detection(tmp_path):
    made = toys()
    profile = prepared(write_voc(tmp_path / "data", made), "detection").profile
    train = [t for t in made if t.split == "train"]
    names = [NAMES[c] for t in train for c, _ in t.boxes]
    assert profile.class_counts == {n: names.count(n) for n in sorted(NAMES)}
    assert profile.images == {"train": 8, "val": 2, "test": 2}
    assert profile.objects_per_image == len(names) / 8
    assert (profile.width, profile.height, profile.smallest_side) == (40, 30, 30)
    sizes = [
        ((x1 - x0) * (y1 - y0) / 1200) ** 0.5 for t in train for _, (x0, y0, x1, y1) in t.boxes
    ]
    assert profile.object_size == pytest.approx(np.quantile(sizes, (0.1, 0.5, 0.9)), abs=1e-5)
    profile.write(tmp_path / "profile.json")
    assert Profile.read(tmp_path / "profile.json") == profile


def test_profile__segmentation_counts_pixels_and_regions(tmp_path):
    made = toys()
    profile = prepared(write_masks(tmp_path, made), "segmentation").profile
    pixels = np.bincount(np.concatenate([t.mask.ravel() for t in made if t.split == "train"]))
    assert list(profile.class_counts.values()) == pixels.tolist()
    assert profile.balance == pytest.approx(pixels.min() / pixels.max(), abs=1e-6)
    assert profile.objects_per_image >= 2
    assert 0 < profile.object_size[0] <= profile.object_size[2] <= 1


def test_profile__sixteen_bit_grey(tmp_path):
    for toy in toys():
        save(
            toy.pixels[:, :, 0].astype(np.uint16) * 257,
            tmp_path / NAMES[toy.label] / f"{toy.name}.png",
        )
    profile = prepared(tmp_path, "classification").profile
    assert (profile.channels, profile.bit_depth) == (1, 16)


def test_dataset__holds_no_pixels(tmp_path):
    dataset = prepared(write_folders(tmp_path / "data", toys()), "classification").dataset
    dataset.write(tmp_path / "dataset.json")
    sample = json.loads((tmp_path / "dataset.json").read_text())["samples"][0]
    assert all(isinstance(v, str | int | list | None) for v in sample.values())
