"""Every layout is recognised by itself; what is not says what was looked for."""

import pytest

from automl.data.recognise import READERS, recognise
from automl.errors import DataError
from tests.data.drawn import (
    write_cvat,
    write_datumaro,
    write_jsonl,
    write_labelme,
    write_lists,
    write_object_masks,
    write_openimages,
)
from tests.data.toys import (
    NAMES,
    prepared,
    save,
    toys,
    write_coco,
    write_csv,
    write_folders,
    write_masks,
    write_text,
    write_voc,
    write_yolo,
)


def write_index(root, made):
    """As `automl check --fix` leaves it: the index alone, of images elsewhere."""
    prepared(write_coco(root / "set", made), "detection").dataset.write(root / "dataset.json")


WRITERS = {
    "index": write_index,
    "coco": write_coco,
    "yolo": write_yolo,
    "voc": write_voc,
    "masks": write_masks,
    "object_masks": write_object_masks,
    "csv": write_csv,
    "folders": write_folders,
    "labelme": write_labelme,
    "cvat": write_cvat,
    "datumaro": write_datumaro,
    "openimages": write_openimages,
    "jsonl": write_jsonl,
    "lists": write_lists,
}


@pytest.mark.parametrize("name", READERS)
def test_recognise__every_format(tmp_path, name):
    WRITERS[name](tmp_path, toys())
    found = recognise(tmp_path)
    assert (found.format, found.task) == (name, READERS[name].tasks[0])
    assert "`" in found.why or "folder" in found.why
    assert "also" not in found.why


def test_recognise__several_formats_are_said(tmp_path):
    write_yolo(tmp_path, toys())
    write_coco(tmp_path, toys())
    found = recognise(tmp_path)
    assert found.format == "coco"
    assert "also looks like yolo" in found.why


def test_recognise__task_picks_among_formats(tmp_path):
    write_yolo(tmp_path, toys())
    write_masks(tmp_path, toys(), layout="split last")
    assert recognise(tmp_path).task == "detection"
    assert recognise(tmp_path, "segmentation").format == "masks"


def test_recognise__unknown_lists_what_was_looked_for(tmp_path):
    with pytest.raises(DataError) as caught:
        recognise(tmp_path)
    for name in READERS:
        assert f"{name}:" in str(caught.value)


def test_recognise__wrong_task_is_named(tmp_path):
    write_voc(tmp_path, toys())
    with pytest.raises(DataError) as caught:
        prepared(tmp_path, "segmentation")
    assert "set `task: detection`" in caught.value.faults[0].hint


def test_recognise__missing_path(tmp_path):
    with pytest.raises(DataError, match="no such file or folder"):
        recognise(tmp_path / "nothing")


def test_prepare__format_that_does_not_serve_the_task(tmp_path):
    write_yolo(tmp_path, toys())
    with pytest.raises(DataError, match="serves detection"):
        prepared(tmp_path, "classification", format="yolo")


