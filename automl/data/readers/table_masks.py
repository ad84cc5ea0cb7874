"""Lines of a table to masks: files of ids, or run lengths with one object a line."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from automl.data.kaggle_rle import NOTHING
from automl.data.readers.finder import Finder
from automl.data.readers.masks import listed_names
from automl.data.readers.named import Found, Mark, Picture, assemble, only_class
from automl.data.readers.rows import Row
from automl.data.reading import (
    Entry,
    Reading,
    ReadOptions,
    classes_by_id,
    fatal,
    shown,
    warning,
)
from automl.dataset import SplitName


@dataclass(frozen=True)
class Line:
    """A row with our names of its columns, and where it stands."""

    image: Path
    row: Row
    where: str
    split: SplitName | None
    table: Path
    attributes: tuple[tuple[str, str], ...]
    raw: Row


def picture_of(line: Line, marks: tuple[Mark, ...]) -> Picture:
    """The image of a line."""
    group = line.row.get("group", "")
    return Picture(line.image, line.split, marks, group=group, attributes=line.attributes)


def in_runs(lines: Iterable[Line], found: Found, options: ReadOptions) -> Reading:
    """Several lines of an image are several objects; one without runs lists an image."""
    marks: dict[Path, list[Mark]] = {}
    first: dict[Path, Line] = {}
    for line in lines:
        first.setdefault(line.image, line)
        own = marks.setdefault(line.image, [])
        runs = line.row.get("runs", "")
        if runs.lower() in NOTHING:
            continue
        name = line.row.get("label", only_class(options.classes))
        if not name:
            reason, cure = "the mask has no class", "fill it in or remove the line"
            found.findings.append(fatal("no_class", line.where, reason, cure))
            continue
        own.append(Mark(name, kaggle_rle=runs, where=line.where))
    found.pictures += [picture_of(first[image], tuple(own)) for image, own in marks.items()]
    return assemble(found, "segmentation", options)


def in_files(lines: Iterable[Line], found: Found, options: ReadOptions) -> Reading:
    """One file of ids an image."""
    entries: dict[Path, Entry] = {}
    finders: dict[Path, Finder] = {}
    for line in lines:
        if not line.row["mask"]:
            reason = "the image has no mask"
            cure = "name its mask or remove the line"
            found.findings.append(fatal("missing_annotation", line.where, reason, cure))
        elif line.image in entries:
            reason = f"`{shown(line.image, found.root)}` is listed twice"
            found.findings.append(warning("listed_twice", line.where, reason, "list it once"))
        else:
            folder = line.table.parent
            finder = finders.setdefault(folder, Finder(folder, "masks"))
            entries[line.image] = Entry(
                line.image,
                line.split,
                mask=finder.find(line.row["mask"]),
                group=line.row.get("group", ""),
                attributes=line.attributes,
            )
    names, colours = listed_names(found.root, options)
    classes = classes_by_id(names, options.classes) if names or options.classes else ()
    every, findings = tuple(entries.values()), tuple(found.findings)
    return Reading("csv", found.root, classes, every, findings, found.splits, colours)
