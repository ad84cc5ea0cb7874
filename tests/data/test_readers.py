"""A toy set written in every format is read back as it was drawn."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from automl.data.ground_truth import truth
from automl.data.images import read_image
from automl.data.recognise import recognise
from automl.errors import DataError
from tests.data.toys import (
    COCO_IDS,
    HEIGHT,
    NAMES,
    WIDTH,
    coco_document,
    codes,
    prepared,
    save,
    toys,
    voc_text,
    write_coco,
    write_coco_beside,
    write_coco_single,
    write_csv,
    write_folders,
    write_masks,
    write_text,
    write_voc,
    write_yolo,
    write_yolo_split_first,
    write_yolo_tree,
)


def boxes_of(dataset, sample):
    return [
        (dataset.names[label], box) for label, box in zip(sample.labels, sample.boxes, strict=True)
    ]


def check_boxes(found, made, *, splits=True):
    dataset = found.dataset
    assert found.findings == ()
    samples = {s.path.rsplit("/", 1)[-1][:2]: s for s in dataset.samples}
    assert sorted(samples) == [toy.name for toy in made]
    for toy in made:
        sample = samples[toy.name]
        expected = [(NAMES[name], box) for name, box in toy.boxes]
        read = boxes_of(dataset, sample)
        assert [name for name, _ in read] == [name for name, _ in expected]
        np.testing.assert_allclose([b for _, b in read], [b for _, b in expected], atol=1e-3)
        assert (sample.width, sample.height) == (WIDTH, HEIGHT)
        assert len(sample.crowd) == len(sample.boxes)
        assert not splits or sample.split == toy.split


@pytest.mark.parametrize(
    "write",
    [
        write_coco,
        write_coco_beside,
        write_yolo,
        write_yolo_split_first,
        write_yolo_tree,
        write_voc,
    ],
)
def test_detection__written_read_equal(tmp_path, write):
    made = toys()
    found = prepared(write(tmp_path, made), "detection")
    assert found.dataset.format == write.__name__.split("_")[1]
    assert found.dataset.brought_splits == ("train", "val", "test")
    check_boxes(found, made)


def test_coco__single_file_has_its_splits_drawn(tmp_path):
    made = toys()
    found = prepared(write_coco_single(tmp_path, made), "detection")
    assert found.dataset.brought_splits == ()
    assert found.dataset.counts() == {"train": 10, "val": 2}
    check_boxes(found, made, splits=False)
    by_file = prepared(tmp_path / "everything.json", "detection")
    assert by_file.dataset.digest == found.dataset.digest


def test_coco__category_ids_are_kept(tmp_path):
    found = prepared(write_coco(tmp_path, toys()), "detection")
    ids = {c.name: c.id for c in found.dataset.classes}
    assert ids == dict(zip(NAMES, COCO_IDS, strict=True))
    assert [c.id for c in found.dataset.classes] == sorted(COCO_IDS)


def test_coco__recipe_orders_the_classes(tmp_path):
    made = toys()
    found = prepared(write_coco(tmp_path, made), "detection", classes=list(NAMES))
    assert found.dataset.names == list(NAMES)
    assert [c.id for c in found.dataset.classes] == list(COCO_IDS)
    check_boxes(found, made)


def test_coco__recipe_with_other_names_is_refused(tmp_path):
    write_coco(tmp_path, toys())
    with pytest.raises(DataError, match="the categories are disc, ring, square"):
        prepared(tmp_path, "detection", classes=["disc", "ring", "cube"])


def test_coco__crowd_is_kept(tmp_path):
    made = toys()
    write_coco_single(tmp_path, made)
    document = coco_document(made)
    document["annotations"][0]["iscrowd"] = 1
    write_text(tmp_path / "everything.json", json.dumps(document))
    dataset = prepared(tmp_path, "detection").dataset
    assert sum(sum(s.crowd) for s in dataset.samples) == 1


def test_yolo__download_is_never_looked_at(tmp_path):
    made = toys()
    write_yolo(tmp_path, made)
    trap = tmp_path.parent / "trap"
    with (tmp_path / "data.yaml").open("a") as file:
        file.write(f"download: |\n  from pathlib import Path\n  Path({str(trap)!r}).touch()\n")
    found = prepared(tmp_path, "detection")
    assert [(f.code, f.severity) for f in found.findings] == [("download_not_followed", "warning")]
    check_boxes(replace(found, findings=()), made)
    assert not trap.exists()


def test_yolo__yaml_tags_do_not_run(tmp_path):
    write_yolo(tmp_path, toys())
    (tmp_path / "data.yaml").write_text("names: !!python/object/apply:os.getcwd []\ntrain: x\n")
    with pytest.raises(DataError, match="not valid YAML"):
        prepared(tmp_path, "detection")


def test_yolo__outline_becomes_its_box(tmp_path):
    made = toys()
    write_yolo(tmp_path, made)
    write_text(tmp_path / "labels/train/00.txt", "2 0.1 0.2 0.5 0.2 0.5 0.6 0.3 0.8\n")
    dataset = prepared(tmp_path, "detection").dataset
    sample = next(s for s in dataset.samples if s.path.endswith("00.png"))
    assert boxes_of(dataset, sample) == [("square", (4.0, 6.0, 20.0, 24.0))]


def test_yolo__image_without_text_holds_nothing(tmp_path):
    write_yolo(tmp_path, toys())
    (tmp_path / "labels/train/00.txt").unlink()
    found = prepared(tmp_path, "detection")
    assert found.findings == ()
    assert found.profile.extra["images_without_objects"] == 1


def test_yolo__lists_of_images(tmp_path):
    made = toys()
    write_yolo(tmp_path, made)
    for split in ("train", "val", "test"):
        lines = [f"./images/{split}/{t.name}.png" for t in made if t.split == split]
        write_text(tmp_path / f"{split}.txt", "\n".join(lines))
    text = (tmp_path / "data.yaml").read_text()
    for split in ("train", "val", "test"):
        text = text.replace(f"images/{split}", f"{split}.txt")
    write_text(tmp_path / "data.yaml", text)
    check_boxes(prepared(tmp_path, "detection"), made)


def test_voc__boxes_count_from_one(tmp_path):
    made = toys(1)
    write_voc(tmp_path, made)
    for split in ("train", "val", "test"):
        (tmp_path / f"ImageSets/Main/{split}.txt").write_text("")
    (tmp_path / "ImageSets/Main/trainval.txt").write_text("00\n")
    text = "<annotation><object><name>ring</name><bndbox><xmin>1</xmin><ymin>1</ymin>"
    text += f"<xmax>{WIDTH}</xmax><ymax>{HEIGHT}</ymax></bndbox></object></annotation>"
    write_text(tmp_path / "Annotations/00.xml", text)
    (tmp_path / "ImageSets/Main/train.txt").unlink()
    sample = prepared(tmp_path, "detection").dataset.samples[0]
    assert sample.boxes == ((0.0, 0.0, WIDTH, HEIGHT),)


def test_voc__trainval_is_divided_where_train_is_not_listed(tmp_path):
    made = toys()
    write_voc(tmp_path, made)
    (tmp_path / "ImageSets/Main/train.txt").unlink()
    (tmp_path / "ImageSets/Main/val.txt").unlink()
    dataset = prepared(tmp_path, "detection").dataset
    assert dataset.brought_splits == ("test",)
    assert dataset.counts() == {"train": 8, "val": 2, "test": 2}


def test_voc__images_and_xml_side_by_side(tmp_path):
    made = toys()
    for toy in made:
        folder = {"val": "valid"}.get(toy.split, toy.split)
        save(toy.pixels, tmp_path / folder / f"{toy.name}.png")
        write_text(tmp_path / folder / f"{toy.name}.xml", voc_text(toy))
    check_boxes(prepared(tmp_path, "detection"), made)


def test_voc__difficult_is_not_judged(tmp_path):
    made = toys()
    write_voc(tmp_path, made)
    text = voc_text(made[0]).replace("<difficult>0", "<difficult>1")
    write_text(tmp_path / "Annotations/00.xml", text)
    dataset = prepared(tmp_path, "detection").dataset
    assert [s.crowd for s in dataset.samples if True in s.crowd] == [(True,)]


def test_voc__entities_are_refused(tmp_path):
    write_voc(tmp_path, toys())
    bomb = '<!DOCTYPE a [<!ENTITY b "boom">]><annotation>&b;</annotation>'
    write_text(tmp_path / "Annotations/00.xml", bomb)
    assert codes(prepared(tmp_path, "detection")) == ["malformed_annotation"]


def check_labels(found, made, *, splits=True):
    assert found.findings == ()
    samples = {s.path.rsplit("/", 1)[-1][:2]: s for s in found.dataset.samples}
    assert sorted(samples) == [toy.name for toy in made]
    for toy in made:
        sample = samples[toy.name]
        assert found.dataset.names[sample.label] == NAMES[toy.label]
        assert not splits or sample.split == toy.split


@pytest.mark.parametrize("write", [write_folders, write_csv])
@pytest.mark.parametrize("splits", [True, False])
def test_classification__written_read_equal(tmp_path, write, splits):
    made = toys(18)
    found = prepared(write(tmp_path, made, splits=splits), "classification")
    check_labels(found, made, splits=splits)
    assert found.dataset.names == sorted(NAMES)


def test_folders__deeper_folders_and_upper_case(tmp_path):
    made = toys()
    for toy in made:
        place = tmp_path / NAMES[toy.label] / "2024" / f"{toy.name}.PNG"
        save(toy.pixels, place.with_suffix(".png")).rename(place)
    check_labels(prepared(tmp_path, "classification"), made, splits=False)


@pytest.mark.parametrize("splits", [True, False])
def test_folders__inside_class_folders_are_told_with_a_pattern_that_fits(tmp_path, splits):
    made = toys(18)
    for i, toy in enumerate(made):
        top = tmp_path / toy.split if splits else tmp_path
        save(toy.pixels, top / NAMES[toy.label] / f"patient {i % 9}" / f"{toy.name}.png")
    found = prepared(tmp_path, "classification")
    (told,) = [f for f in found.findings if f.code == "nested_folders"]
    assert told.severity == "warning"
    assert "(18 images): their images count as the class above" in told.reason
    pattern = told.cure.split("'")[1]
    grouped = prepared(tmp_path, "classification", group=pattern)
    assert {s.group for s in grouped.dataset.samples} == {f"patient {i}" for i in range(9)}


def test_folders__splits_below_the_classes_are_told(tmp_path):
    for toy in toys(18):
        save(toy.pixels, tmp_path / NAMES[toy.label] / toy.split / f"{toy.name}.png")
    found = prepared(tmp_path, "classification")
    (told,) = [f for f in found.findings if f.code == "split_in_class"]
    assert "put the splits above" in told.cure
    assert "nested_folders" not in {f.code for f in found.findings}


def test_folders__a_class_may_be_called_train(tmp_path):
    for name in ("train", "bus"):
        for toy in toys(5, seed=len(name)):
            save(toy.pixels, tmp_path / name / f"{toy.name}.png")
    found = prepared(tmp_path, "classification")
    assert found.dataset.names == ["bus", "train"]
    assert found.dataset.brought_splits == ()


def test_folders__numbers_sort_as_numbers_and_no_stays_text(tmp_path):
    for number, name in enumerate(("10", "9", "no")):
        for toy in toys(5, seed=number):
            save(toy.pixels, tmp_path / name / f"{toy.name}.png")
    assert prepared(tmp_path, "classification").dataset.names == ["9", "10", "no"]


def test_folders__recipe_gives_order_and_ids(tmp_path):
    write_folders(tmp_path, toys())
    classes = {5: "square", 3: "ring", 9: "disc"}
    dataset = prepared(tmp_path, "classification", classes=classes).dataset
    assert [(c.id, c.name) for c in dataset.classes] == [(3, "ring"), (5, "square"), (9, "disc")]
    dataset = prepared(tmp_path, "classification", classes=["square", "ring", "disc"]).dataset
    assert dataset.names == ["square", "ring", "disc"]


def one_hot(root, made, shown_of, more=()):
    header = ["image", *(f" {name}" for name in NAMES), *(name for name, _ in more)]
    lines = [",".join(header)]
    for toy in made:
        save(toy.pixels, root / "images" / f"{toy.name}.png")
        cells = ["1.0" if name in shown_of(toy) else "0.0" for name in NAMES]
        lines.append(",".join([toy.name, *cells, *(value for _, value in more)]))
    (root / "truth.csv").write_text("\n".join(lines) + "\n")


def test_one_hot__one_class_an_image(tmp_path):
    made = toys(18)
    one_hot(tmp_path, made, lambda toy: [NAMES[toy.label]])
    found = prepared(tmp_path, "classification")
    assert not found.dataset.multi_label
    assert found.dataset.names == list(NAMES)
    check_labels(found, made, splits=False)


def test_one_hot__several_classes_an_image(tmp_path):
    made = toys(18)
    one_hot(tmp_path, made, lambda toy: {NAMES[name] for name, _ in toy.boxes})
    dataset = prepared(tmp_path, "classification").dataset
    assert dataset.multi_label
    for toy, sample in zip(made, dataset.samples, strict=True):
        assert set(sample.labels) == {name for name, _ in toy.boxes}


def test_one_hot__other_columns_need_a_word_and_the_word_is_enough(tmp_path):
    made = toys(18)
    one_hot(tmp_path, made, lambda toy: [NAMES[toy.label]], [("age", "61"), ("sent", "1")])
    with pytest.raises(DataError) as caught:
        prepared(tmp_path, "classification")
    assert "`data.classes: [" in caught.value.faults[0].hint
    found = prepared(tmp_path, "classification", classes=list(NAMES))
    check_labels(found, made, splits=False)
    found = prepared(tmp_path, "classification", classes=list(NAMES), attributes=["age"])
    assert found.dataset.samples[0].attributes == (("age", "61"),)


def test_one_hot__what_is_neither_is_told_with_its_line(tmp_path):
    one_hot(tmp_path, toys(18), lambda toy: [NAMES[toy.label]])
    table = tmp_path / "truth.csv"
    table.write_text(table.read_text().replace("1.0", "-1", 1))
    found = prepared(tmp_path, "classification", classes=list(NAMES))
    (told,) = [f for f in found.findings if f.code == "malformed_annotation"]
    assert told.file == "truth.csv:2"
    assert "is `-1`, neither 0 nor 1" in told.reason


def test_csv__columns_in_the_recipe_are_enough_to_be_recognised(tmp_path):
    made = toys(18)
    lines = [f"{toy.name}.png,{NAMES[toy.label]}\n" for toy in made]
    for toy in made:
        save(toy.pixels, tmp_path / "train" / "all" / f"{toy.name}.png")
    (tmp_path / "list.csv").write_text("scan,dx\n" + "".join(lines))
    found = prepared(tmp_path, "classification", columns={"path": "scan", "label": "dx"})
    check_labels(found, made, splits=False)


def test_csv__semicolons_other_names_and_one_file_per_split(tmp_path):
    made = toys(18)
    for split in ("train", "val", "test"):
        rows = "".join(f"{t.name}.png;{NAMES[t.label]}\n" for t in made if t.split == split)
        write_text(tmp_path / f"{split}.csv", "\ufeffImage;Class\n" + rows)
    for toy in made:
        save(toy.pixels, tmp_path / "images" / f"{toy.name}.png")
    check_labels(prepared(tmp_path, "classification"), made)


def test_csv__images_elsewhere(tmp_path):
    made = toys(18)
    rows = ["path,label,split"]
    for toy in made:
        image = save(toy.pixels, tmp_path / "far" / "away" / f"{toy.name}.png")
        place = image if toy.label else f"../../far/away/{toy.name}.png"
        rows.append(f"{place},{NAMES[toy.label]},{toy.split}")
    table = write_text(tmp_path / "near" / "by" / "labels.csv", "\n".join(rows))
    found = prepared(table, "classification")
    check_labels(found, made)
    assert found.dataset.root == tmp_path.as_posix()
    assert found.dataset.samples[0].path == "far/away/00.png"


@pytest.mark.parametrize("layout", ["split first", "split last", "no split"])
def test_masks__written_read_equal(tmp_path, layout):
    made = toys()
    found = prepared(write_masks(tmp_path, made, layout=layout), "segmentation")
    assert found.findings == ()
    dataset = found.dataset
    assert dataset.names == ["ground", *NAMES]
    samples = {s.path[-6:-4]: s for s in dataset.samples}
    for toy in made:
        sample = samples[toy.name]
        assert np.array_equal(truth(dataset, sample).mask, toy.mask)
        assert layout == "no split" or sample.split == toy.split


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("dicom/{split}/{name}.png", "masks/{split}/{name}.png"),
        ("scans/{name}.png", "gt/{name}_segmentation.png"),
        ("{split}/{name}.png", "{split}annot/{name}.png"),
        ("{split}/{name}.png", "{split}_masks/{name}_mask.png"),
        (
            "leftImg8bit/{split}/town/{name}_leftImg8bit.png",
            "gtFine/{split}/town/{name}_gtFine_labelIds.png",
        ),
    ],
)
def test_masks__layouts_of_known_sets(tmp_path, image, mask):
    made = toys()
    for toy in made:
        save(toy.pixels, tmp_path / image.format(split=toy.split, name=toy.name))
        save(toy.mask, tmp_path / mask.format(split=toy.split, name=toy.name))
    town = tmp_path / "gtFine" / "train" / "town"
    if town.is_dir():
        save(made[0].pixels, town / f"{made[0].name}_gtFine_color.png")
    assert recognise(tmp_path).format == "masks"
    found = prepared(tmp_path, "segmentation")
    assert found.findings == ()
    by_name = {toy.name: toy for toy in made}
    assert len(found.dataset.samples) == len(made)
    for sample in found.dataset.samples:
        toy = by_name[Path(sample.path).stem.removesuffix("_leftImg8bit")]
        assert np.array_equal(truth(found.dataset, sample).mask, toy.mask)
        assert "{split}" not in image or sample.split == toy.split


@pytest.mark.parametrize("names", [("mask", "no_mask"), ("labels", "stamps")])
def test_masks__classes_of_such_names_stay_classes(tmp_path, names):
    for toy in toys():
        for name in names if names[0] == "mask" else names[toy.label % 2 :][:1]:
            save(toy.pixels, tmp_path / name / f"{toy.name}.png")
    assert recognise(tmp_path).format == "folders"


def test_masks__names_from_ids_where_nobody_names_them(tmp_path):
    write_masks(tmp_path, toys())
    (tmp_path / "classes.txt").unlink()
    dataset = prepared(tmp_path, "segmentation").dataset
    assert dataset.names == ["class_0", "class_1", "class_2", "class_3"]


def test_masks__gaps_between_ids_and_ignored_ones(tmp_path):
    made = toys()
    write_masks(tmp_path, made)
    (tmp_path / "classes.txt").unlink()
    for mask in tmp_path.glob("*/masks/*.png"):
        ids = read_image(mask)[:, :, 0]
        save(np.array([0, 50, 11, 200], np.uint8)[ids], mask)
    classes = {0: "ground", 50: "disc", 200: "square"}
    found = prepared(tmp_path, "segmentation", classes=classes, ignore=[11])
    assert found.findings == ()
    sample = next(s for s in found.dataset.samples if s.path.endswith("02.png"))
    expected = np.array([0, 1, 255, 2], np.uint8)[made[2].mask]
    assert np.array_equal(truth(found.dataset, sample).mask, expected)
    assert found.dataset.ignore == (11,)


@pytest.mark.parametrize("classes", [None, ["ground", "thing"]])
def test_masks__black_and_white_is_a_pair_of_classes(tmp_path, classes):
    made = toys()
    write_masks(tmp_path, made)
    (tmp_path / "classes.txt").unlink()
    for mask in tmp_path.glob("*/masks/*.png"):
        save((read_image(mask)[:, :, 0] > 0).astype(np.uint8) * 255, mask)
    found = prepared(tmp_path, "segmentation", classes=classes)
    assert found.findings == ()
    assert found.dataset.names == (classes or ["background", "foreground"])
    assert [c.id for c in found.dataset.classes] == [0, 255]
    assert found.dataset.ignore == ()
    sample = next(s for s in found.dataset.samples if s.path.endswith("02.png"))
    assert np.array_equal(truth(found.dataset, sample).mask, made[2].mask > 0)


def test_masks__mask_names_with_an_ending(tmp_path):
    made = toys()
    for toy in made:
        save(toy.pixels, tmp_path / "images" / f"{toy.name}.png")
        save(toy.mask, tmp_path / "masks" / f"{toy.name}_mask.png")
    found = prepared(tmp_path, "segmentation")
    assert found.findings == ()
    assert len(found.dataset.samples) == len(made)


def test_masks__ignored_class_is_taken_off_the_list(tmp_path):
    write_masks(tmp_path, toys())
    found = prepared(tmp_path, "segmentation", ignore=[3, 255])
    assert found.findings == ()
    assert found.dataset.names == ["ground", "disc", "ring"]
    assert found.dataset.ignore == (3, 255)
