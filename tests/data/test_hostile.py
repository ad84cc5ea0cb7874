"""Data that nobody wrote in good faith: one clear fault each, never a crash, never a hang."""

import json
import os
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from automl.data.images import read_image, read_mask
from automl.data.recognise import recognise
from automl.errors import DataError, MachineError
from tests.data.toys import (
    COCO_IDS,
    HEIGHT,
    WIDTH,
    coco_document,
    codes,
    prepared,
    save,
    toys,
    voc_text,
    write_coco_single,
    write_csv,
    write_folders,
    write_masks,
    write_text,
    write_voc,
    write_yolo,
)

LONG = "a" * 5000


def reasons(folder: Path, task: str, **data: Any) -> str:
    """All that is said about a set that cannot be used, whether as a finding or as an error."""
    try:
        found = prepared(folder, task, **data)
    except DataError as error:
        return "\n".join("\n".join(fault.lines()) for fault in error.faults)
    return "\n".join(f"{f.code} {f.reason}" for f in found.findings if f.severity == "fatal")


def coco_with(folder: Path, edit: Callable[[dict[str, Any]], object]) -> Path:
    write_coco_single(folder, toys())
    document = coco_document(toys())
    edit(document)
    write_text(folder / "everything.json", json.dumps(document))
    return folder


COCO = {
    "category id is infinite": (("categories", 0, "id", float("inf")), "Infinity is no number"),
    "category id is a fraction": (("categories", 0, "id", 7.5), "category without id"),
    "category id is a boolean": (("categories", 0, "id", True), "category without id"),
    "category id is negative": (("categories", 0, "id", -7), "id -7"),
    "category id is huge": (("categories", 0, "id", 10**30), "no class can have the id 1000"),
    "category has no name": (("categories", 0, "name", None), "category without id or name"),
    "category name is empty": (("categories", 0, "name", ""), "category without id or name"),
    "category name is a list": (("categories", 0, "name", ["x"]), "category without id or name"),
    "category name is half": (("categories", 0, "name", "\ud800"), "is not UTF-8"),
    "label is infinite": (("annotations", 0, "category_id", float("inf")), "Infinity is no number"),
    "label is a fraction": (("annotations", 0, "category_id", 2.5), "whole category_id"),
    "box beyond floats": (("annotations", 0, "bbox", [0, 0, 10**400, 5]), "bbox [x, y, w, h]"),
    "crowd in words": (("annotations", 0, "iscrowd", "no"), "iscrowd 0 or 1"),
    "width is infinite": (("images", 0, "width", float("inf")), "Infinity is no number"),
    "file name with NUL": (("images", 0, "file_name", "a\0b.png"), "missing_image"),
    "file name too long": (("images", 0, "file_name", f"{LONG}.png"), "File name too long"),
    "file name of a folder": (("images", 0, "file_name", "."), "not a regular file"),
    "file name out of the set": (
        ("images", 0, "file_name", "../../../../../../../../etc/passwd"),
        "not an image",
    ),
}


@pytest.mark.parametrize("case", COCO)
def test_coco(tmp_path, case):
    (section, number, key, value), words = COCO[case]
    folder = coco_with(tmp_path, lambda document: document[section][number].update({key: value}))
    assert words in reasons(folder, "detection")


def test_coco__nested_without_end(tmp_path):
    text = '{"images": [], "annotations": [], "categories": ' + "[" * 100_000
    write_text(tmp_path / "everything.json", text)
    assert "not valid JSON" in reasons(tmp_path, "detection")


def test_coco__whole_numbers_may_be_written_as_text_or_float(tmp_path):
    def as_text(document: dict[str, Any]) -> None:
        for category in document["categories"]:
            category["id"] = str(category["id"])
        for annotation in document["annotations"]:
            annotation["category_id"] = float(annotation["category_id"])

    found = prepared(coco_with(tmp_path, as_text), "detection")
    assert found.findings == ()
    assert {c.id for c in found.dataset.classes} == set(COCO_IDS)


