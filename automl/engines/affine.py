"""Maps of the plane as 2x3 matrices, pixels moved along them, and boxes with them.

Coordinates are those of pixel edges, as everywhere: the first pixel spans 0 to 1.
"""

import math

import cv2
import numpy as np

from automl.data.images import STRONG_SHRINK, interpolation

Affine = tuple[float, float, float, float, float, float]
"""x' = a x + b y + c and y' = d x + e y + f."""

WHOLE = 1e-3
"""Of a pixel: so far off is still the same rectangle."""

UNMOVED: Affine = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def after(second: Affine, first: Affine) -> Affine:
    """First the first, then the second."""
    a, b, c, d, e, f = first
    g, h, i, j, k, n = second
    across = g * a + h * d, g * b + h * e, g * c + h * f + i
    return (*across, j * a + k * d, j * b + k * e, j * c + k * f + n)


def inverse(map: Affine) -> Affine:
    """The way back."""
    a, b, c, d, e, f = map
    det = a * e - b * d
    a, b, d, e = e / det, -b / det, -d / det, a / det
    return a, b, -a * c - b * f, d, e, -d * c - e * f


def window(left: float, top: float, width: float, height: float, size: tuple[int, int]) -> Affine:
    """Spreads a rectangle over a frame of this height and width."""
    across, down = size[1] / width, size[0] / height
    return across, 0.0, -left * across, 0.0, down, -top * down


def mirrored(size: tuple[int, int]) -> Affine:
    """Left and right of a frame of this height and width change places."""
    return -1.0, 0.0, float(size[1]), 0.0, 1.0, 0.0


def about_centre(
    size: tuple[int, int], scale: float, degrees: float, shift: tuple[float, float]
) -> Affine:
    """Turns and scales a frame about its centre, then shifts it by pixels to the right and down."""
    turn = math.radians(degrees)
    cos, sin = scale * math.cos(turn), scale * math.sin(turn)
    x, y = size[1] / 2, size[0] / 2
    right, down = shift
    return cos, -sin, x - cos * x + sin * y + right, sin, cos, y - sin * x - cos * y + down


def moved(
    image: np.ndarray, map: Affine, out: np.ndarray, border: int, fill: tuple[int, int, int]
) -> None:
    """Fills `out` with the image moved: linear, and means over areas where it shrinks much."""
    if image.shape == out.shape:
        if map == UNMOVED:
            np.copyto(out, image)
            return
        if map == mirrored(image.shape[:2]):
            cv2.flip(image, 1, dst=out)
            return
    part = _upright_part(image, map, out.shape[:2])
    if part is not None:  # a third of the work
        how = interpolation(part.shape, out.shape)
        cv2.resize(part, out.shape[1::-1], dst=out, interpolation=how)
        if map[0] < 0:
            cv2.flip(out, 1, dst=out)
        return
    image, map = _shrunk(image, map, out.shape[:2])
    _warp(image, map, out, cv2.INTER_LINEAR, border, fill)


def moved_mask(mask: np.ndarray, map: Affine, out: np.ndarray, fill: int) -> None:
    """The same for class indices, which are never mixed."""
    _warp(mask, map, out, cv2.INTER_NEAREST, cv2.BORDER_CONSTANT, (fill, fill, fill))


def _warp(
    image: np.ndarray,
    map: Affine,
    out: np.ndarray,
    how: int,
    border: int,
    fill: tuple[int, int, int],
) -> None:
    a, b, c, d, e, f = inverse(map)
    # From edges to centres: OpenCV's pixel 0 lies at 0, ours at one half.
    c, f = c + (a + b - 1) / 2, f + (d + e - 1) / 2
    cv2.warpAffine(
        image,
        np.array([[a, b, c], [d, e, f]]),
        (out.shape[1], out.shape[0]),
        dst=out,
        flags=how | cv2.WARP_INVERSE_MAP,
        borderMode=border,
        borderValue=fill,
    )


def _upright_part(image: np.ndarray, map: Affine, size: tuple[int, int]) -> np.ndarray | None:
    """What the frame will show, where that is a rectangle of whole pixels inside of the image."""
    if map[1] or map[3] or map[4] <= 0:
        return None
    seen = boxes_moved(np.array([[0, 0, size[1], size[0]]]), inverse(map))[0]
    left, top, right, bottom = (round(float(v)) for v in seen)
    if np.abs(seen - [left, top, right, bottom]).max() > WHOLE:
        return None
    if left < 0 or top < 0 or right > image.shape[1] or bottom > image.shape[0]:
        return None
    return image[top:bottom, left:right]


def _shrunk(image: np.ndarray, map: Affine, size: tuple[int, int]) -> tuple[np.ndarray, Affine]:
    """The part that will be seen, already as small as it will be, and the map that is left."""
    a, b, _, d, e, _ = map
    shrink = math.sqrt(abs(a * e - b * d))
    if shrink >= STRONG_SHRINK:
        return image, map
    height, width = image.shape[:2]
    seen = boxes_moved(np.array([[0, 0, size[1], size[0]]]), inverse(map))[0]
    margin = 2 / shrink
    left, top = (max(0, math.floor(v - margin)) for v in seen[:2])
    right, bottom = (
        min(width, math.ceil(seen[2] + margin)),
        min(height, math.ceil(seen[3] + margin)),
    )
    if right <= left or bottom <= top:
        return image, map
    part = image[top:bottom, left:right]
    to = max(1, round(part.shape[0] * shrink)), max(1, round(part.shape[1] * shrink))
    small = cv2.resize(part, to[::-1], interpolation=cv2.INTER_AREA)
    back = inverse(window(left, top, right - left, bottom - top, to))
    return small, after(map, back)


def boxes_moved(boxes: np.ndarray, map: Affine) -> np.ndarray:
    """The upright boxes around moved ones, `[N, 4]`."""
    a, b, c, d, e, f = map
    x = boxes[:, [0, 2, 2, 0]]
    y = boxes[:, [1, 1, 3, 3]]
    across, down = a * x + b * y + c, d * x + e * y + f
    return np.stack([across.min(1), down.min(1), across.max(1), down.max(1)], axis=1)
