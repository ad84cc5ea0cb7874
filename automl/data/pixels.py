"""A decoded picture to pixels: 8-bit grey or RGB for images, exact ids for masks."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from automl.data.decoding import Note
from automl.data.nifti import FORMAT as NIFTI
from automl.data.nifti import RANGE
from automl.errors import DataError

BACKGROUND = "white"
"""What shows through where a picture is transparent."""

LOSSY = frozenset({"JPEG", "MPO"})
"""Containers that blur the ids of a mask; WebP and AVIF may be exact, so they are let through."""

SIXTEEN_BIT = frozenset({"I;16", "I;16L", "I;16B", "I;16N", "I"})
STRIP = 1 << 20
"""Pixels that are converted at a time."""

_BITS = 258  # the tag of TIFF
_DEPTH_OF_PNG = 24
"""Place of the byte in its header."""
_ALPHA = frozenset({"RGBA", "LA", "PA", "La", "RGBa"})
_GREY = SIXTEEN_BIT | {"1", "L", "LA", "F"}
_USUAL_RANGES = (1.0, 255.0, 65535.0)

Colours = Sequence[tuple[int, int, int, int]]
"""Red, green, blue and the id that they stand for."""


def rgb(image: Image.Image, path: Path) -> np.ndarray:
    """`uint8 [H, W, 3]`, writable, as stored."""
    found = grey_or_rgb(image, path)[0]
    if found.ndim == 2:
        return np.repeat(found[:, :, None], 3, axis=2)
    return found if found.flags.writeable else found.copy()


def grey_or_rgb(image: Image.Image, path: Path) -> tuple[np.ndarray, tuple[Note, ...]]:
    """`uint8 [H, W]` or `[H, W, 3]` as stored, and what had to be decided for it."""
    try:
        if image.mode in SIXTEEN_BIT:
            return _from_sixteen_bit(image, path), ()
        if image.mode == "F":
            return _from_float(image, path)
        if is_plain(image):
            return np.asarray(image), ()
        if image.mode in _ALPHA or "transparency" in image.info:
            return _on_background(image)
        return _converted(image, "L" if image.mode in ("1", "L") else "RGB"), ()
    except (ValueError, OSError) as error:
        message = f"pixels of the kind {image.mode} cannot be converted: {error}"
        raise DataError(message, where=str(path), hint="convert it to 8 or 16 bit RGB") from None


def strips(pixels: np.ndarray) -> Iterator[np.ndarray]:
    """Some rows at a time: what is made on the way of a large picture would not fit."""
    step = max(1, STRIP // max(1, pixels.shape[1]))
    for top in range(0, pixels.shape[0], step):
        yield pixels[top : top + step]


def _strips_of_picture(image: Image.Image) -> Iterator[tuple[slice, Image.Image]]:
    step = max(1, STRIP // image.width)
    for top in range(0, image.height, step):
        rows = slice(top, min(top + step, image.height))
        yield rows, image.crop((0, rows.start, image.width, rows.stop))


def _converted(image: Image.Image, mode: str) -> np.ndarray:
    shape = (image.height, image.width, 3) if mode == "RGB" else (image.height, image.width)
    found = np.empty(shape, np.uint8)
    for rows, part in _strips_of_picture(image):
        found[rows] = np.asarray(part.convert(mode))
    return found


def _on_background(image: Image.Image) -> tuple[np.ndarray, tuple[Note, ...]]:
    found = np.empty((image.height, image.width, 3), np.uint8)
    opaque = True
    for rows, part in _strips_of_picture(image):
        layer = part.convert("RGBA")
        opaque = opaque and layer.getchannel("A").getextrema()[0] == 255
        whole = Image.alpha_composite(Image.new("RGBA", layer.size, BACKGROUND), layer)
        found[rows] = np.asarray(whole.convert("RGB"))
    reason = f"is transparent in places, which become {BACKGROUND}"
    return found, () if opaque else (("transparent", reason),)


def is_plain(image: Image.Image) -> bool:
    """Whether the stored values are the pixels, 8-bit grey or RGB."""
    return image.mode in ("L", "RGB") and "transparency" not in image.info


def channels(image: Image.Image) -> int:
    """1 for grey, otherwise 3."""
    return 1 if image.mode in _GREY else 3


def _from_sixteen_bit(image: Image.Image, path: Path) -> np.ndarray:
    """The full range 0..65535 becomes 0..255, the same for every image of a set."""
    grey = np.empty((image.height, image.width), np.uint8)
    for rows, part in _strips_of_picture(image):
        wide = np.asarray(part)
        if wide.min() < 0 or wide.max() > 65535:
            hint = "convert it to 8 or 16 bit"
            reason = f"pixels from {wide.min()} to {wide.max()}, outside of 0 to 65535"
            raise DataError(reason, where=str(path), hint=hint)
        grey[rows] = (wide.astype(np.uint32) + 128) // 257
    return grey


def is_wide(image: Image.Image, data: bytes) -> bool:
    """Whether the file keeps 16 bits of a channel; of three, Pillow keeps the upper 8."""
    if image.mode in SIXTEEN_BIT:
        return True
    depths = image.tag_v2.get(_BITS, ()) if isinstance(image, TiffImageFile) else ()
    of_png = image.format == "PNG" and data[_DEPTH_OF_PNG] == 16
    return image.mode in ("RGB", "RGBA") and (of_png or 16 in depths)


def brightest(image: Image.Image) -> int:
    """The largest value of a picture of 16 bits."""
    if image.mode in SIXTEEN_BIT:
        return int(_ends(image)[1])
    return 257 * max(int(top) for _, top in image.getextrema()[:3])  # type: ignore[misc]


def _ends(image: Image.Image) -> tuple[float, float]:
    """Least and largest value; NaN where any is. An array of a large picture takes thrice it."""
    parts = (np.asarray(part) for _, part in _strips_of_picture(image))
    ends = np.array([(part.min(), part.max()) for part in parts])
    return float(ends[:, 0].min()), float(ends[:, 1].max())


def _from_float(image: Image.Image, path: Path) -> tuple[np.ndarray, tuple[Note, ...]]:
    """From 0 to 1, 255 or 65535, whichever holds all; else from the file's own least to most."""
    low, high = _ends(image)
    if not (np.isfinite(low) and np.isfinite(high)):
        hint = "write numbers into these pixels"
        raise DataError("pixels that are NaN or infinite", where=str(path), hint=hint)
    notes: tuple[Note, ...] = ()
    top = next((top for top in _USUAL_RANGES if high <= top), None)
    if RANGE in image.info:
        low, high = image.info[RANGE]
    elif low < 0 or top is None:
        reason = f"its values {low:g} to {high:g} are no usual range, and become 0 to 255"
        notes = (("odd_range", reason),)
    else:
        low, high = 0.0, top
    grey = np.empty((image.height, image.width), np.uint8)
    for rows, part in _strips_of_picture(image):
        shares = (np.asarray(part) - low) * (255 / max(high - low, 1e-12))
        grey[rows] = np.clip(shares + 0.5, 0, 255)
    return grey, notes


