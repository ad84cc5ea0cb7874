"""A file's bytes to a decoded picture: the one place that opens images, guarded by their header.

Limits: 120 million pixels, 500 MB of file, one picture per file: the first, or the frame that the
recipe asks for. Only formats that are listed here are tried: Pillow would run other programs for
some of the rest.
"""

import io
import logging
import stat
import zlib
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, UnidentifiedImageError, features

from automl.data.frame import Frame, number_of
from automl.errors import DataError, MachineError

logging.getLogger("PIL").setLevel(logging.CRITICAL)  # what is wrong is told by whoever asked
_open = Image.open
"""Pillow's own: Ultralytics replaces it by one that asks for a package where a file is no image."""

LARGEST_PIXELS = 120_000_000
"""Above, a picture is refused by its header: cameras end at 108 million, bombs do not."""

LARGEST_BYTES = 500_000_000
FEWEST_PIXELS = 16
STRANGE_RATIO = 100
"""Longer over shorter side above which a picture is said to be odd."""

FORMATS = {
    "JPEG": ("jpg", "jpeg", "jpe", "jfif"),
    "MPO": ("jpg", "jpeg", "jpe", "jfif", "mpo"),
    "PNG": ("png",),
    "WEBP": ("webp",),
    "BMP": ("bmp", "dib"),
    "DIB": ("bmp", "dib"),
    "TIFF": ("tif", "tiff"),
    "GIF": ("gif",),
    "PPM": ("ppm", "pgm", "pbm", "pnm", "pfm"),
    "JPEG2000": ("jp2", "j2k"),
    "AVIF": ("avif",),
    "HEIF": ("heic", "heif"),
    "DICOM": ("dcm", "dicom"),
    "NIFTI": ("nii", "nii.gz"),
}
"""Pillow's name of a format to the endings of its files."""

EMPTY_EXIF = 26
"""Bytes of an EXIF block that rightly says nothing."""

_ORIENTATION = 0x0112  # the EXIF tag
_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")

Image.MAX_IMAGE_PIXELS = LARGEST_PIXELS

Note = tuple[str, str]
"""Code and reason of what is odd about a file that can be used all the same."""


@dataclass(frozen=True)
class Decoded:
    """A picture as stored; `orientation` is that of EXIF, 1..8.

    `full` is its width and height in the file: `image` may be a half, a quarter or an eighth.
    """

    image: Image.Image
    orientation: int
    notes: tuple[Note, ...]
    full: tuple[int, int]


def read_bytes(path: Path) -> bytes:
    """A regular file's bytes; pipes and devices are never opened."""
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):  # a pipe or a device would never end
            raise DataError("not a regular file", where=str(path), hint="remove it")
        if found.st_size > LARGEST_BYTES:
            reason = f"{found.st_size / 1e6:.0f} MB, more than {LARGEST_BYTES / 1e6:.0f} MB"
            raise DataError(f"the file holds {reason}", where=str(path), hint="cut it into tiles")
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


def decode(data: bytes, path: Path, short_side: int = 0, frame: Frame | None = None) -> Decoded:
    """Decodes the first picture, or the one that `frame` says; `DataError` where that cannot be.

    A JPEG of which `short_side` pixels are enough is decoded at the smallest of its own scales
    that has them: most of its arithmetic is left out.
    """
    _sniff(data, path)
    medical = _medical(data, path, frame)
    if medical is not None:
        return Decoded(medical, 1, _name_notes(medical.format or "", path), medical.size)
    try:
        image = _open(io.BytesIO(data), formats=_formats())
        _measure(image.size, path)
        notes = [*_name_notes(image.format or "", path), *_turn_to(image, frame, path)]
        full = image.size
        _whole(image, data)
        if short_side and image.format in ("JPEG", "MPO"):
            image.draft(None, reduced_size(full, short_side))
        image.load()
        orientation, broken = _orientation(image)
    except (DataError, MachineError):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _too_large("more pixels than", path) from None
    except MemoryError:
        raise _takes_memory(path) from None
    except Exception as error:  # decoders raise anything on broken bytes
        raise _undecodable(error, data, path) from None
    if broken:
        notes.append(("broken_exif", "its EXIF data is broken and is ignored"))
    return Decoded(image, orientation, (*notes, *_shape_notes(image)), full)


def _medical(data: bytes, path: Path, frame: Frame | None) -> Image.Image | None:
    """The picture of a DICOM or NIfTI file; None for any other."""
    from automl.data import nifti

    try:
        if data[128:132] == b"DICM":
            from automl.data import dicom

            return dicom.picture(data, path, frame)
        volume = nifti.content(data, LARGEST_BYTES)
        return None if volume is None else nifti.picture(volume, path, frame)
    except MemoryError:
        raise _takes_memory(path) from None


def reduced_size(full: tuple[int, int], short_side: int) -> tuple[int, int]:
    """Two sides once the shorter has at most `short_side` pixels; 0: as they are."""
    share = min(1.0, short_side / min(full)) if short_side else 1.0
    return max(1, round(full[0] * share)), max(1, round(full[1] * share))


