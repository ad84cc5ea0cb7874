"""Affine maps as 2x3 matrices; images, masks and boxes warped by them.

Coordinates are those of pixel edges, as everywhere: the first pixel spans 0 to 1.
"""

import math

import cv2
import numpy as np

from automl.data.images import STRONG_SHRINK, interpolation

Affine = tuple[float, float, float, float, float, float]
"""x' = a x + b y + c and y' = d x + e y + f."""

PIXEL_TOLERANCE = 1e-3
"""A rectangle that is off by less than this, in pixels, is taken as whole pixels."""

IDENTITY: Affine = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def compose(second: Affine, first: Affine) -> Affine:
    """Applies `first`, then `second`."""
    a, b, c, d, e, f = first
    g, h, i, j, k, n = second
    across = g * a + h * d, g * b + h * e, g * c + h * f + i
    return (*across, j * a + k * d, j * b + k * e, j * c + k * f + n)


def inverse(map: Affine) -> Affine:
    """The map that undoes this one."""
    a, b, c, d, e, f = map
    det = a * e - b * d
    a, b, d, e = e / det, -b / det, -d / det, a / det
    return a, b, -a * c - b * f, d, e, -d * c - e * f


def crop_to(left: float, top: float, width: float, height: float, size: tuple[int, int]) -> Affine:
    """Maps a rectangle onto a whole frame of this height and width."""
    across, down = size[1] / width, size[0] / height
    return across, 0.0, -left * across, 0.0, down, -top * down


def horizontal_flip(size: tuple[int, int]) -> Affine:
    """Mirrors a frame of this height and width left to right."""
    return -1.0, 0.0, float(size[1]), 0.0, 1.0, 0.0


def scale_rotate_shift(
    size: tuple[int, int], scale: float, degrees: float, shift: tuple[float, float]
) -> Affine:
    """Scales and rotates a frame about its centre, then shifts it by pixels right and down."""
    turn = math.radians(degrees)
    cos, sin = scale * math.cos(turn), scale * math.sin(turn)
    x, y = size[1] / 2, size[0] / 2
    right, down = shift
    return cos, -sin, x - cos * x + sin * y + right, sin, cos, y - sin * x - cos * y + down


def warp_image(
    image: np.ndarray, map: Affine, out: np.ndarray, border: int, fill: tuple[int, int, int]
) -> None:
    """Fills `out` with the warped image: linear, or means over areas where it shrinks much."""
    if image.shape == out.shape:
        if map == IDENTITY:
            np.copyto(out, image)
            return
        if map == horizontal_flip(image.shape[:2]):
            cv2.flip(image, 1, dst=out)
            return
    part = _whole_pixel_part(image, map, out.shape[:2])
    if part is not None:  # a third of the work
        how = interpolation(part.shape, out.shape)
        cv2.resize(part, out.shape[1::-1], dst=out, interpolation=how)
        if map[0] < 0:
            cv2.flip(out, 1, dst=out)
        return
    image, map = _reduced_first(image, map, out.shape[:2])
    _warp(image, map, out, cv2.INTER_LINEAR, border, fill)


def warp_mask(mask: np.ndarray, map: Affine, out: np.ndarray, fill: int) -> None:
    """The same for a mask: nearest neighbour, so that class indices are never mixed."""
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


def _whole_pixel_part(image: np.ndarray, map: Affine, size: tuple[int, int]) -> np.ndarray | None:
    """The part of the image that fills the frame, if it is an upright rectangle of whole pixels."""
    if map[1] or map[3] or map[4] <= 0:
        return None
    seen = warp_boxes(np.array([[0, 0, size[1], size[0]]]), inverse(map))[0]
    left, top, right, bottom = (round(float(v)) for v in seen)
    if np.abs(seen - [left, top, right, bottom]).max() > PIXEL_TOLERANCE:
        return None
    if left < 0 or top < 0 or right > image.shape[1] or bottom > image.shape[0]:
        return None
    return image[top:bottom, left:right]


def _reduced_first(
    image: np.ndarray, map: Affine, size: tuple[int, int]
) -> tuple[np.ndarray, Affine]:
    """Where the map shrinks much: the part that is seen, reduced, and the remaining map."""
    a, b, _, d, e, _ = map
    shrink = math.sqrt(abs(a * e - b * d))
    if shrink >= STRONG_SHRINK:
        return image, map
    height, width = image.shape[:2]
    seen = warp_boxes(np.array([[0, 0, size[1], size[0]]]), inverse(map))[0]
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
    back = inverse(crop_to(left, top, right - left, bottom - top, to))
    return small, compose(map, back)


def warp_boxes(boxes: np.ndarray, map: Affine) -> np.ndarray:
    """Axis-aligned boxes around the warped ones, `[N, 4]`."""
    a, b, c, d, e, f = map
    x = boxes[:, [0, 2, 2, 0]]
    y = boxes[:, [1, 1, 3, 3]]
    across, down = a * x + b * y + c, d * x + e * y + f
    return np.stack([across.min(1), down.min(1), across.max(1), down.max(1)], axis=1)
