"""Public sets beside the checkout, read as they are; skipped where they are absent."""

import time
from pathlib import Path

import pytest

from tests.data.toys import prepared

SETS = Path(__file__).parents[2].parent / "shared" / "data"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not SETS.is_dir(), reason="no sets beside the checkout"),
]
STREETS = [
    *("sky", "building", "pole", "road", "pavement", "tree"),
    *("sign", "fence", "car", "pedestrian", "bicyclist"),
]


@pytest.mark.parametrize(
    ("path", "task", "data", "fmt", "counts", "names"),
    [
        ("hymenoptera", "classification", {}, "folders", (243, 153, 0), ["ants", "bees"]),
        ("bccd", "detection", {}, "voc", (205, 87, 72), ["Platelets", "RBC", "WBC"]),
        (
            "camvid",
            "segmentation",
            {"classes": STREETS, "ignore": [11]},
            "masks",
            (367, 101, 0),
            STREETS,
        ),
        ("nuclei", "segmentation", {}, "masks", (28, 6, 6), ["class_0", "class_1"]),
        ("nuclei", "detection", {}, "coco", (28, 6, 6), ["nucleus"]),
        ("nuclei/data.yaml", "detection", {}, "yolo", (28, 6, 6), ["nucleus"]),
    ],
)
def test_prepare__real_set(path, task, data, fmt, counts, names):
    started = time.monotonic()
    found = prepared(SETS / path, task, **data)
    assert time.monotonic() - started < 60
    dataset = found.dataset
    assert not [f for f in found.findings if f.severity == "fatal"]
    assert (dataset.format, dataset.names) == (fmt, names)
    assert tuple(len(dataset.split(s)) for s in ("train", "val", "test")) == counts


def test_nuclei__coco_and_yolo_say_the_same():
    coco = prepared(SETS / "nuclei", "detection", format="coco").dataset
    yolo = prepared(SETS / "nuclei", "detection", format="yolo").dataset
    boxes = 0
    for a, b in zip(coco.samples, yolo.samples, strict=True):
        assert (a.path, a.split, a.digest) == (b.path, b.split, b.digest)
        for one, other in zip(sorted(a.boxes), sorted(b.boxes), strict=True):
            assert one == pytest.approx(other, abs=0.01)
            boxes += 1
    assert boxes == 372


def test_bccd__boxes_without_a_size_are_counted():
    found = prepared(SETS / "bccd", "detection")
    assert [(f.code, f.severity) for f in found.findings] == [("degenerate_box", "warning")] * 2
    assert sum(len(s.boxes) for s in found.dataset.samples) == 4886
