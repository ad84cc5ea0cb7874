"""Tables to rows of text: CSV with commas, semicolons or tabs, and Parquet."""

import csv
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from automl.data.files import read_text
from automl.data.reading import ReadOptions, unusable
from automl.errors import MachineError

SUFFIXES = (".csv", ".tsv", ".parquet")
Row = dict[str, str]


def header_of(table: Path) -> list[str]:
    """The names of a table's columns; none where it is no table."""
    if table.suffix.lower() == ".parquet":
        return list(_parquet(table).schema.names)
    try:
        with table.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            line = file.readline(1 << 20).strip()
        return next(csv.reader([line], delimiter=_delimiter(line)), [])
    except (OSError, csv.Error):
        return []


def rows_of(table: Path) -> Iterator[tuple[int, Row]]:
    """Number of the line and its values by column; what is missing is empty."""
    if table.suffix.lower() == ".parquet":
        for number, row in values_of(table):
            yield number, {name: _text(value) for name, value in row.items()}
        return
    text = read_text(table)
    delimiter = _delimiter(text.partition("\n")[0])
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        for row in reader:
            yield reader.line_num, {n: _text(v) for n, v in row.items() if n is not None}
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
