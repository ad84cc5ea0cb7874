"""Tables to rows of text: CSV with commas, semicolons or tabs, and Parquet."""

import csv
import io
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from automl.data.files import first_there, is_image, is_there, read_text, ways
from automl.data.reading import ReadOptions, unusable
from automl.errors import MachineError

SUFFIXES = (".csv", ".tsv", ".parquet")
Row = dict[str, str]
SURPLUS = "\0surplus"
"""The column of what a line has more than the header."""


def header_of(table: Path) -> list[str]:
    """The names of a table's columns, ours where it has none; nothing where it is no table."""
    if table.suffix.lower() == ".parquet":
        return list(_parquet(table).schema.names)
    first = _first_line(table)
    return _without_header(table, first) or first


def is_utf8(table: Path) -> bool:
    """Whether it can be read as text, where it is text."""
    if table.suffix.lower() == ".parquet":
        return True
    try:
        with table.open(encoding="utf-8") as file:
            while file.read(1 << 20):
                pass
        return True
    except (OSError, UnicodeDecodeError):
        return False


def _first_line(table: Path) -> list[str]:
    try:
        with table.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            line = file.readline(1 << 20).strip("\r\n")
        return next(csv.reader([line], delimiter=_delimiter(line)), [])
    except (OSError, csv.Error):
        return []


def _without_header(table: Path, first: list[str]) -> list[str]:
    """What the columns mean where the first line begins with an image that is there."""
    name, *rest = [cell.strip() for cell in first] or [""]
    places = [table.parent / top / way for way in ways(name) for top in ("", "images")]
    if not is_image(Path(name)) or not is_there(first_there(places)):
        return []
    if len(rest) == 1:
        return ["path", "mask" if is_image(Path(rest[0])) else "label"]
    numbers = [re.fullmatch(r"-?\d+(\.\d*)?", cell) for cell in rest[:4]]
    if len(rest) == 5 and (all(numbers) or not any(rest)):
        return ["path", "xmin", "ymin", "xmax", "ymax", "label"]
    return []


def rows_of(table: Path) -> Iterator[tuple[int, Row]]:
    """Number of the line and its values by column; what is missing is empty."""
    if table.suffix.lower() == ".parquet":
        for number, row in values_of(table):
            yield number, {name: _text(value) for name, value in row.items()}
        return
    text = read_text(table)
    delimiter = _delimiter(text.partition("\n")[0])
    given = _without_header(table, _first_line(table)) or None
    reader = csv.DictReader(io.StringIO(text, newline=""), given, delimiter=delimiter)
    try:
        for row in reader:
            yield reader.line_num, {SURPLUS if n is None else n: _text(v) for n, v in row.items()}
    except csv.Error as error:
        where = Path(f"{table}:{reader.line_num}")
        raise unusable(f"not a table: {error}", where, "close open quotes") from None


def values_of(table: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Number of the row of a Parquet table and its values as they are, lists and structs too."""
    for number, row in enumerate(_parquet_rows(table), 1):
        yield number, {str(name): value for name, value in row.items()}


def attributes_of(row: Mapping[str, Any], options: ReadOptions) -> tuple[tuple[str, str], ...]:
    """The columns that the recipe wants kept."""
    return tuple((n, _text(row.get(n))) for n in options.attributes if _text(row.get(n)))


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "|".join(_text(v) for v in value)
    return "" if value is None else str(value).strip()


def _delimiter(line: str) -> str:
    return max(",;\t", key=line.count)


def _parquet_rows(table: Path) -> list[dict[Any, Any]]:
    try:
        rows: list[dict[Any, Any]] = _parquet(table).to_pylist()
    except (ValueError, OverflowError) as error:
        raise unusable(f"not a Parquet table: {error}", table, "write it again") from None
    return rows


def _parquet(table: Path) -> Any:
    """The table in memory: an index of images is small."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise MachineError(
            "reading Parquet needs the package pyarrow",
            where=str(table),
            hint="`pip install pyarrow`, or save the table as CSV",
        ) from None
    try:
        with table.open("rb") as file:
            return parquet.read_table(pyarrow.BufferReader(file.read()))
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        message = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise unusable(f"not a Parquet table: {message}", table, "write it again") from None