@pytest.mark.parametrize("crowd", [False, True])
def test_nothing_to_learn__no_objects_or_crowds_only(tmp_path, crowd):
    def emptied(document: dict[str, Any]) -> None:
        for annotation in document["annotations"]:
            annotation["iscrowd"] = 1
        document["annotations"] = document["annotations"] if crowd else []

    assert "nothing_to_learn" in reasons(coco_with(tmp_path, emptied), "detection")


CSV = {
    "a field without end": ("x,disc,train\n" + "y" * 200_000 + ",disc,train\n", "not a table"),
    "a path too long": (f"{LONG}.png,disc,train\n", "File name too long"),
    "a path with NUL": ("a\0b.png,disc,train\n", "missing_image"),
    "a path out of the set": ("/etc/passwd,disc,train\n", "not an image"),
    "a folder": ("pictures,disc,train\n", "not a regular file"),
}


@pytest.mark.parametrize("case", CSV)
def test_csv(tmp_path, case):
    rows, words = CSV[case]
    write_csv(tmp_path, toys())
    with (tmp_path / "labels.csv").open("a") as table:
        table.write(rows)
    assert words in reasons(tmp_path, "classification")


YOLO_NAMES = {
    "names: abc": "no list of names",
    "names: [[a], b, c]": "something else than names",
    "names: &a [*a]": "something else than names",
    "names: {-1: a, 0: b, 1: c, 2: d}": "no class can have the id -1",
    "names: {0: a, 1: b, 2: c, 99999999999: d}": "no class can have the id 99999999999",
    "names: !!python/object/apply:os.system [touch ran]": "not valid YAML",
    "names: " + "[" * 3000: "not valid YAML",
    "names: 2024-99-99": "not valid YAML",
}


@pytest.mark.parametrize("names", YOLO_NAMES)
def test_yolo__names(tmp_path, monkeypatch, names):
    monkeypatch.chdir(tmp_path)
    write_yolo(tmp_path, toys())
    write_text(tmp_path / "data.yaml", f"{names}\ntrain: images/train\nval: images/val\n")
    assert YOLO_NAMES[names] in reasons(tmp_path, "detection")
    assert not (tmp_path / "ran").exists()


def test_yolo__places_that_no_system_has(tmp_path):
    write_yolo(tmp_path, toys())
    write_text(tmp_path / "data.yaml", f"names: [a, b, c]\ntrain: {LONG}\n")
    assert "does not exist" in reasons(tmp_path, "detection")


def test_yolo__a_class_id_that_nobody_names(tmp_path):
    write_yolo(tmp_path, toys())
    (tmp_path / "data.yaml").unlink()
    write_text(tmp_path / "labels/train/00.txt", "1000000000000 0.5 0.5 0.1 0.1\n")
    said = reasons(tmp_path, "detection")
    assert "class id 1000000000000, and no file that names it" in said
    assert "labels/train/00.txt:1" in said


def test_yolo__a_folder_in_the_place_of_a_label_file(tmp_path):
    write_yolo(tmp_path, toys())
    (tmp_path / "labels/train/00.txt").unlink()
    (tmp_path / "labels/train/00.txt").mkdir()
    assert "no regular file" in reasons(tmp_path, "detection")


VOC = {
    "unknown encoding": ('<?xml version="1.0" encoding="nonsense"?><annotation/>', "encoding"),
    "another document": ("<html/>", "begins with `html`"),
    "entities": ('<!DOCTYPE a [<!ENTITY b "c">]><annotation/>', "entity"),
    "without end": ("<annotation>" + "<a>" * 50_000, "no element found"),
    "infinite size": (voc_text(toys()[0]).replace(str(WIDTH), "inf"), "infinity"),
}


