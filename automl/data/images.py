"""Files to pixels and facts: every image and mask of the program is read here, upright, in full."""

import hashlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from automl.data import pixels as to_pixels
from automl.data.decoding import FORMATS, Note, decode, read_bytes, reduced_size
from automl.data.fingerprint import Fingerprint, fingerprint
from automl.data.frame import Frame
from automl.data.orientation import Corners, upright, upright_corners
from automl.data.pixels import Colours

__all__ = ["Colours", "Corners", "upright", "upright_corners"]

SUFFIXES = frozenset(f".{ending}" for endings in FORMATS.values() for ending in endings)
"""File names that count as images, in lower case."""

STRONG_SHRINK = 0.67
"""Below this scale linear interpolation skips source pixels, so areas are averaged instead."""


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What a full decode tells about an image file; `width` and `height` are upright."""

    digest: str
    width: int
    height: int
    stored: tuple[int, int]
    """Width and height as stored, before the EXIF orientation."""
    orientation: int
    channels: int
    bit_depth: int
    brightest: int = 65535
    """Largest value of a 16-bit image; of the others nothing is known."""
    look: Fingerprint | None = None
    notes: tuple[Note, ...] = ()
    """Code and reason of what is odd about the file, though it can be used."""


@dataclass(frozen=True, slots=True)
class MaskFacts:
    """What a full decode tells about a mask file: `counts` are pixels by id."""

    digest: str
    width: int
    height: int
    counts: dict[int, int]
    runs: str = ""
    """Of all pixels but those of id 0, where it was asked for."""


def raw(facts: ImageFacts | MaskFacts) -> dict[str, Any]:
    """Facts as JSON can keep them; `asdict` would copy every value on the way."""
    found = _fields(facts)
    if isinstance(facts, ImageFacts) and facts.look:
        found["look"] = _fields(facts.look)
    return found


def _fields(one: ImageFacts | MaskFacts | Fingerprint) -> dict[str, Any]:
    return {name: getattr(one, name) for name in one.__dataclass_fields__}


def read_image(path: Path, frame: Frame | None = None) -> np.ndarray:
    """The image as `uint8 [H, W, 3]` RGB, upright; `DataError` where it cannot be decoded."""
    return image_from_bytes(read_bytes(path), path, frame)


def image_from_bytes(data: bytes, path: Path, frame: Frame | None = None) -> np.ndarray:
    """The same from the bytes of a file."""
    decoded = decode(data, path, frame=frame)
    return upright(to_pixels.rgb(decoded.image, path), decoded.orientation)


def reduced_image(
    data: bytes, path: Path, short_side: int, frame: Frame | None = None
) -> np.ndarray:
    """The image with at most this short side (0: as it is), its shape kept; `path` for messages."""
    if not short_side:
        return image_from_bytes(data, path, frame)
    decoded = decode(data, path, short_side, frame)
    pixels = upright(to_pixels.rgb(decoded.image, path), decoded.orientation)
    width, height = decoded.full[::-1] if decoded.orientation >= 5 else decoded.full
    return resized(pixels, *reduced_size((height, width), short_side))


def resized(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """The image itself where it has that size already."""
    import cv2

    if image.shape[:2] == (height, width):
        return image
    how = interpolation(image.shape[:2], (height, width))
    return np.asarray(cv2.resize(image, (width, height), interpolation=how))


def interpolation(before: tuple[int, ...], after: tuple[int, ...]) -> int:
    """OpenCV's number: linear, or means over areas where linear would skip source pixels."""
    import cv2

    shrink = min(after[0] / before[0], after[1] / before[1])
    return int(cv2.INTER_AREA if shrink < STRONG_SHRINK else cv2.INTER_LINEAR)


def read_mask(path: Path, colours: Colours = (), frame: Frame | None = None) -> np.ndarray:
    """The mask's ids as integers `[H, W]`, upright; palette indices are kept exactly."""
    return mask_from_file(read_bytes(path), path, colours, frame)


def mask_from_file(
    data: bytes, path: Path, colours: Colours = (), frame: Frame | None = None
) -> np.ndarray:
    """The same from the bytes of a file."""
    decoded = decode(data, path, frame=frame)
    return upright(to_pixels.ids(decoded.image, path, colours), decoded.orientation)


def image_facts(path: Path, frame: Frame | None = None) -> ImageFacts:
    """Decodes the whole file and keeps facts only."""
    data = read_bytes(path)
    decoded = decode(data, path, frame=frame)
    image = decoded.image
    plain = to_pixels.is_plain(image)
    stored, notes = (image, ()) if plain else to_pixels.grey_or_rgb(image, path)
    wide = to_pixels.is_wide(image, data)
    width, height = image.size[::-1] if decoded.orientation >= 5 else image.size
    return ImageFacts(
        digest=hashlib.sha256(data).hexdigest(),
        width=width,
        height=height,
        stored=image.size,
        orientation=decoded.orientation,
        channels=to_pixels.channels(image),
        bit_depth=16 if wide or image.mode == "F" else 8,
        brightest=to_pixels.brightest(image) if wide else 65535,
        look=fingerprint(stored, decoded.orientation),
        notes=(*decoded.notes, *notes),
    )


def mask_from_bytes(data: bytes, path: Path) -> np.ndarray:
    """The ids of a mask inside another file; `path` is where, for messages."""
    return to_pixels.ids(decode(data, path).image, path)


def mask_facts(path: Path, colours: Colours = (), frame: Frame | None = None) -> MaskFacts:
    """Decodes the whole mask and counts its ids."""
    data = read_bytes(path)
    decoded = decode(data, path, frame=frame)
    ids = upright(to_pixels.ids(decoded.image, path, colours), decoded.orientation)
    height, width = ids.shape
    return MaskFacts(hashlib.sha256(data).hexdigest(), width, height, count_ids(ids))


def count_ids(ids: np.ndarray) -> dict[int, int]:
    """Pixels by id."""
    total: Counter[int] = Counter()
    for part in to_pixels.strips(ids):  # counting makes eight bytes of each
        if ids.dtype == np.uint8:
            counts = np.bincount(part.ravel(), minlength=256)
            found = np.flatnonzero(counts)
            counts = counts[found]
        else:
            found, counts = np.unique(part, return_counts=True)
        total.update(dict(zip(found.tolist(), counts.tolist(), strict=True)))
    return dict(sorted(total.items()))
