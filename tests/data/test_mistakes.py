"""Sets as people really leave them: paths of another machine, odd layouts, ids that start at 1."""

import json

import numpy as np
import pytest

from automl.commands import check_output
from automl.data.check import check
from automl.data.recognise import recognise
from automl.errors import DataError
from automl.talk import Silent
from tests.data.toys import coco_document, prepared, save, toys, write_text, write_yolo_tree


def images(folder, count=10):
    for toy in toys(count):
        save(toy.pixels, folder / f"{toy.name}.png")


@pytest.mark.parametrize("top", ["C:\\data\\set\\images\\", "/srv/set/images/"])
def test_coco__paths_of_another_machine(tmp_path, top):
    made = toys(10)
    images(tmp_path / "images")
    document = coco_document(made)
    for image in document["images"]:
        image["file_name"] = top + image["file_name"].rpartition("/")[2]
    write_text(tmp_path / "annotations.json", json.dumps(document))
    found = prepared(tmp_path, "detection")
    assert len(found.dataset.samples) == 10
    assert found.findings == ()


@pytest.mark.parametrize("end", ["", ".png"])
def test_csv__names_without_folder_or_ending(tmp_path, end):
    images(tmp_path / "train_images")
    rows = "".join(f"{i:02d}{end},{'ab'[i % 2]}\r\n" for i in range(10))
    write_text(tmp_path / "train.csv", "\ufeffimage_id,label\r\n" + rows)
    dataset = prepared(tmp_path, "classification").dataset
    assert {s.path for s in dataset.samples} == {f"train_images/{i:02d}.png" for i in range(10)}


def test_coco__labels_alone_are_for_classification(tmp_path):
    images(tmp_path / "images", 4)
    document = coco_document(toys(4))
    for annotation in document["annotations"]:
        del annotation["bbox"]
    write_text(tmp_path / "annotations.json", json.dumps(document))
    assert recognise(tmp_path).task == "classification"


def test_csv__a_name_of_two_images_is_not_guessed(tmp_path):
    images(tmp_path / "one")
    images(tmp_path / "two", 1)
    rows = "".join(f"{i:02d}.png,{'ab'[i % 2]}\n" for i in range(10))
    write_text(tmp_path / "train.csv", "image,label\n" + rows)
    found = check(tmp_path, Silent())
    assert [f.file for f in found.findings if f.code == "missing_image"] == ["00.png"]


def test_csv__other_columns_are_named_in_the_cure(tmp_path):
    images(tmp_path)
    write_text(tmp_path / "data.csv", "pic,diagnosis\n00.png,a\n")
    with pytest.raises(DataError) as caught:
        recognise(tmp_path)
    assert "`data.csv` has the columns pic, diagnosis" in caught.value.faults[0].hint
    lines = check_output.lines(check(tmp_path, Silent()))
    assert any(line.strip().startswith("coco: annotations") for line in lines)
    assert not any("\\n" in line for line in lines)


def test_recognise__images_without_any_label(tmp_path):
    images(tmp_path / "flat")
    with pytest.raises(DataError) as caught:
        recognise(tmp_path / "flat")
    assert "no labels" in caught.value.faults[0].hint


def test_yolo__text_files_beside_the_images(tmp_path):
    images(tmp_path)
    for i in range(10):
        write_text(tmp_path / f"{i:02d}.txt", f"{i % 2} 0.5 0.5 0.3 0.4\r\n")
    write_text(tmp_path / "classes.txt", "a\nb\n")
    assert recognise(tmp_path).format == "yolo"
    dataset = prepared(tmp_path, "detection").dataset
    assert dataset.names == ["a", "b"]
    assert all(len(s.boxes) == 1 for s in dataset.samples)


def test_folders__notes_beside_the_images_are_no_yolo(tmp_path):
    for name in "ab":
        images(tmp_path / name)
        write_text(tmp_path / name / "00.txt", "a note of somebody")
    assert recognise(tmp_path).format == "folders"


def test_yolo__ids_that_start_at_one(tmp_path):
    images(tmp_path / "images")
    for i in range(10):
        write_text(tmp_path / f"labels/{i:02d}.txt", f"{i % 2 + 1} 0.5 0.5 0.3 0.4\n")
    write_text(tmp_path / "data.yaml", "train: images\nval: images\nnames: [a, b]\n")
    found = [f for f in check(tmp_path, Silent()).findings if f.code == "unknown_class"]
    assert len(found) == 5
    assert "subtract 1" in found[0].cure


def test_fix__a_box_without_area_goes_and_its_image_stays(tmp_path):
    root = write_yolo_tree(tmp_path / "set", toys(12))
    labels = sorted((root / "labels").rglob("*.txt"))
    label = next(p for p in labels if p.stem.isdecimal() and p.read_text().count("\n") > 1)
    before = label.read_text()
    label.write_text(before + "0 0.5 0.5 0 0.2\n")
    assert check(root, Silent(), task="detection").fatal
    found = check(root, Silent(), task="detection", fix=tmp_path / "out")
    assert found.fatal == 0
    kept = {s.path.rpartition("/")[2].split(".")[0]: s for s in found.dataset.samples}
    assert len(kept[label.stem].boxes) == before.count("\n")
    assert "box left out" in (tmp_path / "out/changes.csv").read_text()
    assert label.read_text().endswith("0 0.2\n")


def test_fix__ignored_ids_need_not_be_said_again(tmp_path):
    for i in range(8):
        mask = np.zeros((30, 40), np.uint8)
        mask[:10], mask[20:] = 1, 7
        save(toys(8)[i].pixels, tmp_path / f"set/images/{i}.png")
        save(mask, tmp_path / f"set/masks/{i}.png")
    write_text(tmp_path / "set/classes.txt", "a\nb\n")
    write_text(tmp_path / "r.yaml", "task: segmentation\ndata: {path: set, ignore: [7]}\n")
    check(tmp_path / "r.yaml", Silent(), fix=tmp_path / "out")
    again = check(tmp_path / "out", Silent())
    assert again.fatal == 0
    assert again.dataset.ignore == (7, 255)
