"""`check`: findings of a set or a recipe, and the clean index that leaves every file alone."""

import csv
import hashlib
import json

import numpy as np
import pytest
from PIL import Image

from automl.commands import check_output
from automl.data.check import check
from automl.data.prepare import prepare
from automl.dataset import Dataset
from automl.errors import DataError, UsageError
from automl.recipe.schema import Recipe, load_recipe
from automl.talk import Silent
from tests.data.toys import (
    coco_document,
    save,
    toys,
    write_coco,
    write_coco_single,
    write_folders,
    write_masks,
    write_text,
    write_yolo,
)

WRITE = {
    "classification": write_folders,
    "detection": write_yolo,
    "segmentation": write_masks,
}


def tree(root):
    files = sorted(p for p in root.rglob("*") if p.is_file())
    return [(str(p), hashlib.sha256(p.read_bytes()).hexdigest()) for p in files]


def changes(out):
    with (out / "changes.csv").open(newline="") as file:
        return [(row["action"], row["file"]) for row in csv.DictReader(file)]


@pytest.mark.parametrize("task", WRITE)
def test_fix__a_sound_set_comes_back_as_it_is(tmp_path, task):
    WRITE[task](tmp_path / "set", toys(24))
    before = tree(tmp_path / "set")
    found = check(tmp_path / "set", Silent(), task=task, fix=tmp_path / "out")
    assert found.findings == ()
    assert found.changes == ()
    assert tree(tmp_path / "set") == before
    again = check(tmp_path / "out", Silent(), task=task)
    plain = check(tmp_path / "set", Silent(), task=task)
    assert again.findings == ()
    assert again.dataset.classes == plain.dataset.classes
    for name in ("split", "label", "boxes", "labels", "crowd", "digest", "mask_digest", "regions"):
        one, other = ([getattr(s, name) for s in d.dataset.samples] for d in (again, plain))
        assert one == other, name


def test_fix__outlines_survive(tmp_path):
    write_coco_single(tmp_path / "set", toys(24))
    document = coco_document(toys(24))
    for annotation in document["annotations"]:
        x, y, w, h = annotation["bbox"]
        annotation["segmentation"] = [[x, y, x + w, y, x + w, y + h]]
    write_text(tmp_path / "set/everything.json", json.dumps(document))
    check(tmp_path / "set", Silent(), task="segmentation", fix=tmp_path / "out")
    one, other = (
        check(tmp_path / name, Silent(), task="segmentation").dataset for name in ("set", "out")
    )
    assert [s.regions for s in one.samples] == [s.regions for s in other.samples]
    assert sum(len(s.regions) for s in one.samples) > 20


def test_fix__mends_what_can_be_mended(tmp_path):
    made = toys(24)
    root = write_coco(tmp_path / "set", made)
    (root / "train/01.png").write_bytes(b"")
    save(made[0].pixels, root / "val/copy.png")
    path = root / "annotations/instances_val.json"
    document = json.loads(path.read_text())
    document["images"].append({"id": 999, "file_name": "copy.png", "width": 40, "height": 30})
    boxes = [[x0, y0, x1 - x0, y1 - y0] for _, (x0, y0, x1, y1) in made[0].boxes]
    ids = {a["category_id"] for a in coco_document(made[:1])["annotations"]}
    document["annotations"].append(
        {"id": 990, "image_id": 999, "category_id": ids.pop(), "bbox": boxes[0], "iscrowd": 0}
    )
    document["annotations"][0]["bbox"][2:] = [90, 90]
    path.write_text(json.dumps(document))
    before = tree(root)
    assert check(root, Silent(), task="detection").fatal == 2
    found = check(root, Silent(), task="detection", fix=tmp_path / "out")
    assert found.findings == ()
    assert {c for c in changes(tmp_path / "out") if c[0] != "clipped"} == {
        ("left out", "train/01.png"),
        ("left out", "train/00.png"),
    }
    assert [a for a, _ in changes(tmp_path / "out")].count("clipped") == 1
    assert tree(root) == before
    splits = {s.path.rpartition("/")[2]: s.split for s in found.dataset.samples}
    assert splits["copy.png"] == "val"


def test_fix__no_index_of_boxes_in_another_format(tmp_path):
    """Clipped to their images they would pass as clean."""
    root = write_coco(tmp_path / "set", toys(24))
    for path in (root / "annotations").glob("*.json"):
        document = json.loads(path.read_text())
        for annotation in document["annotations"]:
            x, y, width, height = annotation["bbox"]
            annotation["bbox"] = [x, y, x + width, y + height]
        path.write_text(json.dumps(document))
    found = check(root, Silent(), task="detection", fix=tmp_path / "out")
    assert "box_format" in {f.code for f in found.findings}
    assert found.index is None
    assert not (tmp_path / "out").exists()
    told = check_output.hint(found, "set", fixed=True)
    assert told == "no index was written: none can fix box_format; correct the set itself"


