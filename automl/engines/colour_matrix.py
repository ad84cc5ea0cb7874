"""Changes of colour as one matrix: brightness, contrast, saturation, hue and grey at once."""

import math

import numpy as np

_GREY = np.array([0.299, 0.587, 0.114])
_ALL_GREY = np.tile(_GREY, (3, 1))
_COLOUR = np.eye(3) - _ALL_GREY
_TO_YIQ = np.array([_GREY, [0.595716, -0.274453, -0.321263], [0.211456, -0.522591, 0.311135]])
_TURN = np.linalg.inv(_TO_YIQ) @ np.array([[0, 0, 0], [0, 0, 1], [0, -1, 0]]) @ _TO_YIQ
"""A quarter turn of the hue; the grey of a pixel stays."""

IDENTITY = np.eye(3, 4)
GREY = np.column_stack([_ALL_GREY, np.zeros(3)])


def jitter(
    mean: np.ndarray, brightness: float, contrast: float, saturation: float, hue: float
) -> np.ndarray:
    """The 3x4 matrix for an image with these channel means; `hue` is a share of a full turn."""
    angle = 2 * math.pi * hue
    turned = _ALL_GREY + math.cos(angle) * _COLOUR + math.sin(angle) * _TURN
    faded = turned @ (saturation * np.eye(3) + (1 - saturation) * _ALL_GREY)
    grey = brightness * float(_GREY @ mean)
    whole = brightness * contrast * faded
    return np.column_stack([whole, np.full(3, (1 - contrast) * grey)])


def compose(second: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Applies `first`, then `second`."""
    both = second[:, :3] @ first
    both[:, 3] += second[:, 3]
    return np.asarray(both)
