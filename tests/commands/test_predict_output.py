"""Predictions as JSON lines, COCO, masks and drawings; class ids are those of the data set."""

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_masks

from automl.commands.predict_output import choose
from automl.data.images import read_mask
from automl.dataset import Class
from automl.errors import UsageError
from automl.model import bundle
from automl.model.preprocess import Preprocess
from automl.prediction import Prediction

CLASSES = (Class(3, "cat"), Class(250, "dog"))


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "photos"
    for name in ("a.png", "deep/a.png"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.full((6, 8, 3), 90, np.uint8))
    (folder / "notes.txt").write_text("no image")
    return folder


def model(folder: Path, task: str) -> Path:
    """A bundle whose weights no one asks for."""
    import torch

    described = bundle.Bundle(
        task=task,
        engine="native",
        backbone={},
        classes=CLASSES,
        preprocess=Preprocess(size=(8, 8), fit="squash", mean=(0.0,) * 3, std=(1.0,) * 3),
        licence="Apache-2.0",
        run="r",
        dataset_digest="d",
    )
    bundle.save(folder / "model", described, {"w": torch.zeros(1)})
    return folder / "model"


def answers(tmp_path, task, images, *, format=None, out=None, draw=False, min_confidence=0.3):
    return choose(
        model(tmp_path, task),
        [images],
        format=format,
        out=out,
        draw=draw,
        min_confidence=min_confidence,
    )


def boxes(path: Path) -> Prediction:
    return Prediction(
        str(path),
        boxes=np.asarray([[1, 1, 4, 3], [0, 0, 2, 2]], np.float32),
        labels=np.asarray([1, 0]),
        confidences=np.asarray([0.9, 0.2], np.float32),
    )


def regions(path: Path) -> Prediction:
    mask = np.zeros((6, 8), np.uint8)
    mask[2:5, 3:7] = 1
    return Prediction(str(path), mask=mask)


def test_jsonl__a_class_and_all_probabilities(tmp_path, images):
    found = answers(tmp_path, "classification", images)
    assert [p.relative_to(images).as_posix() for p in found.paths] == ["a.png", "deep/a.png"]
    guess = Prediction("x", probabilities=np.asarray([0.25, 0.75], np.float32))
    lines = [json.loads(line) for line in found.lines((p, guess) for p in found.paths)]
    assert lines[1] == {
        "path": str(images / "deep/a.png"),
        "class": "dog",
        "id": 250,
        "confidence": 0.75,
        "probabilities": {"cat": 0.25, "dog": 0.75},
    }


def test_jsonl__boxes_that_are_sure_enough(tmp_path, images):
    found = answers(tmp_path, "detection", images / "a.png")
    (line,) = found.lines((p, boxes(p)) for p in found.paths)
    (box,) = json.loads(line)["boxes"]
    assert box == {"class": "dog", "id": 250, "confidence": 0.9, "box": [1, 1, 4, 3]}


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # theirs
def test_jsonl__regions_as_run_lengths_that_pycocotools_reads(tmp_path, images):
    found = answers(tmp_path, "segmentation", images / "a.png")
    (line,) = found.lines((p, regions(p)) for p in found.paths)
    shares = {c["class"]: c for c in json.loads(line)["classes"]}
    assert shares["dog"]["share"] == 0.25
    for index, name in enumerate(("cat", "dog")):
        rle = shares[name]["rle"]
        decoded = coco_masks.decode(coco_masks.frPyObjects(rle, *rle["size"]))
        assert (decoded == (regions(images).mask == index)).all()


def test_coco__boxes_and_categories(tmp_path, images):
    found = answers(tmp_path, "detection", images, format="coco", min_confidence=0.1)
    (line,) = found.lines((p, boxes(p)) for p in found.paths)
    document = json.loads(line)
    assert document["categories"] == [{"id": 3, "name": "cat"}, {"id": 250, "name": "dog"}]
    assert document["images"][1] == {
        "id": 2,
        "file_name": str(images / "deep/a.png"),
        "width": 8,
        "height": 6,
    }
    assert [a["id"] for a in document["annotations"]] == [1, 2, 3, 4]
    assert document["annotations"][2]["image_id"] == 2
    assert document["annotations"][2]["bbox"] == [1, 1, 3, 2]
    assert document["annotations"][2]["area"] == 6


