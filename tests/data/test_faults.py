"""Every fault of a set is one finding with its file, its reason and its cure."""

import json
import os

import cv2
import numpy as np
import pytest
from PIL import Image

from automl.dataset import Dataset
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
    write_coco_single,
    write_csv,
    write_folders,
    write_masks,
    write_text,
    write_voc,
    write_yolo,
)


def only(found, code, severity="fatal"):
    """The one finding of the set."""
    assert [(f.code, f.severity) for f in found.findings] == [(code, severity)], found.findings
    finding = found.findings[0]
    assert finding.reason
    assert finding.cure
    return finding


def yolo_with(tmp_path, lines):
    write_yolo(tmp_path, toys())
    write_text(tmp_path / "labels/train/00.txt", lines)
    return prepared(tmp_path, "detection")


def test_broken_image__is_found_by_a_full_decode(tmp_path):
    write_folders(tmp_path, toys())
    path = tmp_path / "train/disc/00.png"
    path.write_bytes(path.read_bytes()[:-200])
    found = prepared(tmp_path, "classification")
    assert only(found, "broken_image").file == "train/disc/00.png"
    assert len(found.dataset.samples) == 11


def test_empty_image(tmp_path):
    write_folders(tmp_path, toys())
    (tmp_path / "train/disc/00.png").write_bytes(b"")
    assert "empty" in only(prepared(tmp_path, "classification"), "broken_image").reason


def test_all_faults_at_once(tmp_path):
    write_folders(tmp_path, toys())
    for name in ("00", "03"):
        (tmp_path / f"train/disc/{name}.png").write_bytes(b"no")
    found = prepared(tmp_path, "classification")
    assert codes(found) == ["broken_image", "broken_image"]


def test_dangling_link_is_a_missing_image(tmp_path):
    write_folders(tmp_path, toys())
    (tmp_path / "train/disc/gone.png").symlink_to(tmp_path / "nowhere.png")
    finding = only(prepared(tmp_path, "classification"), "missing_image")
    assert finding.file == "train/disc/gone.png"


def test_missing_image__listed_in_csv(tmp_path):
    write_csv(tmp_path, toys())
    (tmp_path / "pictures/00.png").unlink()
    assert only(prepared(tmp_path, "classification"), "missing_image").file == "pictures/00.png"


def test_missing_image__listed_in_coco(tmp_path):
    write_coco_single(tmp_path, toys())
    (tmp_path / "images/00.png").unlink()
    assert only(prepared(tmp_path, "detection"), "missing_image").file.endswith("00.png")


def test_missing_annotation__listed_in_voc(tmp_path):
    write_voc(tmp_path, toys())
    (tmp_path / "Annotations/00.xml").unlink()
    finding = only(prepared(tmp_path, "detection"), "missing_annotation")
    assert finding.file == "Annotations/00.xml"


def test_missing_annotation__image_without_mask_and_the_reverse(tmp_path):
    write_masks(tmp_path, toys())
    (tmp_path / "train/masks/00.png").unlink()
    (tmp_path / "train/images/01.png").unlink()
    found = prepared(tmp_path, "segmentation")
    assert [(f.code, f.file) for f in found.findings] == [
        ("missing_annotation", "train/images/00.png"),
        ("missing_image", "train/masks/01.png"),
    ]


def test_box_outside_is_fatal(tmp_path):
    finding = only(yolo_with(tmp_path, "0 1.5 0.5 0.2 0.2\n"), "box_outside")
    assert finding.file == "labels/train/00.txt:1"


def test_box_half_outside_is_clipped_and_counted(tmp_path):
    found = yolo_with(tmp_path, "0 1.0 0.5 0.5 0.2\n1 0.5 0.5 0.1 0.1\n")
    assert only(found, "box_clipped", "warning").file == "labels/train/00.txt:1"
    sample = next(s for s in found.dataset.samples if s.path.endswith("00.png"))
    assert sample.boxes[0] == (30.0, 12.0, 40.0, 18.0)
    assert len(sample.boxes) == 2


def test_box_over_the_border_by_rounding_is_clipped_without_a_word(tmp_path):
    found = yolo_with(tmp_path, "0 0.5 0.5 1.01 1.01\n")
    assert found.findings == ()
    sample = next(s for s in found.dataset.samples if s.path.endswith("00.png"))
    assert sample.boxes == ((0.0, 0.0, WIDTH, HEIGHT),)


@pytest.mark.parametrize("size", ["0.0 0.2", "0.2 -0.1"])
def test_box_without_an_area_is_fatal(tmp_path, size):
    found = yolo_with(tmp_path, f"0 0.5 0.5 {size}\n1 0.5 0.5 0.4 0.4\n")
    assert codes(found)


