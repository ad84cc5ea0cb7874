"""Open Images: CSV files of relative boxes, and class descriptions that name the labels.

As it is distributed, and as FiftyOne exports it: `data/`, `labels/` and `metadata/`, also by split.
"""

import csv
import math
from collections.abc import Iterator
from pathlib import Path

from automl.data.files import files, folders, is_image, split_in, split_word, walk_images
from automl.data.readers.named import Found, Mark, Picture, assemble, malformed
from automl.data.readers.rows import header_of, rows_of
from automl.data.reading import Reading, ReadOptions, shown, unusable
from automl.dataset import SplitName, Task

_NEEDED = {"ImageID", "LabelName", "XMin", "XMax", "YMin", "YMax"}
_Key = tuple[str, SplitName | None]


def looks_like(path: Path, task: Task) -> str:
    """Why this is Open Images; empty where it is not."""
    found = _tables(path)
    return f"`{found[0].name}` with the columns ImageID, LabelName, XMin" if found else ""


def read(path: Path, task: Task, options: ReadOptions) -> Reading:
    """Reads every table of boxes; its name is the split, where it says one."""
    root = path if path.is_dir() else path.parent
    tables = _tables(path)
    if not tables:
        raise unusable("no table of boxes", path, "expected ImageID,LabelName,XMin,XMax,YMin,YMax")
    found = Found("openimages", root)
    names = _descriptions(root)
    marks: dict[_Key, list[Mark]] = {}
    for table in tables:
        _read_one(table, names, marks, found)
    by_stem: dict[str, list[Path]] = {}
    for image in walk_images(root):
        by_stem.setdefault(image.stem, []).append(image)
    for (name, split), own in marks.items():
        stem = Path(name).stem if is_image(Path(name)) else name  # some tools write the ending too
        image = _image(by_stem.get(name) or by_stem.get(stem, []), split) or root / f"{stem}.jpg"
        found.pictures.append(Picture(image, split, tuple(own), relative=True))
    found.splits = frozenset(split for _, split in marks if split)
    return assemble(found, task, options)


def _places(root: Path) -> list[Path]:
    """The folders in which tables may lie: the set's own and those of its splits."""
    splits = [f for f in folders(root) if split_word(f.name)] if root.is_dir() else []
    kinds = ("annotations", "labels", "metadata")
    return [p for top in (root, *splits) for p in (top, *(top / kind for kind in kinds))]


def _tables(path: Path) -> list[Path]:
    tops = _places(path) if path.is_dir() else []
    found = [p for top in tops for p in files(top, ".csv")] or [path]
    return [p for p in found if p.suffix == ".csv" and p.is_file() and set(header_of(p)) >= _NEEDED]


def _descriptions(root: Path) -> dict[str, str]:
    """`class-descriptions*.csv`, `classes.csv`: code and name, in some versions below a header."""
    found: dict[str, str] = {}
    for folder in _places(root):
        for table in files(folder, ".csv"):
            name = table.name.replace("_", "-")
            if "class-descriptions" in name or name == "classes.csv":
                with table.open(encoding="utf-8-sig", errors="replace", newline="") as file:
                    found |= {row[0]: row[1] for row in _lines(file) if len(row) >= 2}
    return found


def _lines(file: Iterator[str]) -> Iterator[list[str]]:
    try:
        yield from csv.reader(file)
    except csv.Error:
        return


def _read_one(
    table: Path, names: dict[str, str], marks: dict[_Key, list[Mark]], found: Found
) -> None:
    above = (split_word(part) for part in table.relative_to(found.root).parts[:-1])
    split = split_in(table.stem) or next(filter(None, above), None)
    for line, row in rows_of(table):
        where = f"{shown(table, found.root)}:{line}"
        if not row.get("ImageID") or row.get("Confidence") in ("0", "0.0"):
            continue
        try:
            x0, x1, y0, y1 = (float(row[k] or "nan") for k in ("XMin", "XMax", "YMin", "YMax"))
            code = row["LabelName"] or ""
            if not code or not all(map(math.isfinite, (x0, x1, y0, y1))):
                raise ValueError
        except (ValueError, KeyError):
            reason = "a line needs LabelName, XMin, XMax, YMin and YMax"
            found.findings.append(malformed(where, reason))
            continue
        crowd = (row.get("IsGroupOf") or "").strip() == "1"
        mark = Mark(names.get(code, code), (x0, y0, x1, y1), crowd=crowd, where=where)
        marks.setdefault((row["ImageID"], split), []).append(mark)


def _image(candidates: list[Path], split: SplitName | None) -> Path | None:
    same = [p for p in candidates if split and split in map(split_word, p.parts)]
    return next(iter([*same, *candidates]), None)