def ids(image: Image.Image, path: Path, colours: Colours = ()) -> np.ndarray:
    """A mask's ids as integers `[H, W]`, as stored; palette indices are kept exactly."""
    if image.format in LOSSY:
        raise DataError(
            "mask is a JPEG, which blurs ids", where=str(path), hint="save masks as PNG"
        )
    if image.mode == "1":
        return np.array(image).astype(np.uint8)
    if image.mode in ("L", "P"):
        by_colour = _ids_of_palette(image, colours) if colours and image.mode == "P" else None
        return np.array(image) if by_colour is None else by_colour
    if image.format == NIFTI or image.mode == "F":
        return _ids_of_volume(np.asarray(image), path)
    if image.mode in SIXTEEN_BIT:
        found = np.array(image).astype(np.int32)
        if found.min() >= 0 and found.max() < 2**16:
            return found
        shown = f"{found.min()} to {found.max()}"
        raise DataError(
            f"mask holds values from {shown}; class ids are 0 to 65535",
            where=str(path),
            hint="save masks whose values are the ids",
        )
    if colours and image.mode in ("RGB", "RGBA"):
        return _ids_of_colours(np.array(image)[:, :, :3], path, colours)
    raise DataError(
        f"mask holds colours ({image.mode}), not class ids",
        where=str(path),
        hint="list them in `data.colours`, or save masks with one channel whose values are the ids",
    )


def _ids_of_volume(values: np.ndarray, path: Path) -> np.ndarray:
    inside = (values >= 0) & (values < 2**16)  # false for NaN
    found = np.where(inside, values, 0).astype(np.int32)
    if not inside.all() or (found != values).any():
        message = "mask holds fractions or values outside 0 to 65535, not class ids"
        hint = "save masks whose values are the ids"
        raise DataError(message, where=str(path), hint=hint)
    return found


def _ids_of_palette(image: Image.Image, colours: Colours) -> np.ndarray | None:
    """By a table of colours, where it has each that the mask shows: a palette may be in any order.

    None where the palette says nothing of the table: then its places are the ids.
    """
    places = np.array(image)
    palette = np.array(image.getpalette("RGB") or [], np.uint8).reshape(-1, 3)
    ids = {(red, green, blue): number for red, green, blue, number in colours}
    shown = np.flatnonzero(np.bincount(places.ravel(), minlength=256))
    table = np.zeros(256, np.int32)
    for place in shown.tolist():
        colour = tuple(palette[place].tolist()) if place < len(palette) else ()
        if colour not in ids:
            return None
        table[place] = ids[colour]
    return np.asarray(table[places])


def _ids_of_colours(pixels: np.ndarray, path: Path, colours: Colours) -> np.ndarray:
    keys = np.array([red << 16 | green << 8 | blue for red, green, blue, _ in colours])
    ids = np.array([row[3] for row in colours], np.int32)
    order = np.argsort(keys, kind="stable")
    wide = pixels.astype(np.int32)
    packed = wide[:, :, 0] << 16 | wide[:, :, 1] << 8 | wide[:, :, 2]
    place = np.searchsorted(keys[order], packed).clip(max=len(keys) - 1)
    unknown = np.unique(packed[keys[order][place] != packed])
    if unknown.size:
        few = ", ".join(f"[{c >> 16}, {c >> 8 & 255}, {c & 255}]" for c in unknown[:4].tolist())
        more = f" and {unknown.size - 4} more" if unknown.size > 4 else ""
        raise DataError(
            f"colours that are no class: {few}{more}",
            where=str(path),
            hint="add them to the table of colours; smoothed edges mean that the mask was resized",
        )
    found: np.ndarray = ids[order][place]
    return found
