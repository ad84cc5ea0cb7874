"""Run lengths as pycocotools reads and writes them; outlines by the middle of each pixel."""

import numpy as np
import pytest
from pycocotools import mask as oracle

from automl.data import rle
from automl.data.reading import Runs
from automl.data.regions import fill, outline, rings_of

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def masks():
    draw = np.random.default_rng(0)
    for share in (0.0, 0.02, 0.5, 0.98, 1.0):
        for size in ((1, 1), (1, 40), (37, 1), (64, 48), (300, 411)):
            yield draw.random(size) < share
    y, x = np.mgrid[:400, :500]
    yield (y - 200) ** 2 + (x - 250) ** 2 < 150**2


def test_runs__both_kinds_equal_pycocotools_both_ways():
    for mask in masks():
        size = mask.shape
        theirs = oracle.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()
        assert rle.encode(mask) == theirs
        assert np.array_equal(rle.decode(Runs(size, theirs)), mask)
        assert np.array_equal(rle.decode(Runs(size, rle.lengths(mask))), mask)
        read = oracle.decode({"size": list(size), "counts": rle.encode(mask).encode()})
        assert np.array_equal(read.astype(bool), mask)


@pytest.mark.parametrize("counts", [[], [3], [2, 3], [-1, 5], [5, -1], "", "!", "\x7f" * 9, "4é"])
def test_runs__that_do_not_fill_the_image_are_refused(counts):
    with pytest.raises(ValueError):
        rle.decode(Runs((2, 2), counts))


def slow(points, size):
    """Even-odd at each pixel's middle, one by one."""
    inside = np.zeros(size, bool)
    for row in range(size[0]):
        for column in range(size[1]):
            x, y, odd = column + 0.5, row + 0.5, False
            for (x0, y0), (x1, y1) in zip(points, np.roll(points, -1, axis=0), strict=True):
                if (y0 > y) != (y1 > y) and x > (y - y0) * (x1 - x0) / (y1 - y0) + x0:
                    odd = not odd
            inside[row, column] = odd
    return inside


def filled(points, size):
    top, left, part = fill(points, size)
    whole = np.zeros(size, bool)
    whole[top : top + part.shape[0], left : left + part.shape[1]] = part
    return whole


def test_fill__equals_a_slow_loop_also_outside_and_crossed():
    draw = np.random.default_rng(1)
    for i in range(60):
        size = tuple(draw.integers(3, 24, 2))
        points = draw.uniform(-8, 30, (3 + i % 6, 2))
        assert np.array_equal(filled(points, size), slow(points, size)), (points, size)


def test_fill__whole_pixels_are_exact_and_close_to_pycocotools():
    points = np.array([[2, 3], [9, 3], [9, 8], [2, 8]], float)
    mask = np.zeros((12, 12), bool)
    mask[3:8, 2:9] = True
    assert np.array_equal(filled(points, (12, 12)), mask)
    draw = np.random.default_rng(2)
    turns = np.sort(draw.uniform(0, 2 * np.pi, 40))
    radius = draw.uniform(60, 90, 40)
    star = np.stack([100 + radius * np.cos(turns), 100 + radius * np.sin(turns)], 1)
    ours = filled(star, (200, 200))
    theirs = oracle.decode(oracle.frPyObjects([star.ravel().tolist()], 200, 200))[:, :, 0] > 0
    assert (ours & theirs).sum() / (ours | theirs).sum() > 0.98


def test_fill__an_endless_zigzag_is_refused():
    points = np.array([[i, (i % 2) * 10_000] for i in range(1000)], float)
    with pytest.raises(ValueError, match="crosses"):
        fill(points, (10_000, 1000))


def test_outline__text_and_back():
    rings = [[1.0, 2.5, 3.0004, -0.0001, 5.0, 6.0], [0.0, 0.0, 1.0, 0.0, 1.0, 1.0]]
    assert outline(rings) == "1,2.5 3,0 5,6;0,0 1,0 1,1"
    assert rings_of(outline(rings)) == [[1.0, 2.5, 3.0, 0.0, 5.0, 6.0], rings[1]]