def test_degenerate_box_is_left_out_and_counted(tmp_path):
    found = yolo_with(tmp_path, "0 0.5 0.5 0.02 0.2\n1 0.5 0.5 0.4 0.4\n")
    only(found, "degenerate_box", "warning")
    sample = next(s for s in found.dataset.samples if s.path.endswith("00.png"))
    assert [found.dataset.names[i] for i in sample.labels] == ["ring"]


@pytest.mark.parametrize(
    "line", ["0 0.5 0.5 0.1", "zero 0.5 0.5 0.1 0.1", "0.5 0.5 0.5 0.1 0.1", "0 nan 0.5 0.1 0.1"]
)
def test_malformed_yolo_line(tmp_path, line):
    found = yolo_with(tmp_path, f"\n{line}\n")
    assert only(found, "malformed_annotation").file == "labels/train/00.txt:2"


def test_unknown_class__id_and_name(tmp_path):
    finding = only(yolo_with(tmp_path / "yolo", "7 0.5 0.5 0.1 0.1\n"), "unknown_class")
    assert finding.file == "labels/train/00.txt:1"
    write_folders(tmp_path / "folders", toys())
    found = prepared(tmp_path / "folders", "classification", classes=["disc", "ring"])
    assert {(f.code, f.file) for f in found.findings} == {
        ("unknown_class", "train/square"),
        ("unknown_class", "test/square"),
        ("empty_split", "test"),
    }


def test_malformed_coco(tmp_path):
    write_coco_single(tmp_path, toys())
    document = coco_document(toys())
    document["annotations"][0]["bbox"] = [1, 2, 3]
    document["annotations"][1]["image_id"] = 999
    document["categories"].append({"id": 7, "name": "other"})
    write_text(tmp_path / "everything.json", json.dumps(document))
    found = prepared(tmp_path, "detection")
    assert codes(found) == ["conflicting_classes", "malformed_annotation", "unknown_image"]


def test_boxes_drawn_on_a_larger_image(tmp_path):
    made = toys()
    write_voc(tmp_path, made)
    write_text(tmp_path / "Annotations/00.xml", voc_text(made[0], size=(640, 480)))
    finding = only(prepared(tmp_path, "detection"), "size_differs", "warning")
    assert "640x480" in finding.reason


def test_mask_of_wrong_size(tmp_path):
    write_masks(tmp_path, toys())
    save(np.zeros((HEIGHT, WIDTH + 1), np.uint8), tmp_path / "train/masks/00.png")
    assert only(prepared(tmp_path, "segmentation"), "mask_size_differs").file.endswith("00.png")


def test_mask_with_unknown_ids(tmp_path):
    write_masks(tmp_path, toys())
    save(np.full((HEIGHT, WIDTH), 77, np.uint8), tmp_path / "train/masks/00.png")
    assert "77" in only(prepared(tmp_path, "segmentation"), "unknown_mask_id").reason


def test_mask_in_colours(tmp_path):
    write_masks(tmp_path, toys())
    save(np.full((HEIGHT, WIDTH, 3), (200, 10, 10), np.uint8), tmp_path / "train/masks/00.png")
    assert "colours" in only(prepared(tmp_path, "segmentation"), "broken_mask").reason


def test_class_not_in_train(tmp_path):
    made = toys(18)
    write_folders(tmp_path, [t for t in made if t.split != "train" or t.label != 1])
    for toy in made[:3]:
        save(toy.pixels[::-1].copy(), tmp_path / "val/ring" / f"{toy.name}.png")
    found = prepared(tmp_path, "classification")
    finding = next(f for f in found.findings if f.code == "class_not_in_train")
    assert (finding.file, finding.severity) == ("ring", "fatal")
    assert "val" in finding.reason


def test_one_class_only(tmp_path):
    made = toys(18)
    for toy in made:
        save(toy.pixels, tmp_path / toy.split / "disc" / f"{toy.name}.png")
    assert "disc" in only(prepared(tmp_path, "classification"), "too_few_classes").reason


def test_empty_split__named_but_empty(tmp_path):
    write_folders(tmp_path, [t for t in toys() if t.split == "train"])
    (tmp_path / "val" / "disc").mkdir(parents=True)
    found = prepared(tmp_path, "classification")
    assert only(found, "empty_split", "warning").file == "val"
    assert found.dataset.counts() == {"train": 6, "val": 2}


def test_empty_split__nothing_left_to_train_on(tmp_path):
    write_voc(tmp_path, toys())
    (tmp_path / "ImageSets/Main/train.txt").write_text("")
    found = prepared(tmp_path, "detection")
    assert codes(found) == ["empty_split"]
    assert found.findings[0].file == "train"