def test_coco__regions(tmp_path, images):
    found = answers(tmp_path, "segmentation", images / "a.png", format="coco")
    (line,) = found.lines((p, regions(p)) for p in found.paths)
    dog = json.loads(line)["annotations"][1]
    assert (dog["category_id"], dog["bbox"], dog["area"]) == (250, [3, 2, 4, 3], 12)


def test_masks__hold_the_ids_of_the_set_and_names_do_not_collide(tmp_path, images):
    out = tmp_path / "out"
    single = images / "a.png"
    found = choose(
        model(tmp_path, "segmentation"),
        [images, tmp_path / "photos/../photos/a.png", single],
        format=None,
        out=out,
        draw=True,
        min_confidence=0.3,
    )
    assert len(set(found.images.values())) == len(found.images) == 3
    (shown,) = found.lines((p, regions(p)) for p in found.paths)
    assert shown == str(out / "predictions.jsonl")
    lines = [json.loads(line) for line in Path(shown).read_text().splitlines()]
    assert len(lines) == 3
    for line in lines:
        assert set(np.unique(read_mask(out / line["mask"]))) == {3, 250}
    assert (out / "drawn/deep/a.png").is_file()


@pytest.mark.parametrize(
    ("task", "options", "words"),
    [
        (
            "classification",
            {"format": "coco"},
            "the COCO format cannot hold classification results",
        ),
        ("detection", {"format": "masks"}, "a model for detection gives no masks"),
        ("segmentation", {"format": "masks"}, "masks need a folder"),
        ("detection", {"draw": True}, "drawings need a folder"),
    ],
)
def test_choose__options_that_do_not_fit(tmp_path, images, task, options, words):
    with pytest.raises(UsageError) as caught:
        answers(tmp_path, task, images, **options)
    assert caught.value.faults[0].message == words
    assert caught.value.faults[0].hint


def test_choose__every_wrong_path_at_once(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError) as caught:
        choose(
            model(tmp_path, "detection"),
            [tmp_path / "gone", tmp_path / "empty"],
            format=None,
            out=None,
            draw=False,
            min_confidence=0.3,
        )
    assert [f.message for f in caught.value.faults] == [
        "no such file or folder",
        "no image in this folder",
    ]


def test_files__of_an_image_whose_name_is_not_utf8(tmp_path, images):
    named = images / os.fsdecode(b"caf\xe9.png")
    (images / "a.png").rename(named)
    sink = answers(tmp_path, "detection", named, out=tmp_path / "out", draw=True)
    (file,) = sink.lines((path, boxes(path)) for path in sink.paths)
    assert json.loads(Path(file).read_text())["path"] == str(named)
    assert len(list((tmp_path / "out/drawn").iterdir())) == 1


def test_names__lose_their_endings_unless_two_images_share_the_rest(tmp_path, images):
    cv2.imwrite(str(images / "a.jpg"), np.full((6, 8, 3), 90, np.uint8))
    found = answers(tmp_path, "segmentation", images)
    assert sorted(found.images.values()) == ["a.jpg", "a.png", "deep/a"]


def test_lines__a_full_disk_is_told_with_its_folder(tmp_path, images):
    out = tmp_path / "out"
    out.mkdir()
    (out / "predictions.jsonl").symlink_to("/dev/full")
    given = answers(tmp_path, "classification", images, out=out)
    found = [(path, Prediction(str(path), probabilities=np.ones(2) / 2)) for path in given.paths]
    with pytest.raises(OSError, match="No space left") as caught:
        list(given.lines(found))
    assert caught.value.filename == str(out)


def test_choose__a_confidence_that_is_no_number(tmp_path, images):
    with pytest.raises(UsageError) as caught:
        answers(tmp_path, "detection", images, min_confidence=float("nan"))
    assert "--min-confidence" in caught.value.faults[0].message


def test_choose__what_an_earlier_call_has_drawn_is_no_image_to_predict(tmp_path, images):
    for place in ("out/drawn/a.png", "out/masks/a.png"):
        (images / place).parent.mkdir(parents=True)
        (images / place).write_bytes((images / "a.png").read_bytes())
    named = answers(tmp_path, "detection", images, out=images / "out").images
    assert sorted(named.values()) == ["a", "deep/a"]
    named = answers(tmp_path, "detection", images / "out" / "drawn", out=images / "out").images
    assert list(named.values()) == ["a"]
    assert len(answers(tmp_path, "detection", images).images) == 4
