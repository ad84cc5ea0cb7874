"""Pascal VOC as other tools write it: counted from 0, and in folders of splits."""

import re
from pathlib import Path

import numpy as np
import pytest

from automl.data.convert import convert
from automl.data.ground_truth import truth
from automl.data.recognise import recognise
from automl.talk import Silent
from tests.data.toys import (
    codes,
    prepared,
    save,
    toys,
    voc_text,
    write_text,
    write_voc,
    write_yolo,
)


def shifted(root: Path, change) -> None:
    """Both first edges of every box, by a function of the number."""
    for xml in (root / "Annotations").glob("*.xml"):
        text = re.sub(
            r"<(xmin|ymin)>(\d+)", lambda m: f"<{m[1]}>{change(int(m[2]))}", xml.read_text()
        )
        xml.write_text(text)


def boxes(found):
    return {s.path.rsplit("/", 1)[-1][:2]: sorted(s.boxes) for s in found.dataset.samples}


def expected(made, by=0.0):
    return {
        t.name: sorted((x0 + by, y0 + by, x1, y1) for _, (x0, y0, x1, y1) in t.boxes) for t in made
    }


def test_boxes_from_zero__one_edge_tells_all(tmp_path):
    made = toys()
    write_voc(tmp_path, made)
    assert any(0 in box[:2] for t in made for _, box in t.boxes)
    shifted(tmp_path, lambda edge: edge - 1)
    found = prepared(tmp_path, "detection")
    assert [c for c in codes(found, "warning") if c != "tiny_box"] == ["boxes_from_zero"]
    assert boxes(found) == expected(made)


def test_boxes_from_zero__as_cvat_and_datumaro_write_them(tmp_path):
    made = toys()
    write_voc(tmp_path, made)
    shifted(tmp_path, lambda edge: edge + 0.25)
    for xml in (tmp_path / "Annotations").glob("*.xml"):
        text = re.sub(r"<(xmax|ymax)>(\d+)", r"<\1>\2.0", xml.read_text())
        xml.write_text(text.replace("<difficult>", "<occluded>0</occluded><difficult>"))
    found = prepared(tmp_path, "detection")
    assert codes(found, "warning")[0] == "boxes_from_zero"
    assert boxes(found) == expected(made, 1.25)


@pytest.mark.parametrize("source", [write_yolo, write_voc])
def test_boxes_from_one__as_we_write_them_ourselves(tmp_path, source):
    """Fractions of a pixel come back as they were."""
    source(tmp_path / "from", toys())
    for label in (tmp_path / "from").glob("labels/*/*.txt"):
        rows = [line.split() for line in label.read_text().splitlines()]
        text = "".join(f"{k} {float(x) + 0.003} {y} {w} {h}\n" for k, x, y, w, h in rows)
        label.write_text(text)
    dataset, _, _ = convert(tmp_path / "from", tmp_path / "to", "voc", Silent())
    again = prepared(tmp_path / "to", "detection")
    assert "boxes_from_zero" not in codes(again, "warning")
    assert boxes(again) == {s.path[-6:-4]: sorted(s.boxes) for s in dataset.samples}


def test_boxes_from_one__a_few_fractions_and_a_fault_change_nothing(tmp_path):
    """The challenge of 2012 has some fractions; -4 is no first pixel in any way of counting."""
    made = toys()
    write_voc(tmp_path, made)
    first = tmp_path / "Annotations" / "00.xml"
    first.write_text(re.sub(r"<xmax>(\d+)", r"<xmax>\1.5", first.read_text(), count=1))
    other = tmp_path / "Annotations" / "01.xml"
    other.write_text(re.sub(r"<xmin>\d+", "<xmin>-4", other.read_text(), count=1))
    found = prepared(tmp_path, "detection")
    assert "boxes_from_zero" not in codes(found, "warning")
    assert {k: v for k, v in boxes(found).items() if k > "01"} == {
        k: v for k, v in expected(made).items() if k > "01"
    }


@pytest.mark.parametrize("layout", ["{split}/{kind}", "{kind}/{split}"])
@pytest.mark.parametrize("xmls", ["annotations", "Annotations"])
def test_folders_of_splits(tmp_path, layout, xmls):
    for toy in toys():
        images = tmp_path / layout.format(split=toy.split, kind="images")
        save(toy.pixels, images / f"{toy.name}.png")
        inside = tmp_path / layout.format(split=toy.split, kind=xmls)
        write_text(inside / f"{toy.name}.xml", voc_text(toy))
    assert recognise(tmp_path).format == "voc"
    found = prepared(tmp_path, "detection")
    assert found.findings == ()
    assert boxes(found) == expected(toys())
    assert found.dataset.counts() == {"train": 8, "val": 2, "test": 2}


@pytest.mark.parametrize("shape", ["robndbox", "polygon"])
def test_objects_of_other_shapes_are_refused_with_the_way_out(tmp_path, shape):
    write_voc(tmp_path, toys())
    xml = tmp_path / "Annotations" / "00.xml"
    xml.write_text(xml.read_text().replace("bndbox", shape))
    found = prepared(tmp_path, "detection")
    first = next(f for f in found.findings if f.severity == "fatal")
    assert f"a {shape} is not read" in first.reason


def test_pets__xml_in_a_folder_of_annotations(tmp_path):
    for toy in toys():
        save(toy.pixels, tmp_path / "images" / f"{toy.name}.png")
        write_text(tmp_path / "annotations/xmls" / f"{toy.name}.xml", voc_text(toy))
        save(toy.mask, tmp_path / "annotations/trimaps" / f"{toy.name}.png")
    assert recognise(tmp_path, "detection").format == "voc"
    assert recognise(tmp_path, "segmentation").format == "masks"
    assert boxes(prepared(tmp_path, "detection")) == expected(toys())


def test_masks__of_cvat_in_folders_below(tmp_path):
    """Images keep the folders that they were uploaded in."""
    for toy in toys():
        save(toy.pixels, tmp_path / "JPEGImages/day 1" / f"{toy.name}.png")
        save(toy.mask, tmp_path / "SegmentationClass/day 1" / f"{toy.name}.png")
    names = "".join(f"day 1/{toy.name}\n" for toy in toys())
    write_text(tmp_path / "ImageSets/Segmentation/default.txt", names)
    assert (recognise(tmp_path).format, recognise(tmp_path).task) == ("voc", "segmentation")
    found = prepared(tmp_path, "segmentation")
    assert found.findings == ()
    for sample in found.dataset.samples:
        toy = next(t for t in toys() if t.name in sample.path)
        assert np.array_equal(truth(found.dataset, sample).mask, toy.mask)
