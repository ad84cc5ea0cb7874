"""Figures are small, accessible, well-formed SVG that follows the page's colours."""

import subprocess
import sys
from xml.etree import ElementTree

import numpy as np
import pytest

from automl.report import figures

HOSTILE = '<b>&"$x_1$ 犬'


def parsed(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg.replace("xlink:href", "href"))


def texts(svg: str) -> list[str]:
    return ["".join(t.itertext()) for t in parsed(svg).iter("text")]


def test_learning_curve__lines_legend_and_best_epoch():
    series = {"map": [0.1, None, 0.5], "map50": [0.2, 0.4, 0.6]}
    svg = figures.learning_curve([1, 2, 3], series, "Validation", best=3)
    label = parsed(svg).get("aria-label")
    assert label.startswith("Validation over 3 epochs")
    assert "mAP 50:95 from 0.100 to 0.500" in label
    assert {"mAP 50:95", "mAP 50", "best: 3", "epoch"} <= set(texts(svg))


@pytest.mark.parametrize("epochs", [[], [1]])
def test_learning_curve__no_and_one_epoch(epochs):
    svg = figures.learning_curve(epochs, {"loss": [0.5] * len(epochs)}, "Loss", best=1)
    assert bool(svg) == bool(epochs)


def test_learning_curve__nothing_known_is_nothing_drawn():
    assert figures.learning_curve([1, 2], {"loss": [None, None]}, "Loss") == ""
    assert figures.learning_curve([1, 2], {"loss": [float("nan")] * 2}, "Loss") == ""


def test_confusion__numbers_while_they_fit():
    svg = figures.confusion([[7, 1], [0, 9]], ["cat", HOSTILE])
    assert {"7", "1", "9", "cat", HOSTILE, "true class", "predicted class"} <= set(texts(svg))
    assert "94.1% on the diagonal" in parsed(svg).get("aria-label")


def test_confusion__percent_where_counts_are_long():
    svg = figures.confusion([[90_000, 10_000], [1, 99_999]], ["a", "b"])
    assert {"90", "10", "<1", "100"} <= set(texts(svg))


def test_confusion__many_classes_become_one_picture():
    counts = np.eye(100, dtype=int).tolist()
    svg = figures.confusion(counts, [f"class {i}" for i in range(100)])
    assert len(svg) < 60_000
    assert len(list(parsed(svg).iter("image"))) == 1
    assert "class 5" not in texts(svg)


def test_confusion__empty_rows_and_no_table():
    assert figures.confusion([], []) == ""
    assert figures.confusion([[0, 0], [0, 0]], ["a", "b"])


def test_precision_recall__few_are_named_many_are_pale():
    recall = np.linspace(0, 1, 101).tolist()
    curves = {f"class {i}": {"recall": recall, "precision": [i / 20] * 101} for i in range(20)}
    few = texts(figures.precision_recall(dict(list(curves.items())[:2])))
    assert {"class 0", "class 1", "mean"} <= {t.rpartition(" ")[0].strip() for t in few}
    named = [t for t in texts(figures.precision_recall(curves)) if t.startswith("class")]
    assert [t.split()[1] for t in named] == ["0", "1", "2", "3"]
    assert figures.precision_recall({}) == ""


def test_bars__order_and_both_ends_of_many():
    svg = figures.bars({"a": 0.5, "b": 0.9, "c": None}, "F1")
    names = [t for t in texts(svg) if t in {"a", "b", "c"}]
    assert names == ["b", "a"]
    many = figures.bars({f"n{i}": i / 100 for i in range(100)}, "F1")
    shown = [t for t in texts(many) if t.startswith("n")]
    assert len(shown) == figures.BARS
    assert shown[0] == "n99"
    assert shown[-1] == "n0"
    assert figures.bars({"a": None}, "F1") == ""


def test_calibration__draws_what_there_is():
    bins = {"images": [3, 9], "confidence": [0.4, 0.9], "accuracy": [0.3, 0.95]}
    assert "accuracy" in texts(figures.calibration(bins))
    assert figures.calibration({}) == ""


def test_svg__colours_come_from_the_page_and_repeat():
    first, second = (figures.bars({"a": 0.5}, "F1") for _ in range(2))
    assert first == second
    assert "var(--s1, #0067a8)" in first
    assert "<style" not in first
    assert "<metadata" not in first
    assert "http" not in first


def test_figures__no_global_state_and_lazy_import():
    code = (
        "import sys, automl.report.figures as f\n"
        "assert 'matplotlib' not in sys.modules\n"
        "f.bars({'a': 1.0}, 'F1')\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
        "import matplotlib; assert matplotlib.rcParams['svg.fonttype'] == 'path'\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