def test_empty_split__val_switched_off(tmp_path):
    write_csv(tmp_path, toys(), splits=False)
    found = prepared(tmp_path, "classification", split={"val": 0.0})
    assert only(found, "empty_split").file == "val"


def test_nothing_usable(tmp_path):
    write_folders(tmp_path, toys())
    for image in tmp_path.rglob("*.png"):
        image.write_bytes(b"")
    found = prepared(tmp_path, "classification")
    assert set(codes(found)) == {"broken_image", "no_images"}
    assert found.dataset.samples == ()


def test_duplicate_across_splits(tmp_path):
    made = toys()
    write_folders(tmp_path, made)
    save(made[0].pixels, tmp_path / "val/disc/copy.png")
    finding = only(prepared(tmp_path, "classification"), "duplicate_across_splits")
    assert finding.file == "val/disc/copy.png"
    assert "train/disc/00.png" in finding.reason


def test_same_bytes_with_two_labels(tmp_path):
    made = toys()
    write_folders(tmp_path, made)
    save(made[0].pixels, tmp_path / "train/ring/copy.png")
    finding = only(prepared(tmp_path, "classification"), "conflicting_labels", "warning")
    assert "`disc` and `ring`" in finding.reason


def test_image_in_two_splits__is_judged_on_not_learnt_from(tmp_path):
    write_voc(tmp_path, toys())
    with (tmp_path / "ImageSets/Main/train.txt").open("a") as file:
        file.write("\n04\n")
    found = prepared(tmp_path, "detection")
    assert only(found, "listed_twice", "warning").file == "JPEGImages/04.png"
    assert {s.path: s.split for s in found.dataset.samples}["JPEGImages/04.png"] == "val"


def test_image_in_two_splits__val_equal_to_train_is_drawn_instead(tmp_path):
    write_yolo(tmp_path, toys())
    text = (tmp_path / "data.yaml").read_text().replace("images/val", "images/train")
    write_text(tmp_path / "data.yaml", text.replace("test: images/test\n", ""))
    found = prepared(tmp_path, "detection")
    assert set(codes(found, "warning")) == {"listed_twice", "empty_split"}
    assert codes(found) == []
    assert found.dataset.counts() == {"train": 6, "val": 2}


def test_csv_rows(tmp_path):
    made = toys()
    write_csv(tmp_path, made)
    rows = (
        f"pictures/00.png,{NAMES[1]},train\npictures/01.png,,train\npictures/02.png,square,dev2\n"
    )
    with (tmp_path / "labels.csv").open("a") as file:
        file.write(rows + f"pictures/03.png,{NAMES[0]},train\n")
    found = prepared(tmp_path, "classification")
    assert [(f.code, f.file) for f in found.findings] == [
        ("conflicting_labels", "labels.csv:14"),
        ("no_class", "labels.csv:15"),
        ("unknown_split", "labels.csv:16"),
        ("listed_twice", "labels.csv:17"),
    ]


def test_image_without_a_class_folder(tmp_path):
    made = toys()
    write_folders(tmp_path, made)
    save(made[0].pixels, tmp_path / "train/loose.png")
    assert only(prepared(tmp_path, "classification"), "no_class", "warning").file.endswith(
        "loose.png"
    )


