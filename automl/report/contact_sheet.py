"""A sheet of images with captions, to see what a model will see."""

from pathlib import Path

import cv2
import numpy as np

from automl.errors import UsageError
from automl.tasks.draw import THUMBNAIL
from automl.tasks.text_drawing import Lettering

_PAPER, _INK = (250, 250, 249), (28, 32, 36)
_GAP = 12
_ENDINGS = (".png", ".jpg", ".jpeg", ".webp")


def contact_sheet(images: list[np.ndarray], captions: list[str], path: Path) -> Path:
    """Writes RGB images of any sizes as a grid, PNG, JPEG or WebP by the ending of `path`."""
    if path.suffix.lower() not in _ENDINGS:
        raise UsageError(
            f"`{path.name}` is no name of an image that can be written",
            hint=f"end it in {', '.join(_ENDINGS)}",
        )
    columns = max(1, min(len(images), 4, round(len(images) ** 0.5 + 0.3)))
    cells = [_cell(i, c, THUMBNAIL) for i, c in zip(images, captions, strict=True)]
    rows = [cells[at : at + columns] for at in range(0, len(cells), columns)]
    width = columns * (THUMBNAIL + _GAP) + _GAP
    bands = [_band(row, width) for row in rows] or [_blank(_GAP, width)]
    sheet = np.concatenate([_blank(_GAP, width), *bands])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(path.suffix.lower(), sheet[..., ::-1])[1].tobytes())
    return path


def _blank(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), _PAPER, dtype=np.uint8)


def _cell(image: np.ndarray, caption: str, side: int) -> np.ndarray:
    """The image scaled into a square's width, its caption in one line below."""
    scale = side / max(image.shape[:2])
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC if scale < 4 else cv2.INTER_NEAREST
    shown = cv2.resize(image, size, interpolation=how)
    letters = Lettering(cv2.FontFace("sans"), 15, side)
    cell = _blank(shown.shape[0] + letters.height + 4, side)
    left = (side - shown.shape[1]) // 2
    cell[: shown.shape[0], left : left + shown.shape[1]] = shown
    letters.put(cell, letters.fit(caption, letters.room), (0, shown.shape[0] + 2), _INK)
    return cell


def _band(cells: list[np.ndarray], width: int) -> np.ndarray:
    """One row of the sheet; cells stand on a common top edge."""
    band = _blank(max(c.shape[0] for c in cells) + _GAP, width)
    left = _GAP
    for cell in cells:
        band[: cell.shape[0], left : left + cell.shape[1]] = cell
        left += cell.shape[1] + _GAP
    return band
