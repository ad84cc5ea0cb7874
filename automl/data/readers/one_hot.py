"""A column per class that says 0 or 1: its classes and, of each line, those that are shown."""

from collections.abc import Collection, Iterable, Mapping
from itertools import islice
from pathlib import Path

from automl.data.readers.rows import header_of, rows_of
from automl.data.reading import ReadOptions

_SAID = {"0": False, "0.0": False, "false": False, "1": True, "1.0": True, "true": True}
_SIGNED = {"1", "-1"}
"""As CelebA says it; beside 0, -1 stands for other things."""
_LOOKED = 1000
"""Lines by which such a table is known."""


def classes_in(table: Path, known: Collection[str], options: ReadOptions) -> list[str]:
    """The columns of classes: those that `data.classes` lists, else all that nothing else claims.

    None where the rest of the table says anything but 0 and 1, for it may be ages or sizes.
    """
    rest = [name for name in header_of(table) if name and name not in known]
    rest = [name for name in rest if name.strip() not in options.attributes]
    if options.classes:
        wanted = list(
            options.classes.values() if isinstance(options.classes, dict) else options.classes
        )
        rest = [name for name in rest if name.strip() in wanted]
        return rest if len(rest) == len(wanted) else []
    lines = [row for _, row in islice(rows_of(table), _LOOKED)]
    plain = all(_said(row, name) is not None for row in lines for name in rest)
    signed = all(_is_signed(row, rest) for row in lines)
    return rest if lines and (plain or signed) and len(rest) > 1 else []


def some_in(table: Path) -> list[str]:
    """Columns that say 0 or 1, whatever the others do."""
    lines = [row for _, row in islice(rows_of(table), _LOOKED)]
    names = [name for name in header_of(table) if name] if lines else []
    return [n for n in names if all(_said(row, n) is not None for row in lines)]


def shown_in(row: Mapping[str, str], columns: Iterable[str]) -> list[str]:
    """The classes that a line says 1 of; ValueError where it says anything but 0 and 1."""
    names = list(columns)
    if _is_signed(row, names):
        return [name.strip() for name in names if row[name] == "1"]
    said = {name: _said(row, name) for name in names}
    odd = next((name for name, value in said.items() if value is None), None)
    if odd is not None:
        raise ValueError(f"`{odd.strip()}` is `{row.get(odd, '')}`, neither 0 nor 1")
    return [name.strip() for name, value in said.items() if value]


def _said(row: Mapping[str, str], name: str) -> bool | None:
    return _SAID.get(row.get(name, "").lower())


def _is_signed(row: Mapping[str, str], names: Iterable[str]) -> bool:
    return all(row.get(name, "") in _SIGNED for name in names)
