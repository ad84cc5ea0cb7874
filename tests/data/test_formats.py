"""Formats that name classes or hold outlines: written, recognised, read back as drawn."""

import json
import sys

import numpy as np
import pytest

from automl.data.ground_truth import truth
from automl.data.recognise import recognise
from automl.dataset import Dataset
from automl.errors import DataError, MachineError
from tests.data import drawn
from tests.data.test_readers import check_boxes, check_labels
from tests.data.toys import (
    HEIGHT,
    NAMES,
    WIDTH,
    codes,
    prepared,
    save,
    toys,
    write_csv,
    write_text,
)

BOXES = {
    "coco": drawn.write_coco_outlines,
    "yolo": drawn.write_yolo_outlines,
    "labelme": drawn.write_labelme,
    "cvat": drawn.write_cvat,
    "datumaro": drawn.write_datumaro,
    "openimages": drawn.write_openimages,
    "jsonl": drawn.write_jsonl,
    "csv": drawn.write_boxes_table,
}
MASKS = {
    "coco": drawn.write_coco_outlines,
    "yolo": drawn.write_yolo_outlines,
    "labelme": drawn.write_labelme,
    "cvat": drawn.write_cvat,
    "datumaro": drawn.write_datumaro,
    "csv": drawn.write_run_lengths,
}
LABELS = {
    "coco": drawn.write_coco_tags,
    "labelme": drawn.write_labelme,
    "cvat": drawn.write_cvat,
    "datumaro": drawn.write_datumaro,
    "jsonl": drawn.write_jsonl,
    "csv": drawn.write_parquet,
    "lists": drawn.write_lists,
}


def check_masks(found, made, expected, *, ignored=0):
    dataset = found.dataset
    assert codes(found) == []
    assert dataset.names[0] == "background"
    place = [dataset.names.index(n) for n in ("background", *NAMES)]
    samples = {s.path.rsplit("/", 1)[-1][:2]: s for s in dataset.samples}
    assert sorted(samples) == [toy.name for toy in made]
    for toy in made:
        mask = truth(dataset, samples[toy.name]).mask
        wanted = np.array(place, np.uint8)[expected(toy)]
        wanted.ravel()[:ignored] = 255
        assert np.array_equal(mask, wanted), toy.name
        assert samples[toy.name].split == toy.split


@pytest.mark.parametrize("name", BOXES)
def test_boxes__written_read_equal(tmp_path, name):
    made = toys()
    root = BOXES[name](tmp_path, made)
    assert recognise(root, "detection").format == name
    check_boxes(prepared(root, "detection"), made)


@pytest.mark.parametrize("name", MASKS)
def test_outlines__written_read_equal(tmp_path, name):
    made = toys()
    root = MASKS[name](tmp_path, made)
    assert recognise(root, "segmentation").format == name
    found = prepared(root, "segmentation")
    check_masks(found, made, drawn.painted)
    assert found.profile.class_counts["background"] > 0
    found.dataset.write(tmp_path / "dataset.json")
    assert Dataset.read(tmp_path / "dataset.json") == found.dataset


@pytest.mark.parametrize("name", LABELS)
def test_labels__written_read_equal(tmp_path, name):
    made = toys(18)
    root = LABELS[name](tmp_path, made)
    assert recognise(root, "classification").format == name
    check_labels(prepared(root, "classification"), made, splits=name != "coco")


def test_outlines__all_formats_give_one_digest(tmp_path):
    made = toys()
    digests = set()
    for name in ("labelme", "cvat"):
        root = MASKS[name](tmp_path / name, made)
        samples = prepared(root, "segmentation").dataset.samples
        digests.add(tuple((s.digest, tuple(r.label for r in s.regions)) for s in samples))
    assert len({tuple(sorted(d)) for d in digests}) == 1


def test_outlines__the_digest_covers_them(tmp_path):
    made = toys()
    root = drawn.write_yolo_outlines(tmp_path, made)
    before = prepared(root, "segmentation").dataset.digest
    write_text(root / "labels/train/00.txt", "0 0.1 0.1 0.5 0.1 0.5 0.6\n")
    assert prepared(root, "segmentation").dataset.digest != before


