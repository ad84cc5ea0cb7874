"""EXIF orientations: stored pixels and boxes to upright ones."""

import numpy as np

Corners = tuple[float, float, float, float]


def upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Turns stored pixels as the EXIF orientation 1..8 says."""
    return np.ascontiguousarray(turned(pixels, orientation))


def turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """The same as a view: nothing is copied."""
    if orientation >= 5:  # stored as columns
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels


def upright_corners(corners: Corners, orientation: int, stored: tuple[int, int]) -> Corners:
    """Turns a box drawn on the stored pixels with the image."""
    x0, y0, x1, y1 = corners
    width, height = stored
    if orientation >= 5:
        x0, y0, x1, y1 = y0, x0, y1, x1
        width, height = height, width
    if orientation in (3, 4, 7, 8):
        y0, y1 = height - y1, height - y0
    if orientation in (2, 3, 6, 7):
        x0, x1 = width - x1, width - x0
    return x0, y0, x1, y1
