"""Sets as other tools export them, with names as people give them."""

import csv
import json
from dataclasses import replace

import pytest

from automl.data.recognise import recognise
from automl.errors import DataError
from tests.data.toys import (
    HEIGHT,
    NAMES,
    WIDTH,
    coco_document,
    codes,
    prepared,
    save,
    toys,
    voc_text,
    write_text,
)

STEMS = (
    "IMG 0001",
    "ünï cödé",
    "a,b",
    "q'uo\"te",
    "x (1)",
    "日本",
    "a.png.rf.0a1",
    "n 1",
    "-d",
    "L",
)


def made():
    return [replace(toy, name=name) for toy, name in zip(toys(10), STEMS, strict=True)]


def boxes_of(found):
    return {s.path.rsplit("/", 1)[-1].rsplit(".", 1)[0]: sorted(s.boxes) for s in found.samples}


def expected(toys_):
    return {t.name: sorted(tuple(map(float, box)) for _, box in t.boxes) for t in toys_}


def coco(root, listed, stored, *, images="images", file="result.json"):
    """`listed` is how the document names an image, `stored` its file."""
    document = coco_document(toys(10))
    for image, toy in zip(document["images"], made(), strict=True):
        image["file_name"] = listed(toy.name)
        save(toy.pixels, root / images / stored(toy.name))
    write_text(root / file, json.dumps(document))


COCO = {
    "label studio on windows": (lambda s: f"images\\{s}.png", "images", "result.json"),
    "fiftyone": (lambda s: f"{s}.png", "data", "labels.json"),
    "other capitals": (lambda s: f"{s}.PNG", "images", "annotations/instances_default.json"),
    "with a dot": (lambda s: f"./images/{s}.png", "images", "coco.json"),
}


@pytest.mark.parametrize("kind", COCO)
def test_coco__as_exported(tmp_path, kind):
    listed, images, file = COCO[kind]
    coco(tmp_path, listed, lambda s: f"{s}.png", images=images, file=file)
    found = prepared(tmp_path, "detection")
    assert codes(found) == []
    assert boxes_of(found.dataset) == expected(made())


def test_yolo__cvat_and_darknet(tmp_path):
    for toy in made():
        save(toy.pixels, tmp_path / "obj_train_data" / f"{toy.name}.png")
        lines = [
            f"{k} {(x0 + x1) / 2 / WIDTH} {(y0 + y1) / 2 / HEIGHT} "
            f"{(x1 - x0) / WIDTH} {(y1 - y0) / HEIGHT}\r\n"
            for k, (x0, y0, x1, y1) in toy.boxes
        ]
        write_text(tmp_path / "obj_train_data" / f"{toy.name}.txt", "".join(lines))
    write_text(tmp_path / "obj.names", "\n".join(NAMES) + "\n")
    write_text(tmp_path / "obj.data", "classes = 3\nnames = data/obj.names\n")
    assert recognise(tmp_path).format == "yolo"
    found = prepared(tmp_path, "detection")
    assert codes(found) == []
    assert found.dataset.names == list(NAMES)
    assert {name: len(b) for name, b in boxes_of(found.dataset).items()} == {
        t.name: len(t.boxes) for t in made()
    }


def test_voc__small_letters_and_lists_of_names_with_spaces(tmp_path):
    for toy in made():
        save(toy.pixels, tmp_path / "images" / f"{toy.name}.png")
        write_text(tmp_path / "annotations" / f"{toy.name}.xml", voc_text(toy))
    assert recognise(tmp_path).format == "voc"
    assert boxes_of(prepared(tmp_path, "detection").dataset) == expected(made())
    (tmp_path / "annotations").rename(tmp_path / "Annotations")
    names = [t.name for t in made()]
    write_text(tmp_path / "ImageSets/Main/train.txt", "".join(f"{n}  1\r\n" for n in names[:7]))
    write_text(tmp_path / "ImageSets/Main/val.txt", "".join(f"{n} -1\r\n" for n in names[7:]))
    found = prepared(tmp_path, "detection")
    assert codes(found) == []
    assert boxes_of(found.dataset) == expected(made())
    assert found.dataset.counts() == {"train": 7, "val": 3}


def table(path, header, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        csv.writer(file).writerows([header, *rows])


def test_csv__a_line_per_box_is_no_classification(tmp_path):
    for toy in made():
        save(toy.pixels, tmp_path / "images" / f"{toy.name}.png")
    header = ["filename", "width", "height", "class", "xmin", "ymin", "xmax", "ymax"]
    rows = [[f"{t.name}.png", WIDTH, HEIGHT, NAMES[k], *b] for t in made() for k, b in t.boxes]
    table(tmp_path / "train_labels.csv", header, rows)
    found = recognise(tmp_path)
    assert (found.format, found.task) == ("csv", "detection")


def test_csv__one_inside_each_split(tmp_path):
    for split in ("train", "validation"):
        for toy in made():
            save(toy.pixels, tmp_path / split / f"{toy.name}.png")
        rows = [[f"{t.name}.png", NAMES[t.label]] for t in made()]
        table(tmp_path / split / "metadata.csv", ["file_name", "label"], rows)
    assert recognise(tmp_path).format == "csv"
    found = prepared(tmp_path, "classification")
    assert found.dataset.names == sorted(NAMES)
    assert found.dataset.counts() == {"train": 10, "val": 10}


def test_folders__splits_alone_are_no_classes(tmp_path):
    for split in ("train", "val"):
        for toy in toys(4):
            save(toy.pixels, tmp_path / split / f"{toy.name}.png")
    with pytest.raises(DataError, match="no known layout"):
        recognise(tmp_path)


def test_parquet__with_images_inside_names_the_cure(tmp_path):
    import pyarrow
    from pyarrow import parquet

    (tmp_path / "data").mkdir()
    rows = {"image": [{"bytes": b"x", "path": "a.png"}], "label": [0]}
    parquet.write_table(pyarrow.table(rows), tmp_path / "data" / "train-0.parquet")
    with pytest.raises(DataError) as caught:
        recognise(tmp_path)
    assert "images inside `train-0.parquet`" in caught.value.faults[0].hint