def _turned(path, orientation):
    """The same picture, stored turned, with an EXIF note that turns it back."""
    back = {
        3: Image.Transpose.ROTATE_180,
        6: Image.Transpose.ROTATE_90,
        8: Image.Transpose.ROTATE_270,
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.open(path).transpose(back[orientation]).save(path, exif=exif)


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_exif__boxes_drawn_on_the_upright_image_stay(tmp_path, orientation):
    made = toys()
    write_voc(tmp_path, made)
    plain = prepared(tmp_path, "detection").dataset
    _turned(tmp_path / "JPEGImages/00.png", orientation)
    found = prepared(tmp_path, "detection")
    assert found.findings == ()
    assert found.dataset.samples[0].boxes == plain.samples[0].boxes
    assert (found.dataset.samples[0].width, found.dataset.samples[0].height) == (WIDTH, HEIGHT)


@pytest.mark.parametrize("orientation", [6, 8])
def test_exif__boxes_drawn_on_the_stored_pixels_turn_with_them(tmp_path, orientation):
    made = toys()
    write_voc(tmp_path, made)
    plain = prepared(tmp_path, "detection").dataset
    _turned(tmp_path / "JPEGImages/00.png", orientation)
    stored = [
        (
            c,
            (y0, WIDTH - x1, y1, WIDTH - x0)
            if orientation == 6
            else (HEIGHT - y1, x0, HEIGHT - y0, x1),
        )
        for c, (x0, y0, x1, y1) in made[0].boxes
    ]
    turned = type(made[0])(**{**vars(made[0]), "boxes": tuple(stored)})
    write_text(tmp_path / "Annotations/00.xml", voc_text(turned, size=(HEIGHT, WIDTH)))
    found = prepared(tmp_path, "detection")
    assert found.findings == ()
    assert found.dataset.samples[0].boxes == plain.samples[0].boxes


def test_exif__mask_drawn_on_the_stored_pixels_is_said(tmp_path):
    made = toys()
    write_masks(tmp_path, made)
    _turned(tmp_path / "train/images/00.png", 6)
    assert prepared(tmp_path, "segmentation").findings == ()
    save(np.rot90(made[0].mask).copy(), tmp_path / "train/masks/00.png")
    finding = only(prepared(tmp_path, "segmentation"), "mask_size_differs")
    assert "EXIF" in finding.reason


def test_symlink_loops_end(tmp_path):
    write_folders(tmp_path, toys())
    (tmp_path / "train/disc/again").symlink_to(tmp_path / "train")
    (tmp_path / "train/disc/self").symlink_to(tmp_path / "train/disc")
    (tmp_path / "train/disc/loop.png").symlink_to(tmp_path / "train/disc/loop.png")
    found = prepared(tmp_path, "classification")
    assert "missing_image" in codes(found) or "broken_image" in codes(found)


def test_hidden_files_are_not_images(tmp_path):
    write_folders(tmp_path, toys())
    (tmp_path / "train/disc/._00.png").write_bytes(b"mac")
    (tmp_path / "train/.ipynb_checkpoints").mkdir()
    (tmp_path / "train/disc/Thumbs.db").write_bytes(b"win")
    save(toys(1)[0].pixels[::2], tmp_path / "train/disc/@eaDir/00.png/thumbnail.png")
    assert prepared(tmp_path, "classification").findings == ()


def test_prepare__writes_nothing_into_the_data(tmp_path):
    write_coco_single(tmp_path, toys())

    def state():
        return sorted((str(p), p.stat().st_mtime_ns) for p in [tmp_path, *tmp_path.rglob("*")])

    before = state()
    prepared(tmp_path, "detection")
    assert state() == before


@pytest.mark.parametrize("channels", [1, 3])
def test_narrow_sixteen_bit_range_is_said(tmp_path, channels):
    for toy in toys():
        path = tmp_path / NAMES[toy.label] / f"{toy.name}.png"
        path.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(path), toy.pixels[:, :, :channels].astype(np.uint16) * 16)
    finding = only(prepared(tmp_path, "classification"), "narrow_range", "warning")
    assert "nearly black" in finding.reason


def test_two_classes_of_one_name(tmp_path):
    write_coco_single(tmp_path, toys())
    document = coco_document(toys())
    document["categories"][0]["name"] = "ring"
    write_text(tmp_path / "everything.json", json.dumps(document))
    assert only(prepared(tmp_path, "detection"), "duplicate_class").file == "ring"


def test_name_that_is_not_utf8__is_kept_and_written_as_an_escape(tmp_path):
    write_folders(tmp_path / "set", toys())
    odd = os.fsencode(tmp_path / "set/train/disc") + b"/\xff.png"
    os.rename(tmp_path / "set/train/disc/00.png", odd)  # noqa: PTH104  a name of bytes
    found = prepared(tmp_path / "set", "classification")
    assert found.findings == ()
    assert "train/disc/\udcff.png" in {s.path for s in found.dataset.samples}
    found.dataset.write(tmp_path / "dataset.json")
    assert Dataset.read(tmp_path / "dataset.json") == found.dataset


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("labels.csv", "path,label\nü,ä\n".encode("latin-1"), "not UTF-8"),
        ("data.yaml", b"names: {a: b}\ntrain: .\n", "not whole numbers"),
        ("data.yaml", b"names: [a]\ntrain: nowhere\n", "`nowhere` does not exist"),
        ("set.json", b'{"images": 1, "annotations": 2, "categories": 3}', "no lists"),
        ("set.json", b'{"images", "annotations", "categories"}', "not valid JSON"),
    ],
)
def test_file_that_cannot_be_read_as_a_whole(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    save(toys()[0].pixels, tmp_path / "a.png")
    task = "classification" if name.endswith("csv") else "detection"
    with pytest.raises(DataError, match=message) as caught:
        prepared(tmp_path, task)
    assert caught.value.faults[0].hint
    assert str(tmp_path) in caught.value.faults[0].where


def test_unrelated_broken_yaml_is_no_matter(tmp_path):
    write_folders(tmp_path, toys())
    write_text(tmp_path / "chart.yaml", "{{ .Values }}: [")
    assert prepared(tmp_path, "classification").findings == ()
