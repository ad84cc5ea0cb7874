"""Drawings show what they should, are large enough to read, and never touch their input."""

import cv2
import numpy as np
import pytest

from automl.prediction import IGNORE, Prediction, Truth
from automl.tasks.draw import LEGIBLE, draw
from automl.tasks.palette import colours, distance, hexes, ink_on
from automl.tasks.text_drawing import Lettering

NAMES = ["cat", "dog", '犬 <b>&"', "x" * 300]


def grey(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), 120, np.uint8)


def boxed(count: int, confidence: float = 0.9) -> Prediction:
    corners = np.random.default_rng(1).uniform(0, 300, (count, 2))
    boxes = np.concatenate([corners, corners + 80], axis=1).astype(np.float32)
    return Prediction(
        "a.png",
        boxes=boxes,
        labels=np.arange(count) % len(NAMES),
        confidences=np.full(count, confidence, np.float32),
    )


def has(image: np.ndarray, colour: np.ndarray) -> int:
    return int((image == colour).all(axis=-1).sum())


def test_draw__boxes_have_outline_and_tag_in_the_class_colour():
    shown = draw(grey(400, 500), NAMES, boxed(2))
    assert shown.shape == (400, 500, 3)
    assert shown.dtype == np.uint8
    assert has(shown, colours(2)[0]) > 800
    assert has(shown, colours(2)[1]) > 800
    assert has(shown, colours(3)[2]) == 0


def test_draw__box_edges_lie_where_the_box_is():
    truth = Truth("a.png", boxes=np.array([[100, 150, 300, 350]]), labels=np.array([0]))
    shown = draw(grey(400, 500), NAMES, truth)
    rows, columns = np.nonzero((shown[160:] == colours(1)[0]).all(axis=-1))
    assert columns.min() == pytest.approx(100, abs=2)
    assert columns.max() == pytest.approx(300, abs=2)
    assert rows.max() + 160 == pytest.approx(350, abs=2)


def test_draw__unsure_boxes_are_left_out():
    plain = grey(400, 500)
    assert (draw(plain, NAMES, boxed(3, 0.29)) == plain).all()
    assert (draw(plain, NAMES, boxed(3, 0.29), 0.2) != plain).any()


def test_draw__input_is_not_touched_and_drawing_repeats():
    image = grey(400, 500)
    first, second = (draw(image, NAMES, boxed(30)) for _ in range(2))
    assert (first == second).all()
    assert (image == 120).all()


def test_draw__small_images_grow_by_whole_pixels_and_boxes_with_them():
    truth = Truth("a.png", boxes=np.array([[2, 2, 6, 6]]), labels=np.array([0]))
    shown = draw(grey(8, 8), NAMES, truth)
    assert shown.shape == (LEGIBLE, LEGIBLE, 3)
    middle = shown[LEGIBLE // 2]
    edge = np.nonzero((middle == colours(1)[0]).all(axis=-1))[0]
    assert edge.min() == pytest.approx(LEGIBLE / 4, abs=2)
    assert edge.max() == pytest.approx(LEGIBLE * 3 / 4, abs=2)


@pytest.mark.parametrize("size", [(1, 1), (3, 900), (900, 3), (40, 1000)])
def test_draw__odd_shapes_of_every_task(size):
    image = grey(*size)
    mask = np.zeros(size, np.uint8)
    for shown in (
        boxed(4),
        Truth("a", mask=mask),
        Truth("a", label=3),
        Truth("a"),
        Truth("a", boxes=np.zeros((0, 4)), labels=np.zeros(0, int)),
        Prediction("a", probabilities=np.array([0.1, 0.2, 0.3, 0.4], np.float32)),
    ):
        assert draw(image, NAMES, shown).shape[2] == 3


def test_draw__longest_limits_large_images():
    shown = draw(grey(1200, 1600), NAMES, boxed(2), longest=400)
    assert shown.shape == (300, 400, 3)


def test_draw__mask_tints_classes_but_no_background_and_hatches_no_label():
    mask = np.zeros((400, 500), np.uint8)
    mask[100:300, 100:400] = 1
    mask[350:] = IGNORE
    shown = draw(grey(400, 500), ["background", "road"], Truth("a", mask=mask))
    assert (shown[50, 50] == 120).all()
    assert shown[120, 120] == pytest.approx(120 * 0.55 + colours(2)[1] * 0.45, abs=1)
    assert has(shown[98:103], colours(2)[1]) > 200
    hatch = shown[360:390]
    assert 0.1 < (hatch != 120).any(axis=-1).mean() < 0.4


def test_draw__mask_names_each_region_once():
    mask = np.zeros((400, 500), np.uint8)
    for index in range(5):
        cv2.circle(mask, (60 + 90 * index, 200), 8, index % 2 + 1, cv2.FILLED)
    shown = draw(grey(400, 500), ["background", "a", "b"], Truth("a", mask=mask))
    tag = Lettering.on(shown).height
    assert has(shown, colours(2)[1]) < 8 * tag * tag
    assert has(shown, colours(2)[1]) > tag * tag / 2


def test_draw__classification_gets_a_strip_with_the_best_first():
    shares = np.array([0.1, 0.7, 0.15, 0.05], np.float32)
    shown = draw(grey(400, 500), NAMES, Prediction("a", probabilities=shares))
    assert shown.shape[0] > 400
    assert (shown[:400] == 120).all()
    strip = shown[400:]
    first = [np.nonzero((strip == c).all(axis=-1))[0] for c in colours(3)]
    assert first[1].min() < first[2].min() < first[0].min()


def test_fit__long_names_are_cut_and_keep_their_tail():
    letters = Lettering.on(grey(400, 500))
    text = letters.fit(NAMES[3], 200, " 0.93")
    assert text.endswith("… 0.93")
    assert letters.width(text) <= 200
    assert letters.fit("cat", 200, " 0.93") == "cat 0.93"


def test_colours__far_apart_for_every_kind_of_eyes():
    first = colours(12).astype(np.uint8)
    gaps = [float(distance(a, b)) for i, a in enumerate(first) for b in first[:i]]
    # A just noticeable difference in OKLab is about 0.02.
    assert min(gaps) > 0.07
    assert len({tuple(c) for c in colours(256)}) == 256


def test_colours__depend_on_the_index_alone():
    assert (colours(300)[:5] == colours(5)).all()
    assert (colours(300)[256] == colours(1)[0]).all()
    assert hexes(1) == ["#56b4e9"]


def test_ink_on__black_on_light_white_on_dark():
    assert ink_on(np.array([240, 228, 66])) == (0, 0, 0)
    assert ink_on(np.array([0, 0, 120])) == (255, 255, 255)
