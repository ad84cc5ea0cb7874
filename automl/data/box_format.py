"""Boxes that are wrong all over a set, but right in another format: which one was meant."""

from collections.abc import Callable, Sequence

import numpy as np

from automl.data.reading import fatal
from automl.data.scan import Scanned
from automl.dataset import Finding

FEWEST = 3
"""Boxes below which one mistake is as likely as another format."""

WRONG, RIGHT = 0.3, 0.97
"""Shares of boxes that must be wrong as they are, and right in the other format."""

_LOOKED_AT = 20_000


def check_format(scanned: Sequence[Scanned]) -> list[Finding]:
    """One finding for the whole set, where all its boxes seem to be meant otherwise."""
    rows = [
        (*box.corners, one.image.width, one.image.height, one.entry.relative)
        for one in scanned
        for box in one.entry.boxes
    ][:_LOOKED_AT]
    if len(rows) < FEWEST:
        return []
    table = np.array(rows, np.float64)
    table = table[(np.abs(table) < 1e9).all(1)]  # neither NaN nor what no image has room for
    relative = table[:, 6] > 0
    scale = np.where(relative[:, None], table[:, [4, 5, 4, 5]], 1.0)
    as_read = table[:, :4] * scale
    size = table[:, 4:6]
    if len(table) < FEWEST or (~_fits(as_read, size)).mean() < WRONG:
        return []
    for words, meant in _MEANT.items():
        boxes, possible = meant(table[:, :4], relative, size)
        if possible and _fits(boxes, size).mean() >= RIGHT:
            cure = "write the boxes in the format of the set, or name that format"
            return [fatal("box_format", ".", f"the boxes look like {words}", cure)]
    return []


def _fits(corners: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Whether boxes have a size and lie inside, but for rounding."""
    x0, y0, x1, y1 = corners.T
    inside = (x0 >= -1) & (y0 >= -1) & (x1 <= size[:, 0] + 1) & (y1 <= size[:, 1] + 1)
    return np.asarray(inside & (x1 - x0 > 1) & (y1 - y0 > 1))


_Meant = tuple[np.ndarray, bool]


def _corners(c: np.ndarray, relative: np.ndarray, size: np.ndarray) -> _Meant:
    """Width and height were added to numbers that were corners already."""
    meant = np.concatenate([c[:, :2], c[:, 2:] - c[:, :2]], axis=1)
    return meant * np.where(relative[:, None], np.tile(size, 2), 1.0), True


def _sizes(c: np.ndarray, relative: np.ndarray, size: np.ndarray) -> _Meant:
    """The last two numbers were taken for corners, but are width and height."""
    meant = np.concatenate([c[:, :2], c[:, :2] + c[:, 2:]], axis=1)
    return meant * np.where(relative[:, None], np.tile(size, 2), 1.0), True


def _shares(c: np.ndarray, relative: np.ndarray, size: np.ndarray) -> _Meant:
    possible = not relative.any() and bool((np.abs(c) <= 1.001).all())
    return c * np.tile(size, 2), possible


def _pixels(c: np.ndarray, relative: np.ndarray, size: np.ndarray) -> _Meant:
    return c, bool(relative.all()) and float(c.max()) > 2


def _middles(c: np.ndarray, relative: np.ndarray, size: np.ndarray) -> _Meant:
    """x and y of the middle, where those of the corner are expected."""
    half = (c[:, 2:] - c[:, :2]) / 2
    meant = np.concatenate([c[:, :2] - half, c[:, :2] + half], axis=1)
    return meant * np.where(relative[:, None], np.tile(size, 2), 1.0), True


_MEANT: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], _Meant]] = {
    "shares of the image, where pixels are expected": _shares,
    "pixels, where shares of the image are expected": _pixels,
    "corners (x0, y0, x1, y1), where x, y, width, height are expected": _corners,
    "x, y, width, height, where corners (x0, y0, x1, y1) are expected": _sizes,
    "x and y of the middle, where those of the corner are expected": _middles,
}
