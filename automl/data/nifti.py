"""A NIfTI volume to one axial slice: rows from front to back, columns from the patient's right.

Slices are counted from the feet to the head, whatever the order in the file: the affine decides.
"""

import gzip
import io
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from automl.data.frame import FRAME_CURE, Frame, number_of
from automl.errors import DataError, MachineError

FORMAT = "NIFTI"
RANGE = "range"
"""In `image.info`: the values that become black and white, the same for all slices of a file."""

_TAILS = (0.5, 99.5)
_SLICES_MEASURED = 24
_VALUES_MEASURED = 40_000
_MAGIC = {348: (344, (b"n+1\0",)), 540: (4, (b"n+2\0",))}


def content(data: bytes, most: int) -> bytes | None:
    """The volume's own bytes, unpacked where they are packed; None where it is no NIfTI."""
    if data[:2] == b"\x1f\x8b":
        if not _is_nifti(_unpacked(data, 600)):
            return None
        data = _unpacked(data, most + 1)
        if len(data) > most:
            raise DataError(f"unpacks to more than {most / 1e6:.0f} MB", hint="export its slices")
    return data if _is_nifti(data) else None


def picture(data: bytes, path: Path, frame: Frame | None) -> Image.Image:
    """The slice as floating point; `MachineError` without nibabel, `DataError` where none fits."""
    try:
        import nibabel
    except ImportError:
        hint = "`pip install 'automl-vision[medical]'`"
        message = "a NIfTI image needs the package nibabel"
        raise MachineError(message, where=str(path), hint=hint) from None
    try:
        kind = nibabel.Nifti1Image if _size_of_header(data) == 348 else nibabel.Nifti2Image
        return _slice(kind.from_bytes(data), path, frame)
    except (DataError, MemoryError):
        raise
    except Exception as error:  # the parser raises anything on broken bytes
        reason = str(error).strip().partition("\n")[0][:200] or type(error).__name__
        hint = "fetch it again, or export its slices as PNG"
        raise DataError(f"broken NIfTI: {reason}", where=str(path), hint=hint) from None


def _slice(volume: Any, path: Path, frame: Frame | None) -> Image.Image:
    from nibabel.orientations import io_orientation

    sides = (*volume.shape, 1)[:3]
    if len(sides) < 3 or any(side != 1 for side in volume.shape[3:]) or volume.dataobj.dtype.names:
        shape = "x".join(map(str, volume.shape))
        message = f"a NIfTI of {shape} {volume.get_data_dtype()} values is no volume of grey values"
        raise DataError(message, where=str(path), hint="export the volume that you mean")
    turned = io_orientation(volume.affine)  # of each axis: that of the body, and its direction
    if np.isnan(turned).any():
        turned = np.array([[0, 1], [1, 1], [2, 1]])
    axis = next((i for i in range(3) if sides[i] == 1), int(np.argmax(turned[:, 0])))
    count = sides[axis]
    if count > 1 and frame is None:
        raise DataError(f"a NIfTI of {count} slices", where=str(path), hint=FRAME_CURE)
    _refuse_unfit(sides, axis, path)
    number = 0 if count == 1 or frame is None else number_of(frame, count, path)
    if turned[axis, 1] < 0:
        number = count - 1 - number
    values = _upright(_at(volume, axis, number), np.delete(turned, axis, 0))
    image = Image.fromarray(np.ascontiguousarray(values, np.float32))
    image.format, image.info[RANGE] = FORMAT, _range(volume, axis, count)
    return image


def _refuse_unfit(sides: tuple[int, ...], axis: int, path: Path) -> None:
    from automl.data.decoding import FEWEST_PIXELS, LARGEST_PIXELS

    pixels = int(np.prod([side for i, side in enumerate(sides) if i != axis], dtype=object))
    if not FEWEST_PIXELS <= pixels <= LARGEST_PIXELS:
        message = f"a NIfTI slice of {pixels} pixels"
        raise DataError(message, where=str(path), hint="remove it, or cut it into tiles")


def _at(volume: Any, axis: int, number: int) -> np.ndarray:
    place: list[Any] = [0 if i > 2 else slice(None) for i in range(len(volume.shape))]
    if axis < len(place):
        place[axis] = number
    return np.asarray(volume.dataobj[tuple(place)])


def _upright(values: np.ndarray, turned: np.ndarray) -> np.ndarray:
    """As doctors look at it: what grows towards right, front or head grows to the left or up."""
    for axis in range(2):
        if turned[axis, 1] > 0:
            values = np.flip(values, axis)
    return values.T if turned[0, 0] < turned[1, 0] else values


def _range(volume: Any, axis: int, count: int) -> tuple[float, float]:
    """What the file says is to be seen, else all but the lowest and highest values of it."""
    low, high = float(volume.header["cal_min"]), float(volume.header["cal_max"])
    if high > low:
        return low, high
    found = []
    for number in range(0, count, -(-count // _SLICES_MEASURED)):
        values = _at(volume, axis, number).ravel()
        found.append(values[:: -(-values.size // _VALUES_MEASURED)])
    every = np.concatenate(found).astype(np.float64)
    every = every[np.isfinite(every)]
    if not every.size:
        return 0.0, 1.0
    low, high = (float(value) for value in np.percentile(every, _TAILS))
    return (low, high) if high > low else (float(every.min()), float(every.max()))


def _size_of_header(data: bytes) -> int:
    little, big = (int.from_bytes(data[:4], order) for order in ("little", "big"))
    return little if little in _MAGIC else big


def _is_nifti(data: bytes) -> bool:
    at, magics = _MAGIC.get(_size_of_header(data), (0, ()))
    return data[at : at + 4] in magics


def _unpacked(data: bytes, most: int) -> bytes:
    """The first bytes; what is broken gives what there is."""
    parts, left = [], most
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            while left > 0 and (part := file.read(min(left, 1 << 24))):
                parts.append(part)
                left -= len(part)
    except (OSError, EOFError, zlib.error):
        pass  # a volume that is cut off is found out by its size
    return b"".join(parts)
