"""How an image becomes what a model sees, and how the answer finds its way back; numpy and cv2.

Every fit copies one rectangle of the image onto one rectangle of the model's frame, so `Geometry`
is two rectangles. Coordinates are those of pixel edges: the first pixel spans 0 to 1.
"""

from dataclasses import dataclass
from typing import Any, Literal, get_args

import cv2
import numpy as np

from automl.data.images import resized
from automl.prediction import IGNORE

Fit = Literal["crop", "squash", "letterbox"]

CROP_SHARE = 0.875
"""Share of the short side that a centre crop keeps: the usual 224 of 256."""
PAD_VALUE = 114
"""Grey of the letterbox's bars, close to the mean of natural images."""


@dataclass(frozen=True)
class Rect:
    """A rectangle of whole pixels."""

    top: int
    left: int
    height: int
    width: int

    @property
    def window(self) -> tuple[slice, slice]:
        """The rectangle as an index into rows and columns."""
        rows = slice(self.top, self.top + self.height)
        return rows, slice(self.left, self.left + self.width)


@dataclass(frozen=True)
class Geometry:
    """`source` of the original image lies on `target` of the model's frame; sizes are (h, w)."""

    original: tuple[int, int]
    source: Rect
    size: tuple[int, int]
    target: Rect

    def boxes_forward(self, boxes: np.ndarray) -> np.ndarray:
        """Boxes of the original in the model's frame; outside a crop they leave the frame."""
        return _moved(boxes, self.source, self.target)

    def boxes_back(self, boxes: np.ndarray) -> np.ndarray:
        """Boxes of the model's frame in original pixels, clipped to the image."""
        height, width = self.original
        back = _moved(boxes, self.target, self.source)
        return np.asarray(np.clip(back, 0, [width, height, width, height]), np.float32)

    def mask_forward(self, mask: np.ndarray) -> np.ndarray:
        """A class-index mask of the original in the model's frame; its bars are ignored."""
        frame = np.full(self.size, IGNORE, mask.dtype)
        frame[self.target.window] = _nearest(mask[self.source.window], self.target)
        return frame

    def map_back(self, values: np.ndarray) -> np.ndarray:
        """A map `[h, w]` or maps `[K, h, w]` of probabilities at the original size, linear."""
        if values.ndim == 3:
            return np.stack([self.map_back(plane) for plane in values])
        part = np.ascontiguousarray(values[self.target.window], np.float32)
        return self._spread(_resized(part, self.source))

    def _spread(self, part: np.ndarray) -> np.ndarray:
        """The source rectangle's values over the whole original; edges reach out of a crop."""
        (height, width), at = self.original, self.source
        below, right = height - at.top - at.height, width - at.left - at.width
        return np.pad(part, ((at.top, below), (at.left, right)), mode="edge")


@dataclass(frozen=True)
class Preprocess:
    """`size` is (height, width). `mean` and `std` are for RGB in 0..1 and applied on the device."""

    size: tuple[int, int]
    fit: Fit
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def geometry(self, height: int, width: int) -> Geometry:
        """Where an image of this size lands in the model's frame."""
        whole, frame = Rect(0, 0, height, width), Rect(0, 0, *self.size)
        match self.fit:
            case "squash":
                source, target = whole, frame
            case "crop":
                source, target = _centre_crop(whole, self.size), frame
            case "letterbox":
                source, target = whole, _centred(whole, self.size)
        return Geometry((height, width), source, self.size, target)

    def apply(self, image: np.ndarray) -> tuple[np.ndarray, Geometry]:
        """The image `uint8 [H, W, 3]` as the model sees it, not yet normalised."""
        geometry = self.geometry(*image.shape[:2])
        part = _resized(image[geometry.source.window], geometry.target)
        if (geometry.target.height, geometry.target.width) == self.size:
            return part, geometry
        frame = np.full((*self.size, image.shape[2]), PAD_VALUE, np.uint8)
        frame[geometry.target.window] = part
        return frame, geometry

    def to_dict(self) -> dict[str, Any]:
        """The values as JSON knows them."""
        return {
            "size": list(self.size),
            "fit": self.fit,
            "mean": list(self.mean),
            "std": list(self.std),
        }

    @staticmethod
    def from_dict(raw: dict[str, Any]) -> "Preprocess":
        """Reads what `to_dict` gave; raises ValueError, KeyError or TypeError for anything else."""
        if raw["fit"] not in get_args(Fit):
            raise ValueError(f"unknown fit `{raw['fit']}`")
        height, width = (int(v) for v in raw["size"])
        return Preprocess((height, width), raw["fit"], _three(raw["mean"]), _three(raw["std"]))


def _three(values: list[float]) -> tuple[float, float, float]:
    red, green, blue = (float(v) for v in values)
    return red, green, blue


def _centre_crop(whole: Rect, size: tuple[int, int]) -> Rect:
    """The centred part of the image with the frame's shape and `CROP_SHARE` of the tight side.

    Cropping first and resizing once gives what "resize, then crop" gives, but costs no memory
    for the parts of a very long image that nobody sees.
    """
    scale = max(size[0] / whole.height, size[1] / whole.width) / CROP_SHARE
    height = max(1, min(whole.height, round(size[0] / scale)))
    width = max(1, min(whole.width, round(size[1] / scale)))
    return Rect((whole.height - height) // 2, (whole.width - width) // 2, height, width)


def _centred(whole: Rect, size: tuple[int, int]) -> Rect:
    """The largest centred rectangle of the frame with the image's shape."""
    scale = min(size[0] / whole.height, size[1] / whole.width)
    height = max(1, min(size[0], round(whole.height * scale)))
    width = max(1, min(size[1], round(whole.width * scale)))
    return Rect((size[0] - height) // 2, (size[1] - width) // 2, height, width)


def _moved(boxes: np.ndarray, start: Rect, end: Rect) -> np.ndarray:
    """Boxes `[N, 4]` carried along with the rectangle they lie in."""
    scale = np.array([end.width / start.width, end.height / start.height] * 2)
    origin = np.array([start.left, start.top] * 2)
    moved = (np.asarray(boxes, np.float64).reshape(-1, 4) - origin) * scale
    return np.asarray(moved + np.array([end.left, end.top] * 2), np.float32)


def _resized(part: np.ndarray, to: Rect) -> np.ndarray:
    """Never a view of what it is given."""
    found = resized(part, to.height, to.width)
    return part.copy() if found is part else found


def _nearest(mask: np.ndarray, to: Rect) -> np.ndarray:
    """Class indices at pixel centres; they are never mixed."""
    size = (to.width, to.height)
    return np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST_EXACT))