@pytest.mark.parametrize("case", VOC)
def test_voc(tmp_path, case):
    text, words = VOC[case]
    write_voc(tmp_path, toys())
    write_text(tmp_path / "Annotations/00.xml", text)
    assert words in reasons(tmp_path, "detection")


@pytest.mark.parametrize(
    ("named", "code"), [(True, "nothing_to_learn"), (False, "too_few_classes")]
)
def test_masks__all_to_be_ignored(tmp_path, named, code):
    write_masks(tmp_path, toys())
    for mask in tmp_path.rglob("masks/*.png"):
        save(np.full((HEIGHT, WIDTH), 255, np.uint8), mask)
    if not named:
        (tmp_path / "classes.txt").unlink()
    assert code in reasons(tmp_path, "segmentation")


def test_masks__instances_instead_of_classes(tmp_path):
    write_masks(tmp_path, toys())
    (tmp_path / "classes.txt").unlink()
    ids = np.arange(HEIGHT * WIDTH, dtype=np.uint16).reshape(HEIGHT, WIDTH)
    for mask in tmp_path.rglob("masks/*.png"):
        save(ids, mask)
    assert "look like instance masks" in reasons(tmp_path, "segmentation")


@pytest.mark.parametrize("value", [-5, 2**16, 2**30])
def test_masks__values_that_are_no_ids(tmp_path, value):
    mask = tmp_path / "mask.tif"
    Image.fromarray(np.full((4, 4), value, np.int32)).save(mask)
    with pytest.raises(DataError, match="class ids are 0 to 65535"):
        read_mask(mask)


@pytest.mark.parametrize("kind", ["pipe", "endless device", "folder"])
def test_images__what_is_no_file_is_never_opened(tmp_path, kind):
    path = tmp_path / "x.png"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero")
    with pytest.raises(DataError, match="not a regular file"):
        read_image(path)


def test_images__that_may_not_be_read_are_the_machines_fault(tmp_path):
    path = save(toys()[0].pixels, tmp_path / "x.png")
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read everything")
    with pytest.raises(MachineError, match="may not be read") as caught:
        read_image(path)
    assert "chmod" in caught.value.faults[0].hint
    path.chmod(stat.S_IRWXU)


def test_folders__a_class_whose_name_is_not_utf8(tmp_path):
    write_folders(tmp_path, toys(), splits=False)
    odd = os.fsencode(tmp_path) + b"/\xff\xfe"
    os.mkdir(odd)  # noqa: PTH102  a name of bytes
    os.link(next(tmp_path.rglob("00.png")), odd + b"/x.png")
    said = reasons(tmp_path, "classification")
    assert "the name of class `\\udcff\\udcfe` is not UTF-8" in said


def test_recognise__a_name_that_no_system_has(tmp_path):
    with pytest.raises(DataError, match="no such file or folder"):
        recognise(tmp_path / LONG)


@pytest.mark.parametrize("task", ["classification", "detection", "segmentation"])
def test_names__spaces_signs_and_scripts(tmp_path, task):
    write = {"classification": write_csv, "detection": write_yolo, "segmentation": write_masks}
    made = toys()
    odd = ["a b", "ü", "日本", "-dash", "--set", "new\nline", "tab\t", "q'\"", "%s{0}", "\x1b[31m"]
    write[task](tmp_path, [replace(toy, name=name) for toy, name in zip(made, odd, strict=False)])
    found = prepared(tmp_path, task)
    assert codes(found) == []
    assert {Path(sample.path).stem for sample in found.dataset.samples} == set(odd)


def test_folders__a_link_to_what_lies_above_is_not_followed(tmp_path):
    """Its images would be those of every class, labelled as one."""
    write_folders(tmp_path, toys())
    dataset = prepared(tmp_path, "classification").dataset
    a_class = (tmp_path / dataset.samples[0].path).parent
    (a_class / "again").symlink_to(tmp_path)
    assert prepared(tmp_path, "classification").dataset.counts() == dataset.counts()
