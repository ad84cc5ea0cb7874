"""Where the images of a COCO or CVAT set lie, and how those stand that EXIF turns."""

import json

import numpy as np
import pytest
from PIL import Image

from automl.data.ground_truth import truth
from automl.data.recognise import recognise
from tests.data.drawn import painted, ring, write_cvat
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
    write_text,
)

FOLDERS = {"train": "train", "val": "valid", "test": "test"}


def boxes(found):
    return {s.path.rsplit("/", 1)[-1][:2]: sorted(s.boxes) for s in found.dataset.samples}


def expected(made):
    return {t.name: sorted(tuple(map(float, box)) for _, box in t.boxes) for t in made}


@pytest.mark.parametrize(
    ("image", "document"),
    [
        ("images/{split}2017/{name}.png", "annotations/{split}.json"),
        ("{folder}/images/{name}.png", "{folder}/annotations.json"),
        ("{split}_images/{name}.png", "annotations/instances_{split}.json"),
    ],
)
def test_coco__folders_of_splits(tmp_path, image, document):
    for split, folder in FOLDERS.items():
        mine = [t for t in toys() if t.split == split]
        for toy in mine:
            save(toy.pixels, tmp_path / image.format(split=split, folder=folder, name=toy.name))
        text = json.dumps(coco_document(mine))
        write_text(tmp_path / document.format(split=split, folder=folder), text)
    found = prepared(tmp_path, "detection")
    assert found.findings == ()
    assert boxes(found) == expected(toys())
    assert found.dataset.counts() == {"train": 8, "val": 2, "test": 2}


def test_coco__a_folder_of_any_name_where_it_alone_has_the_image(tmp_path):
    document = coco_document(toys())
    for toy, image in zip(toys(), document["images"], strict=True):
        image["file_name"] = f"batch\\{toy.name}.png"
        save(toy.pixels, tmp_path / "photos" / "batch" / f"{toy.name}.png")
    write_text(tmp_path / "labels.json", json.dumps(document))
    assert boxes(prepared(tmp_path, "detection")) == expected(toys())
    save(toys()[0].pixels, tmp_path / "other" / "batch" / "00.png")
    found = prepared(tmp_path, "detection")
    assert codes(found) == ["missing_image"]


def test_cvat__a_file_for_each_split(tmp_path):
    for split in ("train", "val"):
        made = [t for t in toys() if t.split == split]
        write_cvat(tmp_path / split, made)
        (tmp_path / split / "annotations.xml").rename(tmp_path / f"{split}.xml")
        text = (tmp_path / f"{split}.xml").read_text()
        write_text(tmp_path / f"{split}.xml", text.replace(f'subset="{split.title()}"', ""))
        for toy in made:
            save(toy.pixels, tmp_path / "images" / split / f"{toy.name}.png")
        for left in sorted((tmp_path / split).rglob("*"), reverse=True):
            left.unlink() if left.is_file() else left.rmdir()
        (tmp_path / split).rmdir()
    found = prepared(tmp_path, "detection")
    assert codes(found) == []
    assert boxes(found) == expected([t for t in toys() if t.split != "test"])
    assert found.dataset.counts() == {"train": 8, "val": 2}


TURNS = {1: 0, 6: 1, 8: -1, 3: 2}
"""EXIF orientation to the quarter turns that bring an upright picture to the stored one."""


def stored(array, orientation):
    return np.ascontiguousarray(np.rot90(array, TURNS[orientation]))


def box_of(mask):
    rows, columns = np.nonzero(mask)
    x, y = int(columns.min()), int(rows.min())
    return [x, y, int(columns.max()) + 1 - x, int(rows.max()) + 1 - y]


