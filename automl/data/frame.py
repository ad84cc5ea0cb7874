"""Which picture of a file that holds several: frames of a DICOM, slices, pages, an animation."""

from pathlib import Path
from typing import Literal

from automl.errors import DataError

Frame = int | Literal["middle"]
"""Counted from 0; of an even number of them, `middle` is the one after the middle."""

FRAME_CURE = "choose one by `data.frame: middle` or its number, counted from 0, or export it"


def number_of(frame: Frame, count: int, path: Path) -> int:
    """The number from 0 of the frame in a file of `count`; DataError where it has no such one."""
    number = count // 2 if frame == "middle" else frame
    if number >= count:
        message = f"has no frame {number}: it holds {count}, counted from 0"
        raise DataError(message, where=str(path), hint="`data.frame: middle`, or a smaller number")
    return number