def test_outlines__smaller_regions_lie_on_top_whatever_their_order(tmp_path):
    root = drawn.write_yolo_outlines(tmp_path, toys())
    small, large = "0 0.25 0.2 0.5 0.2 0.5 0.5 0.25 0.5\n", "1 0 0 1 0 1 1 0 1\n"
    masks = []
    for lines in (small + large, large + small):
        write_text(root / "labels/train/00.txt", lines)
        dataset = prepared(root, "segmentation").dataset
        masks.append(truth(dataset, dataset.split("train")[0]).mask)
    assert np.array_equal(*masks)
    assert sorted(np.unique(masks[0])) == [1, 2]


def test_outlines__recipe_ignores_a_class_or_the_background(tmp_path):
    root = drawn.write_yolo_outlines(tmp_path, toys())
    plain = prepared(root, "segmentation").dataset
    ids = {c.name: c.id for c in plain.classes}
    found = prepared(root, "segmentation", ignore=[ids["ring"]])
    assert found.dataset.names == ["background", "disc", "square"]
    masks = [truth(plain, s).mask for s in plain.samples]
    others = [truth(found.dataset, s).mask for s in found.dataset.samples]
    assert all(np.array_equal(a == 2, b == 255) for a, b in zip(masks, others, strict=True))
    found = prepared(root, "segmentation", ignore=[ids["background"]])
    assert found.dataset.names == list(NAMES)
    others = [truth(found.dataset, s).mask for s in found.dataset.samples]
    assert all(np.array_equal(a == 0, b == 255) for a, b in zip(masks, others, strict=True))


def test_coco__boxes_alone_do_not_segment(tmp_path):
    root = drawn.write_coco_outlines(tmp_path, toys())
    document = json.loads((root / "annotations/instances_train.json").read_text())
    document["annotations"][0]["segmentation"] = []
    write_text(root / "annotations/instances_train.json", json.dumps(document))
    assert prepared(root, "detection").findings == ()
    found = prepared(root, "segmentation")
    assert codes(found) == ["malformed_annotation"]
    assert "a box alone says nothing" in found.findings[0].reason


def test_coco__ids_that_stand_twice(tmp_path):
    root = drawn.write_coco_outlines(tmp_path, toys())
    document = json.loads((root / "annotations/instances_train.json").read_text())
    document["annotations"][1]["id"] = document["annotations"][0]["id"]
    document["images"][1]["id"] = document["images"][0]["id"]
    write_text(root / "annotations/instances_train.json", json.dumps(document))
    found = codes(prepared(root, "detection"))
    assert {"duplicate_annotation_id", "duplicate_image_id"} <= set(found)


@pytest.mark.parametrize(
    ("runs", "words"),
    [
        ({"size": [HEIGHT, WIDTH], "counts": [5, 5]}, "runs cover 10 pixels of 1200"),
        ({"size": [HEIGHT, WIDTH], "counts": "\t"}, "a character that none are written with"),
        ({"size": [HEIGHT, WIDTH], "counts": "o"}, "in the middle of a number"),
        ({"size": [HEIGHT, WIDTH], "counts": [-1, 1201]}, "needs image_id"),
        ({"size": [9, 9], "counts": [81]}, "mask is 9x9, its image 40x30"),
        ({"size": [10**9, 10**9], "counts": [5]}, "needs image_id"),
        ({"size": "x"}, "needs image_id"),
        ([[1, 2, 3, 4]], "three points"),
        ([[1e300, 2, 3, 4, 5, 6]], "no place in an image"),
        ([[500, 500, 600, 500, 600, 600]], "outside the image"),
    ],
)
def test_coco__broken_outlines_are_findings(tmp_path, runs, words):
    root = drawn.write_coco_outlines(tmp_path, toys())
    document = json.loads((root / "annotations/instances_train.json").read_text())
    document["annotations"][0]["segmentation"] = runs
    write_text(root / "annotations/instances_train.json", json.dumps(document))
    found = prepared(root, "segmentation")
    assert len(codes(found)) == 1
    assert words in next(f.reason for f in found.findings if f.severity == "fatal")


def test_voc__masks_by_palette_and_the_border_is_no_class(tmp_path):
    made = toys()
    root = drawn.write_voc_masks(tmp_path, made)
    assert recognise(root, "segmentation").format == "voc"
    assert recognise(root).task == "detection"
    check_masks(prepared(root, "segmentation"), made, lambda toy: toy.mask, ignored=1)


def test_voc__listed_without_a_mask(tmp_path):
    root = drawn.write_voc_masks(tmp_path, toys())
    (root / "SegmentationClass/00.png").unlink()
    assert codes(prepared(root, "segmentation")) == ["missing_annotation"]


