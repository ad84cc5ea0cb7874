"""What is known and what is predicted of one image, in the image's own pixels; numpy only.

Boxes are `float32 [N, 4]` as x0, y0, x1, y1 in pixels of the upright original image; labels are
indices into the dataset's classes; masks are `uint8 [H, W]` of class indices, 255 = ignore.
"""

from dataclasses import dataclass

import numpy as np

IGNORE = 255
"""The mask value that neither the loss nor the scores look at."""


@dataclass(frozen=True)
class Truth:
    """The annotation of one image; only the fields of its task are set."""

    path: str
    label: int | None = None
    shown: np.ndarray | None = None
    """Which classes the image shows, `bool [K]`, where it may be several."""
    mask: np.ndarray | None = None
    boxes: np.ndarray | None = None
    labels: np.ndarray | None = None
    crowd: np.ndarray | None = None


@dataclass(frozen=True)
class Prediction:
    """A model's answer for one image; only the fields of its task are set.

    `probabilities` is `float32 [K]`, which sums up to 1 unless an image may show several classes;
    `confidences` is `float32 [N]`, sorted downwards.
    """

    path: str
    probabilities: np.ndarray | None = None
    mask: np.ndarray | None = None
    boxes: np.ndarray | None = None
    labels: np.ndarray | None = None
    confidences: np.ndarray | None = None