def _formats() -> list[str]:
    """Those that this installation can decode; `MPO` is found by way of `JPEG`."""
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def _sniff(data: bytes, path: Path) -> None:
    """Says what a file is that is no picture, and which package would open it."""
    head = data[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    where, again = str(path), "fetch it again or remove it"
    if head.startswith((b"<!doctype html", b"<html", b"<head")):
        raise DataError("a web page, not an image", where=where, hint=again)
    if head.startswith(b"version https://git-lfs"):
        raise DataError("a Git LFS pointer, not the image", where=where, hint="`git lfs pull`")
    if head.startswith((b"<svg", b"%pdf", b"%!ps")):
        raise DataError("a drawing, not an image of pixels", where=where, hint="export it as PNG")
    if data[4:8] != b"ftyp":
        return
    if b"avif" in data[8:64] or b"avis" in data[8:64]:
        if not features.check("avif"):
            _needs("an AVIF image", "pillow-avif-plugin", path)
    elif data[8:12] in _HEIF_BRANDS and not _has_heif():
        _needs("a HEIC image", "pillow-heif", path)


def _has_heif() -> bool:
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        return False
    register_heif_opener()
    return True


def _needs(what: str, package: str, path: Path) -> None:
    hint = f"`pip install {package}`, or convert the images to JPEG or PNG"
    raise MachineError(f"{what} needs the package {package}", where=str(path), hint=hint)


def _measure(size: tuple[int, int], path: Path) -> None:
    width, height = size
    if width * height > LARGEST_PIXELS:
        raise _too_large(f"{width}x{height} is {width * height / 1e6:.0f} million pixels,", path)
    if width * height < FEWEST_PIXELS:
        reason = f"{width}x{height} is below the smallest size, {FEWEST_PIXELS} pixels"
        raise DataError(reason, where=str(path), hint="remove it")


def _too_large(what: str, path: Path) -> DataError:
    limit = f"more than can be decoded safely ({LARGEST_PIXELS // 10**6} million)"
    message = f"{what} {limit}".replace("more pixels than more than", "more pixels than")
    return DataError(message, where=str(path), hint="cut it into tiles")


def _undecodable(error: Exception, data: bytes, path: Path) -> DataError:
    """Satellites have more bands than three, and scientific cameras other numbers."""
    unknown = isinstance(error, UnidentifiedImageError)
    if unknown and data.startswith((b"II*\0", b"MM\0*")):
        reason = "a TIFF that is neither grey nor RGB of 8 or 16 bits"
        hint = "write three of its bands: `gdal_translate -b 3 -b 2 -b 1 -ot Byte -scale IN OUT`"
        return DataError(reason, where=str(path), hint=hint)
    reason = f"broken image: {'not an image' if unknown else _first(error)}"
    return DataError(reason, where=str(path), hint="fetch it again or remove it")


def ending_of(path: Path) -> str:
    """What a name ends in, in lower case: `.png`, `.nii.gz`."""
    last = path.suffix.lower()
    return ".nii.gz" if last == ".gz" and path.stem.lower().endswith(".nii") else last


def _takes_memory(path: Path) -> DataError:
    return DataError("takes too much memory", where=str(path), hint="cut it into tiles")


def _name_notes(form: str, path: Path) -> tuple[Note, ...]:
    ending = ending_of(path).lstrip(".")
    known = {e for endings in FORMATS.values() for e in endings}
    if ending not in known or ending in FORMATS.get(form, ()):
        return ()
    return (("wrong_suffix", f"a {form} file whose name ends in `.{ending}`"),)


def _turn_to(image: Image.Image, frame: Frame | None, path: Path) -> list[Note]:
    """Goes to the frame of a file that has several; what to say where nobody chose one.

    MPO is left out: what follows its picture is made for displays, not for people.
    """
    if image.format == "MPO" or not getattr(image, "is_animated", False):
        return []
    if frame is not None:
        image.seek(number_of(frame, getattr(image, "n_frames", 1), path))
        _measure(image.size, path)  # each page has a size of its own
        return []
    if image.format == "TIFF":
        return [("several_pages", "a file of several pages, of which the first is used")]
    return [("animated", f"an animated {image.format}, of which the first picture is used")]


def _shape_notes(image: Image.Image) -> list[Note]:
    width, height = image.size
    if max(width, height) <= STRANGE_RATIO * min(width, height):
        return []
    return [("extreme_shape", f"{width}x{height} is {STRANGE_RATIO} times longer than wide")]


def _whole(image: Image.Image, data: bytes) -> None:
    """Pillow skips the checksums of a PNG's pixels: a copy with flipped bits may pass."""
    if image.format != "PNG":
        return
    at, view = 8, memoryview(data)
    while at + 12 <= len(data):
        end = at + 12 + int.from_bytes(view[at : at + 4], "big")
        kind = bytes(view[at + 4 : at + 8])
        if end > len(data):
            break
        wrong = zlib.crc32(view[at + 4 : end - 4]) != int.from_bytes(view[end - 4 : end], "big")
        if wrong and kind[:1].isupper():  # the others hold no pixels
            raise OSError(f"the checksum of its part `{kind.decode('latin-1')}` is wrong")
        if kind == b"IEND":
            return
        at = end
    raise OSError("the file is cut off")


def _orientation(image: Image.Image) -> tuple[int, bool]:
    """The EXIF orientation, and whether the EXIF data is broken."""
    raw = image.info.get("exif")
    try:
        found = image.getexif()
        value = found.get(_ORIENTATION, 1)
    except Exception:  # a parser of broken bytes raises anything
        return 1, True
    if raw and not len(found):
        return 1, not 16 <= len(raw) <= EMPTY_EXIF
    valid = isinstance(value, int) and 0 <= value <= 8  # 0: nobody has set it
    return (value or 1, False) if valid else (1, True)


def _first(error: Exception) -> str:
    return (str(error) or type(error).__name__).strip().partition("\n")[0][:200]