@pytest.mark.parametrize("table", ["labelmap.txt", "classes.csv", "label_colors.txt"])
def test_colours__table_beside_the_data(tmp_path, table):
    made = toys()
    root = drawn.write_coloured_masks(tmp_path, made, table)
    found = prepared(root, "segmentation")
    check_masks(found, made, lambda toy: toy.mask)
    assert len(found.dataset.colours) == 4
    found.dataset.write(tmp_path / "dataset.json")
    assert Dataset.read(tmp_path / "dataset.json") == found.dataset


def test_colours__table_in_the_recipe(tmp_path):
    made = toys()
    root = drawn.write_coloured_masks(tmp_path, made, "")
    assert set(codes(prepared(root, "segmentation"))) >= {"broken_mask"}
    rows = zip(("background", *NAMES), drawn.COLOURS, strict=True)
    colours = {name: list(colour) for name, colour in rows}
    check_masks(prepared(root, "segmentation", colours=colours), made, lambda toy: toy.mask)
    del colours["ring"]
    found = prepared(root, "segmentation", colours=colours)
    assert "[10, 200, 10]" in found.findings[0].reason


def test_labelme__circles_and_what_has_no_area(tmp_path):
    made = toys()
    root = drawn.write_labelme(tmp_path, made)
    document = drawn.labelme_document(made[0])
    circle = {"label": "disc", "shape_type": "circle", "points": [[20, 15], [30, 15]]}
    line = {"label": "disc", "shape_type": "line", "points": [[0, 0], [9, 9]]}
    unjudged = {"label": "__ignore__", "shape_type": "rectangle", "points": [[0, 0], [40, 2]]}
    document["shapes"] = [circle, line, unjudged]
    write_text(root / "train/00.json", json.dumps(document))
    found = prepared(root, "segmentation")
    assert codes(found, "warning") == ["shape_without_area"]
    sample = next(s for s in found.dataset.samples if s.path.endswith("00.png"))
    mask = truth(found.dataset, sample).mask
    assert int((mask == 1).sum()) == pytest.approx(np.pi * 100, rel=0.02)
    assert (mask[:2] == 255).all()
    sample = prepared(root, "detection").dataset.split("train")[0]
    assert sample.path == "train/00.png"
    assert sample.boxes == ((10.0, 5.0, 30.0, 25.0),)


def test_cvat__turned_boxes(tmp_path):
    root = drawn.write_cvat(tmp_path, toys())
    text = (root / "annotations.xml").read_text()
    first = text.index("<polygon")
    box = '<box label="disc" xtl="10" ytl="12" xbr="30" ybr="16" rotation="90"></box>'
    end = text.index("</polygon>", first) + len("</polygon>")
    write_text(root / "annotations.xml", text[:first] + box + text[end:])
    dataset = prepared(root, "detection").dataset
    sample = next(s for s in dataset.samples if s.path.endswith("00.png"))
    assert sample.boxes[0] == (18.0, 4.0, 22.0, 24.0)


def test_cvat__boxes_are_painted_and_said(tmp_path):
    found = prepared(drawn.write_cvat(tmp_path, toys()), "segmentation")
    assert [f.reason for f in found.findings] == [
        "4 boxes have no outline and are painted as rectangles"
    ]


def test_cvat__video_is_refused(tmp_path):
    write_text(
        tmp_path / "annotations.xml", '<annotations><track id="0"><box /></track></annotations>'
    )
    with pytest.raises(DataError, match="tracks of a video"):
        prepared(tmp_path, "detection", format="cvat")
    with pytest.raises(DataError) as caught:
        recognise(tmp_path)  # as `init` does, which writes no recipe that cannot run
    assert "tracks of a video are not read: export" in caught.value.faults[0].hint


def test_table__of_another_encoding_is_refused_before_a_recipe_is_written(tmp_path):
    write_csv(tmp_path, toys())
    text = (tmp_path / "labels.csv").read_text().replace("disc", "schön")
    (tmp_path / "labels.csv").write_bytes(text.encode("cp1252"))
    with pytest.raises(DataError) as caught:
        recognise(tmp_path)
    assert "not UTF-8 text: save it as UTF-8" in caught.value.faults[0].hint
    with pytest.raises(DataError, match="not UTF-8 text"):
        prepared(tmp_path, "classification")


