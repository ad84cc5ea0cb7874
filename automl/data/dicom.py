"""A DICOM file to a picture: rescaled, windowed, bright where the tissue is bright."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from automl.data.frame import FRAME_CURE, Frame, number_of
from automl.errors import DataError, MachineError


def picture(data: bytes, path: Path, frame: Frame | None = None) -> Image.Image:
    """Grey or colour, 8 bits; of several frames that one, `DataError` where nobody chose.

    `MachineError` without pydicom.
    """
    try:
        import pydicom
    except ImportError:
        hint = "`pip install 'automl-vision[medical]'`"
        message = "a DICOM image needs the package pydicom"
        raise MachineError(message, where=str(path), hint=hint) from None
    try:
        file: Any = pydicom.dcmread(io.BytesIO(data))
        number = _frame_of(file, path, frame)
        pixels = _pixels(file, number)
    except (DataError, MachineError, MemoryError):
        raise
    except Exception as error:  # the parser and its decoders raise anything on broken bytes
        reason = str(error).strip().partition("\n")[0][:200] or type(error).__name__
        hint = "fetch it again, or convert it to PNG"
        raise DataError(f"broken DICOM: {reason}", where=str(path), hint=hint) from None
    image = Image.fromarray(pixels)
    image.format = "DICOM"
    return image


def _frame_of(file: Any, path: Path, frame: Frame | None) -> int:
    """The number of the frame to read; pictures that would not fit into memory are refused."""
    from automl.data.decoding import LARGEST_PIXELS

    frames = int(file.get("NumberOfFrames") or 1)
    if frames > 1 and frame is None:
        raise DataError(f"a DICOM file of {frames} frames", where=str(path), hint=FRAME_CURE)
    pixels = int(file.get("Rows") or 0) * int(file.get("Columns") or 0)
    if not 16 <= pixels <= LARGEST_PIXELS:
        hint = "remove it, or cut it into tiles"
        raise DataError(f"a DICOM image of {pixels} pixels", where=str(path), hint=hint)
    return 0 if frames == 1 or frame is None else number_of(frame, frames, path)


def _own_values(file: Any, number: int) -> None:
    """Rescaling and window of a frame, where an enhanced file keeps them by frame, to its top."""
    shared = file.get("SharedFunctionalGroupsSequence") or []
    by_frame = file.get("PerFrameFunctionalGroupsSequence") or []
    for groups in (*shared[:1], *by_frame[number : number + 1]):
        for name in ("PixelValueTransformationSequence", "FrameVOILUTSequence"):
            for item in (groups.get(name) or [])[:1]:
                file.update(item)


def _pixels(file: Any, number: int) -> np.ndarray:
    from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut
    from pydicom.pixels.utils import pixel_array

    _own_values(file, number)
    stored = pixel_array(file, index=number)
    if int(file.get("SamplesPerPixel") or 1) == 3:
        return np.ascontiguousarray(stored.astype(np.uint8))
    values = apply_voi_lut(apply_modality_lut(stored, file), file).astype(np.float64)
    low, high = _range(file, values)
    grey = np.clip((values - low) / max(high - low, 1e-12) * 255 + 0.5, 0, 255).astype(np.uint8)
    inverted = str(file.get("PhotometricInterpretation", "")) == "MONOCHROME1"
    return np.ascontiguousarray(255 - grey if inverted else grey)


def _range(file: Any, values: np.ndarray) -> tuple[float, float]:
    """The window's full range, so that equal windows give equal greys; else that of the file."""
    slope, intercept = (
        float(file.get(k, d)) for k, d in (("RescaleSlope", 1), ("RescaleIntercept", 0))
    )
    window = "WindowCenter" in file and "WindowWidth" in file
    if window and not file.get("VOILUTSequence") and not file.get("ModalityLUTSequence"):
        bits, signed = int(file.BitsStored), int(file.get("PixelRepresentation", 0))
        low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
        ends = low * slope + intercept, high * slope + intercept
        return min(ends), max(ends)
    return float(values.min()), float(values.max())
