"""Sets as other tools export them, with names as people give them."""

import csv
import io
import json
from dataclasses import replace

import pyarrow
import pytest
from PIL import Image
from pyarrow import parquet

from automl.data.check import check
from automl.data.recognise import recognise
from automl.errors import DataError
from automl.talk import Silent
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


def sized(toy):
    return [[x0, y0, x1 - x0, y1 - y0] for _, (x0, y0, x1, y1) in toy.boxes]


def png(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


FEATURES = {
    "image": {"_type": "Image"},
    "label": {"names": list(NAMES), "_type": "ClassLabel"},
    "objects": {
        "feature": {
            "bbox": {"feature": {"dtype": "float32", "_type": "Value"}, "_type": "Sequence"},
            "category": {"names": list(NAMES), "_type": "ClassLabel"},
        },
        "_type": "Sequence",
    },
}


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Where images inside tables are unpacked."""
    monkeypatch.setenv("AUTOML_CACHE", str(tmp_path / "cache"))


def write_packed(folder, columns, *, features=True):
    """As Hugging Face stores a set: a table per split, images as bytes."""
    folder.mkdir(parents=True)
    for split, word in (("train", "train"), ("val", "validation"), ("test", "test")):
        own = [t for t in toys(12) if t.split == split]
        table = pyarrow.table({name: [make(t) for t in own] for name, make in columns.items()})
        about = {"huggingface": json.dumps({"info": {"features": FEATURES}})} if features else None
        parquet.write_table(
            table.replace_schema_metadata(about), folder / f"{word}-00000-of-00001.parquet"
        )


def picture(toy):
    return {"bytes": png(toy.pixels), "path": f"{toy.name}.png"}


def objects(toy):
    return {"bbox": sized(toy), "category": [k for k, _ in toy.boxes]}


@pytest.mark.usefixtures("cache")
def test_parquet__images_inside_with_labels(tmp_path):
    write_packed(tmp_path / "set" / "data", {"image": picture, "label": lambda t: t.label})
    assert recognise(tmp_path / "set").task == "classification"
    found = prepared(tmp_path / "set", "classification")
    assert codes(found) == []
    assert found.dataset.names == sorted(NAMES)
    assert found.dataset.counts() == {"train": 8, "val": 2, "test": 2}
    labels = [found.dataset.names[s.label] for s in found.dataset.samples if s.split == "train"]
    assert labels == [NAMES[t.label] for t in toys(12) if t.split == "train"]
    assert sorted(p.name for p in (tmp_path / "set" / "data").iterdir()) == [
        "test-00000-of-00001.parquet",
        "train-00000-of-00001.parquet",
        "validation-00000-of-00001.parquet",
    ]


@pytest.mark.usefixtures("cache")
def test_parquet__images_inside_with_objects(tmp_path):
    write_packed(tmp_path / "set", {"image": picture, "objects": objects})
    found = prepared(tmp_path / "set", "detection")
    assert codes(found) == []
    assert found.dataset.names == sorted(NAMES)
    told = [sorted(s.boxes) for s in found.dataset.samples if s.split == "train"]
    wanted = [sorted(tuple(map(float, b)) for _, b in t.boxes) for t in toys(12)]
    assert told == [w for w, t in zip(wanted, toys(12), strict=True) if t.split == "train"]


@pytest.mark.usefixtures("cache")
def test_parquet__images_inside_with_masks(tmp_path):
    columns = {"mask": lambda t: {"bytes": png(t.mask), "path": None}, "image": picture}
    write_packed(tmp_path / "set", columns, features=False)
    found = prepared(tmp_path / "set", "segmentation", classes=["background", *NAMES])
    assert codes(found) == []
    assert found.dataset.counts() == {"train": 8, "val": 2, "test": 2}


@pytest.mark.usefixtures("cache")
def test_parquet__a_broken_image_inside_is_a_finding(tmp_path):
    def cut(toy):
        content = png(toy.pixels)
        return {"bytes": content[:60] if toy.name == "00" else content, "path": None}

    write_packed(tmp_path / "set", {"image": cut, "label": lambda t: t.label})
    found = check(tmp_path / "set", Silent(), task="classification").findings
    assert [f.file.rsplit("/", 1)[-1] for f in found if f.severity == "fatal"] == ["000000.png"]


@pytest.mark.usefixtures("cache")
def test_parquet__packed_like_a_bomb_is_refused(tmp_path):
    rows = {"image": [{"bytes": bytes(2**26), "path": "a.png"}], "label": ["a"]}
    parquet.write_table(pyarrow.table(rows), tmp_path / "set.parquet", compression="zstd")
    with pytest.raises(DataError, match="bombs"):
        recognise(tmp_path / "set.parquet")


@pytest.mark.parametrize("kind", ["a list a line", "a box a line", "parquet", "objects"])
def test_table__boxes_in_one_column(tmp_path, kind):
    for toy in made():
        save(toy.pixels, tmp_path / "images" / f"{toy.name}.png")
    rows = [[f"{t.name}.png", sized(t), [NAMES[k] for k, _ in t.boxes]] for t in made()]
    if kind == "a list a line":
        table(tmp_path / "train.csv", ["image_id", "bbox", "labels"], rows)
    elif kind == "a box a line":
        apart = [
            [n, box, name]
            for n, boxes, names in rows
            for box, name in zip(boxes, names, strict=True)
        ]
        table(tmp_path / "train.csv", ["image_id", "bbox", "label"], apart)
    else:
        columns = {"file_name": [row[0] for row in rows]}
        if kind == "parquet":
            columns |= {"bbox": [row[1] for row in rows], "labels": [row[2] for row in rows]}
        else:
            columns["objects"] = [{"bbox": row[1], "category": row[2]} for row in rows]
        parquet.write_table(pyarrow.table(columns), tmp_path / "train.parquet")
    assert recognise(tmp_path).task == "detection"
    found = prepared(tmp_path, "detection")
    assert codes(found) == []
    assert boxes_of(found.dataset) == expected(made())


def test_table__a_list_that_does_not_fit_its_labels(tmp_path):
    save(toys(1)[0].pixels, tmp_path / "a.png")
    rows = [["a.png", [[1, 2, 3, 4], [1, 2, 3]], "['x', 'y']"]]
    table(tmp_path / "train.csv", ["path", "bbox", "labels"], rows)
    found = check(tmp_path, Silent(), task="detection").findings
    assert "malformed_annotation" in {f.code for f in found}


@pytest.mark.parametrize("objects", ["a list of boxes", "of the image"])
def test_jsonl__other_ways_to_write_objects(tmp_path, objects):
    lines = []
    for toy in made():
        save(toy.pixels, tmp_path / f"{toy.name}.png")
        names = [NAMES[k] for k, _ in toy.boxes]
        if objects == "of the image":
            line = {"bboxes": sized(toy), "labels": names}
        else:
            own = zip(sized(toy), names, strict=True)
            line = {"objects": [{"bbox": box, "label": name} for box, name in own]}
        lines.append(json.dumps({"image": f"{toy.name}.png", **line}))
    write_text(tmp_path / "metadata.jsonl", "\n".join(lines))
    found = prepared(tmp_path, "detection")
    assert codes(found) == []
    assert boxes_of(found.dataset) == expected(made())


@pytest.mark.parametrize("splits", [False, True])
def test_openimages__as_fiftyone_exports_it(tmp_path, splits):
    header = ["ImageID", "LabelName", "Confidence", "XMin", "XMax", "YMin", "YMax", "IsGroupOf"]
    for split in ("train", "validation") if splits else ("",):
        root = tmp_path / split
        rows = []
        for toy in made():
            save(toy.pixels, root / "data" / f"{toy.name}.png")
            for kind, (x0, y0, x1, y1) in toy.boxes:
                shares = [x0 / WIDTH, x1 / WIDTH, y0 / HEIGHT, y1 / HEIGHT]
                rows.append([toy.name, f"/m/{kind}", "", *shares, 0])
        (root / "labels").mkdir()
        table(root / "labels" / "detections.csv", header, rows)
        (root / "metadata").mkdir()
        classes = list(enumerate(NAMES))
        table(
            root / "metadata" / "classes.csv",
            ["/m/9", "unused"],
            [[f"/m/{i}", n] for i, n in classes],
        )
    assert recognise(tmp_path).format == "openimages"
    found = prepared(tmp_path, "detection")
    assert [n for n in found.dataset.names if n in NAMES] == sorted(NAMES)
    assert found.dataset.counts() == (
        {"train": 10, "val": 10} if splits else found.dataset.counts()
    )
    assert len(boxes_of(found.dataset)) == 10
