"""Files to pixels: the one place that decodes images and masks, always upright, always in full."""

import hashlib
import io
import stat
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from automl.errors import DataError, MachineError

SUFFIXES = frozenset(
    f".{name}"
    for name in ("jpg", "jpeg", "jpe", "jfif", "png", "bmp", "tif", "tiff")
    + ("webp", "gif", "ppm", "pgm", "pbm", "jp2", "avif")
)
"""File names that count as images, in lower case."""

LOSSY = frozenset({"JPEG", "MPO"})
"""Containers that blur the ids of a mask; WebP and AVIF may be exact, so they are let through."""

_ORIENTATION = 0x0112  # the EXIF tag
_SIXTEEN_BIT = frozenset({"I;16", "I;16L", "I;16B", "I;16N", "I"})
_ALPHA = frozenset({"RGBA", "LA", "PA", "La", "RGBa"})


@dataclass(frozen=True)
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
    brightest: int = 255
    """Largest value of a 16-bit image."""


@dataclass(frozen=True)
class MaskFacts:
    """What a full decode tells about a mask file: `counts` are pixels by id."""

    digest: str
    width: int
    height: int
    counts: dict[int, int]


def read_image(path: Path) -> np.ndarray:
    """The image as `uint8 [H, W, 3]` RGB, upright; `DataError` where it cannot be decoded."""
    image = _decode(_bytes(path), path)
    return upright(_rgb(image, path), _orientation(image))


def read_mask(path: Path) -> np.ndarray:
    """The mask's ids as integers `[H, W]`, upright; palette indices are kept exactly."""
    image = _decode(_bytes(path), path)
    return upright(_ids(image, path), _orientation(image))


def image_facts(path: Path) -> ImageFacts:
    """Decodes the whole file and keeps facts only."""
    data = _bytes(path)
    image = _decode(data, path)
    _rgb(image.resize((1, 1), Image.Resampling.NEAREST), path)  # refuses what we cannot convert
    wide = image.mode in _SIXTEEN_BIT
    orientation = _orientation(image)
    width, height = image.size[::-1] if orientation >= 5 else image.size
    return ImageFacts(
        digest=hashlib.sha256(data).hexdigest(),
        width=width,
        height=height,
        stored=image.size,
        orientation=orientation,
        channels=_channels(image),
        bit_depth=16 if wide else 8,
        brightest=int(np.asarray(image).max()) if wide else 255,
    )


def mask_facts(path: Path) -> MaskFacts:
    """Decodes the whole mask and counts its ids."""
    data = _bytes(path)
    image = _decode(data, path)
    ids = upright(_ids(image, path), _orientation(image))
    if ids.dtype == np.uint8:
        pixels = np.bincount(ids.ravel(), minlength=256)
        found = np.flatnonzero(pixels)
        counts = {int(i): int(pixels[i]) for i in found}
    else:
        found, pixels = np.unique(ids, return_counts=True)
        counts = {int(i): int(n) for i, n in zip(found, pixels, strict=True)}
    height, width = ids.shape
    return MaskFacts(hashlib.sha256(data).hexdigest(), width, height, counts)


def upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Turns stored pixels as the EXIF orientation 1..8 says."""
    if orientation >= 5:  # stored as columns
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


Corners = tuple[float, float, float, float]


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


def _bytes(path: Path) -> bytes:
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe or a device would never end
            raise DataError("not a regular file", where=str(path), hint="remove it")
        data = path.read_bytes()
    except (FileNotFoundError, ValueError):  # no file has a NUL in its name
        raise DataError("no such file", where=str(path)) from None
    except PermissionError:
        hint = f"`chmod u+r {path.name}`, or run as the one who owns it"
        raise MachineError("the image may not be read", where=str(path), hint=hint) from None
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", where=str(path)) from None
    if not data:
        raise DataError("file is empty", where=str(path), hint="fetch it again or remove it")
    return data


def _decode(data: bytes, path: Path) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(data))
        image.load()
    except Image.DecompressionBombError:
        raise DataError(
            "more pixels than can be decoded safely", where=str(path), hint="cut it into tiles"
        ) from None
    except Exception as error:  # decoders raise anything on broken bytes
        reason = "not an image" if isinstance(error, UnidentifiedImageError) else str(error)
        raise DataError(
            f"broken image: {reason}", where=str(path), hint="fetch it again or remove it"
        ) from None
    return image


def _orientation(image: Image.Image) -> int:
    value = image.getexif().get(_ORIENTATION, 1)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _rgb(image: Image.Image, path: Path) -> np.ndarray:
    if image.mode in _SIXTEEN_BIT:
        return _from_sixteen_bit(image, path)
    if image.mode == "F":
        raise DataError(
            "pixels are floating point numbers, whose range is not known",
            where=str(path),
            hint="convert it to 8 or 16 bit",
        )
    if image.mode in _ALPHA or "transparency" in image.info:
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))


def _from_sixteen_bit(image: Image.Image, path: Path) -> np.ndarray:
    """The full range 0..65535 becomes 0..255, the same for every image of a set."""
    wide = np.asarray(image).astype(np.int64)
    if wide.min() < 0 or wide.max() > 65535:
        raise DataError(
            "pixels are wider than 16 bit", where=str(path), hint="convert it to 8 or 16 bit"
        )
    grey = ((wide + 128) // 257).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)


def _ids(image: Image.Image, path: Path) -> np.ndarray:
    if image.format in LOSSY:
        raise DataError(
            "mask is a JPEG, which blurs ids", where=str(path), hint="save masks as PNG"
        )
    if image.mode == "1":
        return np.array(image).astype(np.uint8)
    if image.mode in ("L", "P"):
        return np.array(image)
    if image.mode in _SIXTEEN_BIT:
        ids = np.array(image).astype(np.int32)
        if ids.min() >= 0 and ids.max() < 2**16:
            return ids
        found = f"{ids.min()} to {ids.max()}"
        raise DataError(
            f"mask holds values from {found}; class ids are 0 to 65535",
            where=str(path),
            hint="save masks whose values are the ids",
        )
    raise DataError(
        f"mask holds colours ({image.mode}), not class ids",
        where=str(path),
        hint="save masks with one channel, grey or palette, whose values are the ids",
    )


def _channels(image: Image.Image) -> int:
    return 1 if image.mode in _SIXTEEN_BIT or image.mode in ("1", "L", "LA") else 3