FOREIGN = {
    "train.tfrecord": ("TFRecord", ""),
    "via.json": (
        "VIA",
        '{"a.jpg1": {"regions": [{"shape_attributes": {}, "region_attributes": {}}]}}',
    ),
    "ann/a.jpg.json": ("Supervisely", '{"objects": [{"classTitle": "a", "geometryType": "line"}]}'),
    "train/_annotations.createml.json": (
        "CreateML",
        '[{"image": "a.jpg", "annotations": [{"coordinates": {"x": 1}}]}]',
    ),
    "project.json": ("Label Studio", '[{"result": [{"from_name": "label", "to_name": "image"}]}]'),
    "train/data-00000-of-00001.arrow": ("to_parquet", ""),
    "annotations/panoptic_val.json": (
        "panopticapi",
        '{"images": [], "annotations": [{"segments_info": []}], "categories": []}',
    ),
    "masks/a.npy": ("NumPy", ""),
    "labels.xlsx": ("as CSV", ""),
    "setid.mat": ("labels as CSV", ""),
    "via_project_csv.csv": ("VIA", "filename,region_shape_attributes,region_attributes\n"),
    "project-1.json": (
        "Label Studio",
        '[{"image": "a", "label": [{"original_width": 4, "rectanglelabels": ["b"]}]}]',
    ),
    "labels/train.json": ("BDD100K", '[{"name": "a.png", "labels": [{"box2d": {"x1": 1}}]}]'),
    "JPEGs/a.txt": ("call the folder of images `images`", "0 0.5 0.5 0.25 1\n"),
    "annotations/a.json": ("export it as COCO", '{"item": {"slots": []}}'),
    "label_2/a.txt": ("`label_2/a.txt` belongs to an image", "Car 0.00 0 -1.58 587.01 173.33"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_recognise__sets_of_other_tools_are_named_with_the_way_out(tmp_path, name):
    told, text = FOREIGN[name]
    save(toys(1)[0].pixels, tmp_path / "images" / "a.png")
    write_text(tmp_path / name, text)
    with pytest.raises(DataError) as caught:
        recognise(tmp_path)
    assert told in caught.value.faults[0].hint


def test_recognise__a_set_in_the_folder_inside_is_named(tmp_path):
    write_folders(tmp_path / "Objects", toys())
    with pytest.raises(DataError) as caught:
        recognise(tmp_path)
    hint = caught.value.faults[0].hint
    assert hint == "`Objects` inside is a set for classification: set `data.path` to it"


def test_recognise__a_set_deeper_inside_is_named(tmp_path):
    """Files of other programs beside it say less."""
    write_folders(tmp_path / "UCMerced" / "Images", toys())
    write_text(tmp_path / "lists.mat", "")
    with pytest.raises(DataError) as caught:
        recognise(tmp_path)
    hint = caught.value.faults[0].hint
    assert hint == "`UCMerced/Images` inside is a set for classification: set `data.path` to it"


@pytest.mark.parametrize("folder", ["seg_{}", "seg_{0}/seg_{0}", "{0}/{0}", "{0}ing_set"])
def test_folders__splits_of_longer_names_and_folders_in_folders(tmp_path, folder):
    """As Kaggle packs them."""
    for toy in toys():
        split = "train" if toy.split == "train" else "test"
        top = tmp_path / folder.format(split)
        save(toy.pixels, top / NAMES[toy.label] / f"{toy.name}.png")
    save(255 - toys(1)[0].pixels, tmp_path / "seg_pred" / "0.png")
    assert recognise(tmp_path).format == "folders"
    found = prepared(tmp_path, "classification")
    assert [(f.code, f.file) for f in found.findings] == [("folder_left_out", "seg_pred")]
    assert found.dataset.names == list(NAMES)
    assert found.dataset.counts()["test"] == 4


def test_folders__of_images_of_splits_are_no_classes(tmp_path):
    """As COCO's pixel maps are beside its images."""
    for toy in toys():
        split = "train" if toy.split == "train" else "val"
        save(toy.pixels, tmp_path / f"{split}2017" / f"{toy.name}.png")
        save(toy.mask, tmp_path / "stuffthingmaps" / f"{split}2017" / f"{toy.name}.png")
    with pytest.raises(DataError, match="no known layout"):
        recognise(tmp_path)


def test_folders__of_folders_of_folders_are_told(tmp_path):
    """As rock, paper, scissors is: `rps/rps/rock` beside `rps-test-set/rps-test-set/rock`."""
    for toy in toys():
        top = "rps" if toy.split == "train" else "rps-test-set"
        save(toy.pixels, tmp_path / top / top / NAMES[toy.label] / f"{toy.name}.png")
    (told,) = [f for f in prepared(tmp_path, "classification").findings if "nested" in f.code]
    assert told.file == "rps/rps/disc"
    assert told.reason.startswith("5 folders inside class folders (12 images)")
    assert "'^[^/]+/[^/]+/([^/]+)/'" in told.cure
