"""A row of a table to its boxes: one in columns of its own, or a list of them in one column."""

import math
import re

from automl.data.readers.named import Mark
from automl.data.readers.rows import Row

EDGES = ("xmin", "ymin", "xmax", "ymax")
SIZED = ("xmin", "ymin", "width", "height")
CENTRED = ("xmiddle", "ymiddle", "width", "height")
WRITTEN = (EDGES, SIZED, CENTRED)
"""The ways to write a box in columns of its own, the likeliest first."""


def marks_of(row: Row, where: str) -> list[Mark]:
    """The boxes of a row by our names of its columns; ValueError says what is wrong with them."""
    if "bbox" in row:
        return _listed(row, where)
    way = next((w for w in WRITTEN if all(k in row for k in w)), SIZED)
    cells = [row.get(k, "") for k in way]
    if not any(cells):
        return []
    try:
        if not (name := row.get("label", "")):
            raise ValueError
        return [Mark(name, _corners(row, way), where=where)]
    except ValueError:
        shown = ", ".join(cell for cell in cells if cell)
        raise ValueError(f"a box needs a label and four numbers, not: {shown}") from None


def _listed(row: Row, where: str) -> list[Mark]:
    """`[x, y, width, height]`, or a list of such with a list of as many labels."""
    cell, text = row["bbox"], row.get("labels") or row.get("label", "")
    names = [name.strip(" '\"") for name in re.split("[|,;]", text.strip("[]() "))]
    try:
        numbers = [float(word) for word in re.findall(r"[^\s\[\](),;|]+", cell)]
        boxes = [numbers[at : at + 4] for at in range(0, len(numbers), 4)]
        names = names * len(boxes) if len(names) == 1 else names
        if len(numbers) % 4 or len(names) != len(boxes) or not all(names):
            raise ValueError
        sized = [dict(zip(SIZED, map(str, box), strict=True)) for box in boxes]
        return [Mark(n, _corners(b, SIZED), where=where) for n, b in zip(names, sized, strict=True)]
    except ValueError:
        shown = f"{text}: {cell}"[:120]
        raise ValueError(f"each box needs a label and four numbers, not: {shown}") from None


def _corners(row: Row, way: tuple[str, ...]) -> tuple[float, float, float, float]:
    x0, y0, right, down = (float(row[key]) for key in way)
    if way == CENTRED:
        x0, y0 = x0 - right / 2, y0 - down / 2
    x1, y1 = (right, down) if way == EDGES else (x0 + right, y0 + down)
    if not all(map(math.isfinite, (x0, y0, x1, y1))):
        raise ValueError
    return x0, y0, x1, y1