def test_fix__brings_groups_together(tmp_path):
    for toy in toys(24):
        split = "val" if toy.name == "00" else "train"
        save(
            toy.pixels,
            tmp_path / "set" / split / "ab"[toy.label % 2] / f"p{toy.name[0]}_{toy.name}.png",
        )
    save(toys(30)[29].pixels, tmp_path / "set/val/b/q_1.png")
    save(toys(30)[28].pixels, tmp_path / "set/val/a/q_2.png")
    write_text(tmp_path / "r.yaml", "task: classification\ndata: {path: set, group: '(p.|q)_'}\n")
    assert check(tmp_path / "r.yaml", Silent()).fatal == 1
    found = check(tmp_path / "r.yaml", Silent(), fix=tmp_path / "out")
    assert found.fatal == 0
    assert changes(tmp_path / "out") == [("val -> train", "val/a/p0_00.png")]
    text = (tmp_path / "r.yaml").read_text().replace("path: set, group: '(p.|q)_'", "path: out")
    write_text(tmp_path / "clean.yaml", text)
    read = prepare(load_recipe(tmp_path / "clean.yaml"), Silent())
    assert read.dataset.format == "index"
    assert read.dataset.counts() == {"train": 24, "val": 2}


def test_fix__contradicting_copies_are_all_left_out(tmp_path):
    made = toys(24)
    root = write_folders(tmp_path / "set", made)
    save(made[0].pixels, root / "train/ring/copy.png")
    check(root, Silent(), fix=tmp_path / "out")
    assert {f for a, f in changes(tmp_path / "out") if a == "left out"} == {
        "train/disc/00.png",
        "train/ring/copy.png",
    }


@pytest.mark.parametrize("place", ["set/out", "full"])
def test_fix__never_into_the_data_or_over_other_files(tmp_path, place):
    write_folders(tmp_path / "set", toys())
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").write_text("")
    with pytest.raises(UsageError):
        check(tmp_path / "set", Silent(), fix=tmp_path / place)


def test_check__a_set_that_cannot_be_read_as_a_whole_is_a_finding(tmp_path):
    write_text(tmp_path / "set/x.json", '{"images": 1, "annotations": [], "categories": []}')
    save(np.zeros((9, 9), np.uint8), tmp_path / "set/a.png")
    found = check(tmp_path / "set", Silent(), task="detection")
    assert {f.code for f in found.findings} == {"unreadable"}
    assert found.fatal
    with pytest.raises(DataError, match="no such file"):
        check(tmp_path / "nowhere", Silent())


def test_check__a_yolo_description_is_data_not_a_recipe(tmp_path):
    write_yolo(tmp_path, toys(24))
    assert check(tmp_path / "data.yaml", Silent()).dataset.format == "yolo"


@pytest.mark.parametrize(
    "text", ["{}", '{"task": "detection"}', "[1]", '{"task": "detection", "root": "."']
)
def test_index__damaged(tmp_path, text):
    write_text(tmp_path / "dataset.json", text)
    recipe = Recipe.model_validate(
        {"task": "detection", "data": {"path": str(tmp_path), "format": "index"}}
    )
    with pytest.raises(DataError):
        prepare(recipe, Silent())


def test_index__places_that_do_not_exist(tmp_path):
    write_folders(tmp_path / "set", toys())
    check(tmp_path / "set", Silent(), fix=tmp_path / "out")
    raw = json.loads((tmp_path / "out/dataset.json").read_text())
    raw["samples"][0]["label"] = 99
    write_text(tmp_path / "out/dataset.json", json.dumps(raw))
    assert "damaged" in check(tmp_path / "out", Silent()).findings[0].reason
    assert Dataset.read(tmp_path / "out/dataset.json")


def test_lines__grouped_bounded_and_escaped(tmp_path):
    write_folders(tmp_path, toys(24))
    for number in range(9):
        (tmp_path / f"train/disc/bad\n{number}.png").write_bytes(b"")
    Image.new("L", (60_000, 1)).save(tmp_path / "train/disc/long.png")
    found = check(tmp_path, Silent())
    lines = check_output.lines(found)
    assert lines[0].startswith("folders, classification: ")
    assert lines[1] == "fatal broken_image (9): an image that cannot be decoded"
    assert lines[2] == "  train/disc/bad\\n0.png: file is empty"
    assert lines[6:8] == ["  and 5 more", "  fix: fetch it again or remove it"]
    assert lines[-1].startswith("9 fatal, ")
    facts = check_output.facts(found)
    assert facts["counts"]["broken_image"] == 9
    json.dumps(facts, allow_nan=False)


@pytest.mark.parametrize(
    "text",
    ["{{task: {0}, data: {{path: set}}}}", '{{\n  "task": "{0}",\n  "data": {{"path": "set"}}\n}}'],
)
def test_check__a_recipe_in_braces(tmp_path, text):
    write_coco(tmp_path / "set", toys())
    write_text(tmp_path / "r.yaml", text.format("detection"))
    assert check(tmp_path / "r.yaml", Silent()).fatal == 0
