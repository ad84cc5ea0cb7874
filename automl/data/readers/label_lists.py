"""Cells that name several classes, `cat|dog`: how a column separates them, and their names."""

import re
from collections.abc import Sequence

from automl.data.reading import warning
from automl.dataset import Finding

_MARKED, _SPACE = "[|;]", r"\s+"


def separator(cells: Sequence[str]) -> str:
    """A pattern for all cells: `|` and `;`, else commas, else spaces where numbers stand alone."""
    if any("|" in cell or ";" in cell for cell in cells):
        return _MARKED
    if any("," in cell for cell in cells):
        return ","
    return _SPACE if all(re.fullmatch(r"[\d\s]*", cell) for cell in cells) else _MARKED


def split_labels(cell: str, mark: str) -> list[str]:
    """The names in a cell, also of one that Python has written as a list."""
    plain = cell[1:-1] if cell.startswith("[") and cell.endswith("]") else cell
    names = (name.strip().strip("'\"") for name in re.split(mark, plain))
    return [name for name in names if name]


def unsplit(cells: Sequence[tuple[str, str]], mark: str) -> Finding | None:
    """A name of several words where the words seem to be the names: fewer words than names.

    `mark` is what separates names, and empty where a cell holds one.
    """
    if mark and (mark != _MARKED or any(re.search(mark, cell) for cell, _ in cells)):
        return None
    whole = {cell for cell, _ in cells if cell}
    words = {word for cell in whole for word in re.split(r"[|;,\s]+", cell)}
    odd = ((cell, where) for cell, where in cells if re.search(r"[|;,\s]", cell))
    first = next(odd, None)
    if first is None or len(words) >= len(whole):
        return None
    reason = f"`{first[0]}` counts as one class, but its words look like several"
    cure = "put several classes into a column `labels`, with `|` between them"
    return warning("labels_not_split", first[1], reason, cure)
