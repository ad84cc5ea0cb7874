"""Tables of images: a class, several classes, a mask or one box a line; CSV, TSV or Parquet."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path

from automl.data.files import files, folders, split_in, split_word
from automl.data.readers.finder import Finder
from automl.data.readers.label_lists import separator, split_labels, unsplit
from automl.data.readers.named import Found, Mark, Picture, assemble, malformed, only_class
from automl.data.readers.one_hot import classes_in, shown_in
from automl.data.readers.rows import SUFFIXES, SURPLUS, attributes_of, header_of, is_utf8, rows_of
from automl.data.readers.table_boxes import WRITTEN, marks_of
from automl.data.readers.table_columns import (
    columns,
    holds_numbers,
    image_and_class,
    says_no_class,
    unknown,
)
from automl.data.readers.table_masks import Line, in_files, in_runs, picture_of
from automl.data.reading import Reading, ReadOptions, fatal, shown, unusable, warning
from automl.dataset import Finding, SplitName, Task

_NEEDS: dict[Task, str] = {
    "classification": "`path` and `label` or `labels`, or one of 0 and 1 per class",
    "detection": "`path`, `label`, and `bbox` (x, y, width, height) or `xmin`, `ymin`, and "
    "`xmax`, `ymax` or `width`, `height`",
    "segmentation": "`path` and `mask`, or `path` and `EncodedPixels`",
}
_HELD_OUT = {
    **dict.fromkeys(("true", "1", "1.0"), "val"),
    **dict.fromkeys(("false", "0", "0.0"), "train"),
}
"""What a column says that is true of validation images."""


def looks_like(path: Path, task: Task) -> str:
    """Why this is a table that serves the task; empty where it is not."""
    options = _of_two_columns(path, task, ReadOptions())
    tables = [t for t in _tables(path, options) if _serves(t, task, options)]
    if not all(map(is_utf8, tables)):  # told with the cure where nothing else fits
        return ""
    if task == "classification":  # a line per box would be several classes of one image
        tables = [t for t in tables if not _serves(t, "detection", options)]
    names = ", ".join(f"`{t.name}`" for t in tables)
    if tables and (classes := one_hot(tables[0], options)):
        return f"{names} with a column of 0 and 1 for each of {len(classes)} classes"
    if options.columns and tables:
        return f"{names} with the columns {options.columns['path']}, {options.columns['label']}"
    return f"{names} with the columns {_NEEDS[task].replace('`', '')}" if tables else ""


def one_hot(table: Path, options: ReadOptions) -> list[str]:
    """The columns that stand for a class each, where no column names the class."""
    known = columns(table, options)
    if {"label", "labels", "mask", "runs", "xmin", "bbox"} & set(known):
        return []
    return classes_in(table, known.values(), options)


def fits(path: Path, task: Task, options: ReadOptions) -> bool:
    """Whether a table serves the task once the recipe has said what its columns mean."""
    return any(_serves(table, task, options) for table in _tables(path, options))


def read(path: Path, task: Task, options: ReadOptions) -> Reading:
    """Reads one table, or one per split where a folder holds several."""
    found = Found("csv", path if path.is_dir() else path.parent)
    asked, options = options, _of_two_columns(path, task, options)
    tables = [t for t in _tables(path, options) if _serves(t, task, options)]
    if not tables:
        hint = "add that header, or name the columns in `data.columns`"
        raise unusable(f"no table with the columns {_NEEDS[task]}", path, hint)
    tables = _of_splits(tables, found)
    if options is not asked:
        found.findings.append(_told(tables[0], options, found.root))
    lines = chain.from_iterable(_lines(t, options, found, alone=len(tables) == 1) for t in tables)
    if task == "segmentation":
        runs = any("runs" in columns(t, options) for t in tables)
        return (in_runs if runs else in_files)(lines, found, options)
    if task == "detection":
        _boxes(_named(lines, tables, found, options), found)
    elif classes := one_hot(tables[0], options):
        _columns_of_classes(lines, found, classes)
    else:
        _classes(lines, found, many=any("labels" in columns(t, options) for t in tables))
    return assemble(found, task, options)


def _of_two_columns(path: Path, task: Task, options: ReadOptions) -> ReadOptions:
    """As if the recipe had named the columns, where none of a known name says the class."""
    known = any(_serves(table, task, options) for table in _tables(path, options))
    if known or options.columns or task != "classification":
        return options
    tables = next((every for every in _candidates(path) if every), [])
    found = [pair for t in tables if (pair := image_and_class(t))]
    alike = bool(found) and found.count(found[0]) == len(found)
    return replace(options, columns=found[0]) if alike else options


def _of_splits(tables: list[Path], found: Found) -> list[Path]:
    """Those named after a split, where one is of `train`; the others are left out, and told."""
    splits = {table: _split_of(table, found.root) for table in tables}
    if len(tables) == 1 or all(splits.values()):
        return tables
    if "train" not in splits.values():
        names = ", ".join(t.name for t in tables)
        raise unusable(f"several tables: {names}", found.root, "name one of them as `data.path`")
    reason, cure = "named after no split, and left out beside those that are", "rename or remove it"
    rest = [table for table, split in splits.items() if not split]
    found.findings += [warning("table_left_out", shown(t, found.root), reason, cure) for t in rest]
    return [table for table, split in splits.items() if split]


def _told(table: Path, options: ReadOptions, root: Path) -> Finding:
    column = options.columns["label"]
    reason = f"the column `{column}` counts as the class: the only other one names the images"
    cure = "nothing, if so; else name the one that is in `data.columns`"
    return warning("label_column", shown(table, root), reason, cure)


def _tables(path: Path, options: ReadOptions) -> list[Path]:
    """At the top, else in folders named as a split."""
    found = ([t for t in every if _is_table(t, options)] for every in _candidates(path))
    return next(filter(None, found), [])


def _candidates(path: Path) -> Iterator[list[Path]]:
    if not path.is_dir():
        yield [path] if _may_be_table(path) else []
        return
    inside = [f for f in folders(path) if split_word(f.name)]
    for places in ([path], inside):
        every = (t for place in places for s in SUFFIXES for t in files(place, s))
        yield [t for t in every if _may_be_table(t)]


def _may_be_table(table: Path) -> bool:
    """Not answers to be filled in."""
    known = table.suffix.lower() in SUFFIXES and table.is_file()
    return known and "submission" not in table.stem.lower()


def _is_table(table: Path, options: ReadOptions) -> bool:
    return bool({"path", "path_label"} & set(columns(table, options)))


def _split_of(table: Path, root: Path) -> SplitName | None:
    return split_in(table.stem) or (split_word(table.parent.name) if table.parent != root else None)


def _serves(table: Path, task: Task, options: ReadOptions) -> bool:
    known = columns(table, options)
    named = set(known)
    if task == "detection":
        several = "bbox" in named and bool(named & {"label", "labels"})
        written = "bbox" in named or any(named >= set(w) for w in WRITTEN)
        return several or (written and ("label" in named or says_no_class(table, known)))
    if "runs" in named or ("mask" in named and holds_numbers(table, known["mask"])):
        return task == "segmentation" and "runs" in named
    if task == "segmentation":
        return "mask" in named
    return bool(named & {"label", "labels"}) or bool(one_hot(table, options))


def _lines(table: Path, options: ReadOptions, found: Found, *, alone: bool) -> Iterator[Line]:
    known = columns(table, options)
    _refuse_twins(table, set(known.values()))
    finder = Finder(table.parent, "images", split_in(table.stem))
    of_file: SplitName | None = None if alone else _split_of(table, found.root)
    for number, row in rows_of(table):
        where = f"{shown(table, found.root)}:{number}"
        ours = {name: row.get(theirs, "") for name, theirs in known.items()}
        if "path_label" in ours:
            ours["path"], _, ours["label"] = ours["path_label"].rpartition("_")
        if not ours["path"]:
            continue
        if surplus := row.get(SURPLUS):
            reason = f"has more cells than the header: {surplus[:40]}"
            found.findings.append(malformed(where, reason, "put quotes around cells with commas"))
            continue
        held_out = ours.get("held_out", "")
        said = ours.get("split") or _HELD_OUT.get(held_out.lower(), held_out)
        if said and not split_word(said):
            cure = "use train, val, test or leave it"
            found.findings.append(fatal("unknown_split", where, f"split `{said}`", cure))
            continue
        split = split_word(said) or of_file
        image = finder.find(ours["path"])
        found.splits |= {split} if split else frozenset()
        yield Line(image, ours, where, split, table, attributes_of(row, options), row)


def _refuse_twins(table: Path, used: set[str]) -> None:
    names = header_of(table)
    twice = next((name for name in names if name in used and names.count(name) > 1), None)
    if twice is not None:
        hint = "rename or remove one of them"
        raise unusable(f"two columns are called `{twice.strip()}`", table, hint)


def _classes(lines: Iterable[Line], found: Found, *, many: bool) -> None:
    found.many = many
    known: dict[Path, list[str]] = {}
    every = list(lines)
    cells = [(line.row.get("labels" if many else "label", ""), line.where) for line in every]
    mark = separator([cell for cell, _ in cells])
    for line, (cell, _) in zip(every, cells, strict=True):
        _keep(line, split_labels(cell, mark) if many else [cell], known, found)
    odd = unsplit(cells, mark if many else "")
    found.findings += [odd] if odd else []


def _columns_of_classes(lines: Iterable[Line], found: Found, classes: list[str]) -> None:
    """Several classes an image, unless each line says 1 of exactly one."""
    found.listed = [name.strip() for name in classes]
    known: dict[Path, list[str]] = {}
    for line in lines:
        try:
            _keep(line, shown_in(line.raw, classes), known, found)
        except ValueError as error:
            found.findings.append(malformed(line.where, str(error), "write 0 or 1"))
    found.many = any(len(names) != 1 for names in known.values())


def _keep(line: Line, names: list[str], known: dict[Path, list[str]], found: Found) -> None:
    """One line of an image counts; a second one is told."""
    fault = _fault(line, names, known, found.root)
    if fault:
        found.findings.append(fault)
        return
    known[line.image] = names
    marks = tuple(Mark(name, where=line.where) for name in names)
    found.pictures.append(picture_of(line, marks))


def _fault(
    line: Line, names: list[str], known: dict[Path, list[str]], root: Path
) -> Finding | None:
    if names in ([""], ["nan"], ["NaN"]):  # as pandas writes what is missing
        reason = f"the label is {names[0] or 'empty'}"
        return fatal("no_class", line.where, reason, "fill it in or remove the line")
    before = known.get(line.image)
    if before is None:
        return None
    if sorted(before) != sorted(names):
        reason = f"`{shown(line.image, root)}` has another label further up"
        return fatal("conflicting_labels", line.where, reason, "keep one line per image")
    reason = f"`{shown(line.image, root)}` is listed twice"
    return warning("listed_twice", line.where, reason, "keep one line per image")


def _named(
    lines: Iterable[Line], tables: list[Path], found: Found, options: ReadOptions
) -> Iterator[Line]:
    """Where no table says what its boxes are, all are of one class, which is told."""
    known = [columns(table, options) for table in tables]
    if any({"label", "labels"} & set(one) for one in known):
        yield from lines
        return
    name = only_class(options.classes)
    rest = unknown(tables[0], known[0])
    reason = f"no column of classes is known: all boxes count as `{name}`"
    cure = "nothing, if so; else name the column in `data.columns`, such as "
    cure += f"{{label: {rest[0] if rest else 'kind'}}}"
    found.findings.append(warning("one_class", shown(tables[0], found.root), reason, cure))
    for line in lines:
        yield replace(line, row={**line.row, "label": name})


def _boxes(lines: Iterable[Line], found: Found) -> None:
    """One box a line; a line without one lists an image that shows nothing."""
    marks: dict[Path, list[Mark]] = {}
    first: dict[Path, Picture] = {}
    for line in lines:
        if line.image not in first:
            first[line.image] = picture_of(line, ())
        own = marks.setdefault(line.image, [])
        try:
            own += marks_of(line.row, line.where)
        except ValueError as error:
            found.findings.append(malformed(line.where, str(error), "correct the line"))
    every = [v for own in marks.values() for m in own for v in m.corners or ()]
    # shares of the image: boxes in pixels would all be smaller than one pixel
    relative = bool(every) and max(every) <= 1.0
    for image, own in marks.items():
        found.pictures.append(replace(first[image], marks=tuple(own), relative=relative))
