"""CSV tables of images and their classes: columns `path`, `label` and perhaps `split`."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from automl.data.files import files, is_there, read_text, split_in, split_word
from automl.data.reading import (
    Entry,
    Given,
    Reading,
    classes_by_name,
    fatal,
    shown,
    unknown_class,
    unusable,
    warning,
)
from automl.dataset import Finding, SplitName, Task

_COLUMNS = {
    "path": ("path", "file", "filename", "file_name", "image", "image_path"),
    "label": ("label", "class", "category", "class_name"),
    "split": ("split", "set", "subset"),
}


@dataclass(frozen=True)
class _Row:
    image: Path
    label: str
    split: str
    where: str


def looks_like(path: Path) -> str:
    """Why this is a table of labels; empty where it is not."""
    tables = _tables(path)
    names = ", ".join(f"`{t.name}`" for t in tables)
    return f"{names} with the columns path and label" if tables else ""


def read(path: Path, task: Task, given: Given) -> Reading:
    """Reads one table, or one per split where a folder holds several."""
    tables = _tables(path)
    root = path if path.is_dir() else path.parent
    if not tables:
        raise unusable("no CSV file with the columns `path` and `label`", path, "add that header")
    if len(tables) > 1 and not all(split_in(t.stem) for t in tables):
        names = ", ".join(t.name for t in tables)
        raise unusable(f"several tables: {names}", path, "name one of them as `data.path`")
    rows = [row for table in tables for row in _rows(table, root, alone=len(tables) == 1)]
    classes = classes_by_name((row.label for row in rows if row.label), given)
    ids = {c.name: c.id for c in classes}
    entries: dict[Path, Entry] = {}
    findings: list[Finding] = []
    for row in rows:
        fault = _fault(row, ids, entries, root)
        if fault:
            findings.append(fault)
        elif row.label not in ids:
            findings.append(unknown_class(row.label, classes, row.where))
        else:
            entries[row.image] = Entry(row.image, split_word(row.split), label=ids[row.label])
    splits = frozenset(s for row in rows if (s := split_word(row.split)))
    return Reading("csv", root, classes, tuple(entries.values()), tuple(findings), splits)


def _fault(
    row: _Row, ids: dict[str, int], entries: dict[Path, Entry], root: Path
) -> Finding | None:
    if not row.label:
        return fatal("no_class", row.where, "the label is empty", "fill it in or remove the line")
    if row.split and not split_word(row.split):
        return fatal(
            "unknown_split", row.where, f"split `{row.split}`", "use train, val, test or leave it"
        )
    known = entries.get(row.image)
    if known and known.label != ids.get(row.label):
        reason = f"`{shown(row.image, root)}` has another label further up"
        return fatal("conflicting_labels", row.where, reason, "keep one line per image")
    if known:
        reason = f"`{shown(row.image, root)}` is listed twice"
        return warning("listed_twice", row.where, reason, "keep one line per image")
    return None


def _tables(path: Path) -> list[Path]:
    tables = files(path, ".csv") if path.is_dir() else [path]
    return [t for t in tables if t.suffix.lower() == ".csv" and t.is_file() and _header(t)]


def _header(table: Path) -> dict[str, str]:
    """Our names of the columns to theirs; empty where path or label is missing."""
    with table.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        line = file.readline().strip()
    columns = next(csv.reader([line], delimiter=_delimiter(line)), [])
    plain = {c.strip().lower(): c for c in columns}
    found = {
        ours: plain[name]
        for ours, names in _COLUMNS.items()
        for name in reversed(names)
        if name in plain
    }
    return found if {"path", "label"} <= set(found) else {}


def _delimiter(line: str) -> str:
    return max(",;\t", key=line.count)


def _rows(table: Path, root: Path, *, alone: bool) -> Iterator[_Row]:
    header = _header(table)
    split: SplitName | None = None if alone else split_in(table.stem)
    text = read_text(table)
    delimiter = _delimiter(text.partition("\n")[0])
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
    for row in _whole_rows(reader, table):
        name = (row[header["path"]] or "").strip()
        if not name:
            continue
        own = (row.get(header.get("split", "")) or "").strip()
        label = (row[header["label"]] or "").strip()
        where = f"{shown(table, root)}:{reader.line_num}"
        yield _Row(_image(table.parent, name), label, own or split or "", where)


def _whole_rows(reader: "csv.DictReader[str]", table: Path) -> Iterator[dict[str | Any, str | Any]]:
    try:
        yield from reader
    except csv.Error as error:
        raise unusable(
            f"not a table: {error}", Path(f"{table}:{reader.line_num}"), "close open quotes"
        ) from None


def _image(folder: Path, name: str) -> Path:
    """Beside the table, or in a folder `images` beside it."""
    plain = folder / name.replace("\\", "/")
    inside = folder / "images" / name
    return inside if not is_there(plain) and is_there(inside) else plain
