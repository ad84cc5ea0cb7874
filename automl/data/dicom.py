"""A DICOM file to a picture: rescaled, windowed, bright where the tissue is bright."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from automl.errors import DataError, MachineError


def picture(data: bytes, path: Path) -> Image.Image:
    """Grey or colour, 8 bits; `MachineError` without pydicom, `DataError` for several frames."""
    try:
        import pydicom
    except ImportError:
        hint = "`pip install 'automl-vision[medical]'`"
        message = "a DICOM image needs the package pydicom"
        raise MachineError(message, where=str(path), hint=hint) from None
    try:
        file: Any = pydicom.dcmread(io.BytesIO(data))
        _refuse_unfit(file, path)
        pixels = _pixels(file)
    except (DataError, MachineError):
        raise
    except Exception as error:  # the parser and its decoders raise anything on broken bytes
        reason = str(error).strip().partition("\n")[0][:200] or type(error).__name__
        hint = "fetch it again, or convert it to PNG"
        raise DataError(f"broken DICOM: {reason}", where=str(path), hint=hint) from None
    image = Image.fromarray(pixels)
    image.format = "DICOM"
    return image


def _refuse_unfit(file: Any, path: Path) -> None:
    """Several frames, and pictures that would not fit into memory."""
    from automl.data.decoding import LARGEST_PIXELS

    frames = int(file.get("NumberOfFrames") or 1)
    if frames > 1:
        hint = "export the frame that you mean as a file of its own"
        raise DataError(f"a DICOM file of {frames} frames", where=str(path), hint=hint)
    pixels = int(file.get("Rows") or 0) * int(file.get("Columns") or 0)
    if not 16 <= pixels <= LARGEST_PIXELS:
        hint = "remove it, or cut it into tiles"
        raise DataError(f"a DICOM image of {pixels} pixels", where=str(path), hint=hint)


def _pixels(file: Any) -> np.ndarray:
    from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut

    stored = file.pixel_array
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