def write_turned(root, *, ignores_exif, kind="boxes"):
    made = toys()
    document = coco_document(made)
    document["annotations"] = []
    for i, (toy, image) in enumerate(zip(made, document["images"], strict=True)):
        orientation = list(TURNS)[i % 4]
        exif = Image.Exif()
        exif[0x0112] = orientation
        (root / "images").mkdir(parents=True, exist_ok=True)
        picture = Image.fromarray(stored(toy.pixels, orientation))
        picture.save(root / "images" / f"{toy.name}.png", exif=exif)
        as_drawn = orientation if ignores_exif else 1
        height, width = stored(toy.mask, as_drawn).shape
        image |= {"width": width, "height": height}
        for k, box in toy.boxes:
            x0, y0, x1, y1 = box
            mask = np.zeros((HEIGHT, WIDTH), bool)
            mask[y0:y1, x0:x1] = True
            x, y, w, h = box_of(stored(mask, as_drawn))
            own = {"image_id": image["id"], "category_id": COCO_IDS[k], "bbox": [x, y, w, h]}
            if kind == "outlines":
                own["segmentation"] = [ring((x, y, x + w, y + h))]
            document["annotations"].append({"id": len(document["annotations"]), **own})
    write_text(root / "annotations.json", json.dumps(document))
    return made


@pytest.mark.parametrize("ignores_exif", [True, False])
def test_exif__half_turns_follow_the_other_images_of_the_set(tmp_path, ignores_exif):
    """Their size alone says nothing of how the boxes were drawn."""
    made = write_turned(tmp_path, ignores_exif=ignores_exif)
    found = prepared(tmp_path, "detection")
    assert codes(found) == []
    assert boxes(found) == expected(made)


def test_exif__outlines_too(tmp_path):
    made = write_turned(tmp_path, ignores_exif=True, kind="outlines")
    found = prepared(tmp_path, "segmentation")
    by_name = {t.name: t for t in made}
    ids = [found.dataset.names.index(name) for name in ("background", *NAMES)]
    for sample in found.dataset.samples:
        want = np.array(ids)[painted(by_name[sample.path[-6:-4]])]
        assert np.array_equal(truth(found.dataset, sample).mask, want)


@pytest.mark.parametrize("numbered", [True, False])
@pytest.mark.parametrize("listed", [True, False])
def test_no_categories__one_class_that_is_told(tmp_path, numbered, listed):
    made = toys()
    document = coco_document(made)
    document["categories"] = []
    if not listed:
        del document["categories"]
    for annotation in document["annotations"]:
        annotation["category_id"] = 1
        if not numbered:
            del annotation["category_id"]
    for toy in made:
        save(toy.pixels, tmp_path / "images" / f"{toy.name}.png")
    write_text(tmp_path / "boxes.json", json.dumps(document))
    assert (recognise(tmp_path).format, recognise(tmp_path).task) == ("coco", "detection")
    found = prepared(tmp_path, "detection")
    assert [(f.code, f.severity) for f in found.findings] == [("one_class", "warning")]
    assert found.dataset.names == ["object"]
    assert [s.boxes for s in found.dataset.samples] == [
        tuple(tuple(map(float, box)) for _, box in toy.boxes) for toy in made
    ]


def test_no_categories__ids_that_differ_stay_unknown(tmp_path):
    document = coco_document(toys()) | {"categories": []}
    for toy in toys():
        save(toy.pixels, tmp_path / "images" / f"{toy.name}.png")
    write_text(tmp_path / "boxes.json", json.dumps(document))
    assert "unknown_class" in codes(prepared(tmp_path, "detection"))


def test_coco__lvis_names_images_by_their_address(tmp_path):
    for split in ("train", "val"):
        mine = [t for t in toys() if (t.split == "train") == (split == "train")]
        document = coco_document(mine)
        for toy, image in zip(mine, document["images"], strict=True):
            del image["file_name"]
            image["coco_url"] = f"http://images.cocodataset.org/train2017/{toy.name}.png"
            save(toy.pixels, tmp_path / "train2017" / f"{toy.name}.png")
        write_text(tmp_path / f"annotations/lvis_v1_{split}.json", json.dumps(document))
    found = prepared(tmp_path, "detection")
    assert found.findings == ()
    assert boxes(found) == expected(toys())