def test_table__relative_boxes_and_empty_images(tmp_path):
    made = toys()
    root = drawn.write_boxes_table(tmp_path, made, relative=True)
    check_boxes(prepared(root, "detection"), made)
    save(255 - made[0].pixels, root / "empty.png")
    with (root / "boxes.csv").open("a") as table:
        table.write(f"empty.png,{WIDTH},{HEIGHT},,,,,,train\n")
    found = prepared(root, "detection")
    assert found.profile.extra["images_without_objects"] == 1


def test_table__masks(tmp_path):
    made = toys()
    root = drawn.write_masks_table(tmp_path, made)
    assert recognise(root).format == "csv"
    check_masks(prepared(root, "segmentation"), made, lambda toy: toy.mask)


def test_table__columns_named_in_the_recipe(tmp_path):
    made = toys(18)
    rows = [["bild", "befund", "teil", "wer", "kamera"]]
    for i, toy in enumerate(made):
        save(toy.pixels, tmp_path / f"{toy.name}.png")
        rows.append([f"{toy.name}.png", NAMES[toy.label], "", f"p{i // 3}", f"k{i % 2}"])
    drawn.write_rows(tmp_path / "index.csv", rows)
    columns = {"path": "Bild", "label": "befund", "group": "wer"}
    found = prepared(
        tmp_path, "classification", format="csv", columns=columns, attributes=["kamera"]
    )
    check_labels(found, made, splits=False)
    samples = found.dataset.samples
    assert {s.group for s in samples} == {f"p{i}" for i in range(6)}
    assert {s.attributes for s in samples} == {(("kamera", "k0"),), (("kamera", "k1"),)}
    splits = {}
    for sample in samples:
        splits.setdefault(sample.group, set()).add(sample.split)
    assert all(len(found) == 1 for found in splits.values())
    assert found.dataset.counts()["val"] == 3
    found.dataset.write(tmp_path / "dataset.json")
    assert Dataset.read(tmp_path / "dataset.json") == found.dataset


def test_group__pattern_on_paths(tmp_path):
    made = toys(24)
    for i, toy in enumerate(made):
        save(toy.pixels, tmp_path / NAMES[toy.label] / f"patient{i // 4}_{toy.name}.png")
    found = prepared(tmp_path, "classification", group=r"(patient\d+)_")
    assert {s.group for s in found.dataset.samples} == {f"patient{i}" for i in range(6)}
    by_split = {split: {s.group for s in found.dataset.split(split)} for split in ("train", "val")}
    assert by_split["val"]
    assert not by_split["train"] & by_split["val"]
    with pytest.raises(DataError, match="fits no image"):
        prepared(tmp_path, "classification", group=r"(slide\d+)_")


def test_parquet__missing_package_and_broken_file(tmp_path, monkeypatch):
    root = drawn.write_parquet(tmp_path, toys())
    (root / "index.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(DataError, match="not a Parquet table"):
        prepared(root, "classification")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MachineError, match="needs the package pyarrow"):
        prepared(root, "classification")


def test_many_labels__table(tmp_path):
    made = toys()
    found = prepared(drawn.write_many_labels(tmp_path, made), "classification")
    assert codes(found) == []
    assert found.dataset.multi_label
    samples = {s.path[-6:-4]: s for s in found.dataset.samples}
    for toy in made:
        names = [found.dataset.names[i] for i in samples[toy.name].labels]
        assert names == drawn.labels_of(toy)
        assert samples[toy.name].label is None


def test_many_labels__one_label_for_all_is_a_plain_set(tmp_path):
    found = prepared(write_csv(tmp_path, toys()), "classification")
    assert not found.dataset.multi_label


@pytest.mark.parametrize(
    ("name", "content", "where"),
    [
        ("set.json", b'{"images": [], "annotations": [],\n "categories": [NaN]}', ":2"),
        ("set.json", b'{"images": [], "annotations": [],\n "categories": [}', ":2:17"),
        ("set.json", '{"images": [], "annotations": [], "categories": []}'.encode("utf-16"), ""),
    ],
)
def test_json__faults_have_their_line(tmp_path, name, content, where):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as caught:
        prepared(tmp_path, "detection", format="coco")
    assert caught.value.faults[0].where.endswith(f"{name}{where}") or not where


def test_json__bom_is_fine(tmp_path):
    root = drawn.write_coco_tags(tmp_path, toys(18))
    text = (root / "tags.json").read_text()
    (root / "tags.json").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert codes(prepared(root, "classification")) == []
