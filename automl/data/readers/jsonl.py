"""`metadata.jsonl` beside images: one JSON object a line with file_name, and label or objects.

Boxes are `objects: {bbox: [...], category: [...]}`, a list of objects with a box each, or lists
`bbox` and `label` of the image. A Parquet table with a column `objects` is read in the same way.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from automl.data.documents import parse_json
from automl.data.files import files, find_image, folders, split_in, split_word
from automl.data.readers.named import Found, Mark, Picture, assemble, malformed
from automl.data.readers.rows import attributes_of, header_of, values_of
from automl.data.reading import Reading, ReadOptions, shown, unusable
from automl.dataset import Task
from automl.errors import DataError

_NAMES = ("file_name", "path", "image", "filename")
_LABELS = ("labels", "label")
_BOXES = ("bbox", "bboxes", "boxes")
_CATEGORIES = ("categories", "category", "labels", "label")
_BROKEN = (KeyError, TypeError, ValueError, OverflowError)


def looks_like(path: Path, task: Task) -> str:
    """Why this is a set of JSON lines; empty where it is not, or has nothing for the task."""
    found = [p for p in _sources(path) if _serves(p, task)]
    root = path if path.is_dir() else path.parent
    return f"`{shown(found[0], root)}` with a JSON object a line" if found else ""


def read(path: Path, task: Task, options: ReadOptions) -> Reading:
    """Reads every `metadata.jsonl`; the folder that holds it may be a split."""
    root = path if path.is_dir() else path.parent
    sources = _sources(path)
    if not sources:
        raise unusable("no JSON lines", path, "expected metadata.jsonl with file_name and label")
    found = Found("jsonl", root)
    for source in sources:
        _read_one(source, found, options, alone=len(sources) == 1)
    found.splits = frozenset(p.split for p in found.pictures if p.split)
    return assemble(found, task, options)


def _sources(path: Path) -> list[Path]:
    if path.is_file():
        known = path.suffix.lower() in (".jsonl", ".ndjson") or _is_nested(path)
        return [path] if known else []
    below = [f for f in folders(path) if split_word(f.name)]
    found = [p for folder in (path, *below) for p in files(folder, ".jsonl")]
    named = [p for p in found if p.name == "metadata.jsonl"]
    tables = [p for folder in (path, *below) for p in files(folder, ".parquet") if _is_nested(p)]
    return named or [p for p in found if _first(p)] or tables


def _is_nested(path: Path) -> bool:
    return path.suffix.lower() == ".parquet" and "objects" in header_of(path)


def _first(source: Path) -> dict[str, Any]:
    """The first line, where it is an object that names a file."""
    if source.suffix.lower() == ".parquet":
        row = next((row for _, row in values_of(source)), {})
        return row if any(n in row for n in _NAMES) else {}
    try:
        with source.open("rb") as file:
            value = parse_json(file.readline(1 << 20), source)
    except (DataError, OSError):
        return {}
    return value if isinstance(value, dict) and any(n in value for n in _NAMES) else {}


def _serves(source: Path, task: Task) -> bool:
    first = _first(source)
    keys = ("objects", *_BOXES) if task == "detection" else _LABELS
    return any(key in first for key in keys)


def _lines(source: Path) -> Iterator[tuple[int, bytes | dict[str, Any]]]:
    if source.suffix.lower() == ".parquet":
        yield from values_of(source)
        return
    with source.open("rb") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield number, line


def _read_one(source: Path, found: Found, options: ReadOptions, *, alone: bool) -> None:
    where = shown(source, found.root)
    of_file = split_word(source.parent.name) or (None if alone else split_in(source.stem))
    for number, line in _lines(source):
        place = f"{where}:{number}"
        try:
            row = line if isinstance(line, dict) else parse_json(line, source)
            name = next(row[n] for n in _NAMES if n in row)
            if not isinstance(name, str) or not name:
                raise ValueError("file_name is no name")
            marks = [*_tags(row, options, place, found), *_objects(row, options, place)]
        except DataError as error:
            found.findings.append(malformed(place, error.faults[0].message))
            continue
        except (*_BROKEN, StopIteration) as error:
            found.findings.append(malformed(place, f"a line needs file_name: {error}"))
            continue
        split = split_word(str(row.get("split") or "")) or of_file
        image = find_image([source.parent, source.parent / "images", found.root], name)
        group = str(row.get(options.columns.get("group", "group")) or "")
        attributes = attributes_of(row, options)
        found.pictures.append(
            Picture(image, split, tuple(marks), group=group, attributes=attributes)
        )


def _tags(row: dict[str, Any], options: ReadOptions, where: str, found: Found) -> list[Mark]:
    key = options.columns.get("labels") or options.columns.get("label")
    key = key or next((k for k in _LABELS if k in row), "label")
    value = row.get(key)
    if isinstance(value, list):
        found.many = True
        return [Mark(_name(v, options), where=where) for v in value]
    return [] if value is None or value == "" else [Mark(_name(value, options), where=where)]


def _objects(row: dict[str, Any], options: ReadOptions, where: str) -> list[Mark]:
    marks = []
    for i, (box, kind) in enumerate(_boxes(row)):
        x, y, width, height = (float(v) for v in box)
        if not all(map(math.isfinite, (x, y, width, height))):
            raise ValueError("a box with numbers that are none")
        corners = (x, y, x + width, y + height)
        marks.append(Mark(_name(kind, options), corners, where=f"{where}#objects[{i}]"))
    return marks


def _boxes(row: dict[str, Any]) -> list[tuple[Any, Any]]:
    """Each box (x, y, width, height) and its class, of one of the three ways to write them."""
    objects = row.get("objects", row if any(k in row for k in _BOXES) else None)
    if objects is None:
        return []
    if isinstance(objects, list):
        return [pair for one in objects for pair in _boxes({"objects": one})]
    boxes = next(objects[k] for k in _BOXES if k in objects) or []
    kinds = next((objects[k] for k in _CATEGORIES if k in objects), None)
    if boxes and kinds is None:
        raise ValueError("boxes without `category`")
    if boxes and not isinstance(boxes[0], list):
        boxes = [boxes]
    if not isinstance(kinds, list):
        kinds = [kinds] * len(boxes)
    return list(zip(boxes, kinds, strict=True))


def _name(value: Any, options: ReadOptions) -> str:
    """A name; a number is a place in the recipe's list of classes where there is one."""
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise ValueError(f"`{value}` is no class")
    given = options.classes
    if isinstance(value, int) and given:
        names = dict(enumerate(given)) if isinstance(given, list) else given
        return names.get(value, str(value))
    return str(value)
