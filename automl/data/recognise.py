"""A path to its format and task: each reader is asked in turn whether it knows the layout."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from automl.data.archive import PACKED, is_packed, opened
from automl.data.files import (
    files,
    folders,
    holds_images,
    images,
    is_image,
    is_there,
    split_word,
)
from automl.data.readers import (
    coco,
    cvat,
    datumaro,
    foreign,
    index,
    jsonl,
    labelme,
    masks,
    object_masks,
    openimages,
    path_lists,
    table,
    voc,
    yolo,
)
from automl.data.readers import folders as class_folders
from automl.data.readers.not_classes import no_classes
from automl.data.readers.one_hot import some_in
from automl.data.readers.rows import SUFFIXES, header_of, is_utf8
from automl.data.readers.table_columns import columns, holds_numbers
from automl.data.reading import Reading, ReadOptions
from automl.dataset import Task
from automl.errors import DataError, Fault


class Reader(Protocol):
    """What a module in `readers` offers."""

    def looks_like(self, path: Path, task: Task, /) -> str:
        """Why the set has this format and can serve the task; empty where not."""
        ...

    def read(self, path: Path, task: Task, options: ReadOptions, /) -> Reading:
        """The set as its files describe it."""
        ...


@dataclass(frozen=True)
class Row:
    """One format: its reader, the tasks it can serve, best first, and the layout it looks for."""

    reader: Reader
    tasks: tuple[Task, ...]
    layout: str


_ALL: tuple[Task, ...] = ("detection", "segmentation", "classification")
_OUTLINED: tuple[Task, ...] = ("detection", "segmentation")

READERS: dict[str, Row] = {
    "index": Row(index, _ALL, "dataset.json as `automl check --fix` writes it"),
    "coco": Row(coco, _ALL, "annotations/*.json with images, annotations, categories"),
    "yolo": Row(yolo, _OUTLINED, "data.yaml with names and train, or images/ and labels/*.txt"),
    "voc": Row(voc, _ALL, "Annotations/*.xml or SegmentationClass/*.png, JPEGImages/, ImageSets/"),
    "masks": Row(
        masks,
        ("segmentation",),
        "images/ and masks/, train/images and train/masks, or train/ and train_masks/",
    ),
    "object_masks": Row(
        object_masks,
        ("segmentation", "detection"),
        "a folder per image: ID/images/ID.png and ID/masks/*.png, a mask per object",
    ),
    "labelme": Row(labelme, _ALL, "images with a .json each that has shapes"),
    "cvat": Row(cvat, _ALL, "annotations.xml: CVAT for images 1.1"),
    "datumaro": Row(datumaro, _ALL, "annotations/*.json with infos, categories, items"),
    "openimages": Row(
        openimages, ("detection",), "*.csv with ImageID, LabelName, XMin, XMax, YMin, YMax"
    ),
    "csv": Row(
        table,
        ("classification", "detection", "segmentation"),
        "a .csv, .tsv or .parquet with the columns path and label, xmin ..., mask or EncodedPixels",
    ),
    "jsonl": Row(
        jsonl,
        ("classification", "detection"),
        "metadata.jsonl with file_name, and label or objects, in each line",
    ),
    "lists": Row(
        path_lists,
        ("classification",),
        "train.txt and val.txt with a path and a label in each line, classes.txt with the names",
    ),
    "folders": Row(
        class_folders,
        ("classification",),
        "train/CLASS/*.jpg and val/CLASS, or CLASS/*.jpg, with lists of splits or without",
    ),
}
"""Those whose first task it is are asked first, then the others, in this order."""


@dataclass(frozen=True)
class Recognised:
    """The format and task of a set, and what it was recognised by."""

    format: str
    task: Task
    why: str


def recognise(path: Path, task: Task | None = None) -> Recognised:
    """The format of the set at `path`; a task given leaves only the formats that serve it."""
    if not is_there(path):
        raise DataError("no such file or folder", where=str(path), hint="correct the path")
    path = opened(path)
    _refuse_packed(path)
    fit = list(_fitting(path, task))
    if not fit:
        raise _unrecognised(path, task)
    others = {r.format: r for r in fit[1:] if r.format not in ("folders", fit[0].format)}
    if not others:  # any tree looks like folders
        return fit[0]
    first = fit[0]
    also = ", ".join(others)
    return Recognised(first.format, first.task, f"{first.why} (also looks like {also})")


def _refuse_packed(path: Path) -> None:
    """One archive alone is unpacked; beside tables, or beside others, nobody says into which."""
    found = (p for ending in PACKED for p in files(path, ending))
    packed = sorted(p.name for p in found if is_packed(p))
    if packed and not holds_images(path):
        message = f"the images are still packed: {', '.join(packed[:4])}"
        raise DataError(message, where=str(path), hint="unpack each into a folder of its own name")


def _fitting(path: Path, task: Task | None) -> Iterator[Recognised]:
    """What the set can be read as, the likeliest first."""
    ranked = [
        (place, name, one)
        for name, row in READERS.items()
        for place, one in enumerate(row.tasks)
        if task in (None, one)
    ]
    seen = set()
    for _, name, one in sorted(ranked, key=lambda r: (r[1] == "folders", r[0])):
        if name not in seen and (why := READERS[name].reader.looks_like(path, one)):
            seen.add(name)
            yield Recognised(name, one, why)


def _clue(path: Path) -> str:
    """What keeps the likeliest layout from being recognised; empty where nothing tells."""
    if other := foreign.by_words(path):
        return other
    tables = [t for s in SUFFIXES for t in files(path, s)] if path.is_dir() else []
    tables = [t for t in tables if "submission" not in t.name.lower()]
    if not path.is_dir() and path.suffix.lower() in SUFFIXES and path.is_file():
        tables = [path]
    if not tables:
        return _clue_of_folder(path)
    inside = _inside(path) if path.is_dir() else ""
    return _clue_of_table(tables[0]) + (f"; or {inside}" if inside else "")


def _clue_of_table(table: Path) -> str:
    if not is_utf8(table):
        return f"`{table.name}` is not UTF-8 text: save it as UTF-8 (in Excel as `CSV UTF-8`)"
    header = [name.strip() for name in header_of(table)]
    found = f"`{table.name}` has the columns {', '.join(header[:8]) or 'without names'}"
    theirs = columns(table, ReadOptions())
    if "mask" in theirs and holds_numbers(table, theirs["mask"]):
        column = theirs["mask"]
        return (
            f"`{column}` of `{table.name}` holds run lengths: if they count down the columns "
            f"from 1, say `data.columns: {{runs: {column}}}`; if along the rows, as those of "
            "UW-Madison do, save the masks as PNG"
        )
    if any(re.fullmatch(r"pixels?_?\d*", name.lower()) for name in header):
        return f"`{table.name}` holds pixels, which are not read: write each row to an image file"
    if any(re.fullmatch(r"-?\d+(\.\d+)?", name) or is_image(Path(name)) for name in header):
        return f"`{table.name}` has no header: put one above, such as path,label,xmin,ymin,..."
    if len(hot := some_in(table)) > 1:
        few = ", ".join(name.strip() for name in hot[:4]) + (", ..." if len(hot) > 4 else "")
        return f"{found}: if some are classes (0 or 1), `data.classes: [{few}]` names them"
    first, second = header if len(header) == 2 else (theirs.get("path", "file"), "diagnosis")
    example = f"`data: {{path: ..., columns: {{path: {first}, label: {second}}}}}`"
    return f"{found}: say in a recipe which is which, such as {example}"


def _clue_of_folder(path: Path) -> str:
    if not path.is_dir():
        other = foreign.by_ending(path)
        return other or "name a folder, an archive, or a file of one of these formats"
    if clue := _inside(path):
        return clue
    if other := foreign.by_ending(path) or foreign.beside(path):
        return other
    if pairs := no_classes([f for f in folders(path) if split_word(f.name)] or [path]):
        return pairs
    if images(path):
        return "these images have no labels: put each into a folder named after its class"
    if holds_images(path):
        return ""
    return "there is no image in it: name the folder that has them"


def _inside(path: Path) -> str:
    """The folder inside that is a set, where only one is."""
    found = [inside for folder in folders(path) if (inside := _first_set(folder))]
    if len(found) != 1:
        return ""
    folder, one = found[0]
    name = folder.relative_to(path).as_posix()
    return f"`{name}` inside is a set for {one.task}: set `data.path` to it"


def _first_set(folder: Path) -> tuple[Path, Recognised] | None:
    """The folder itself, or one that lies in it alone, and so on."""
    if one := next(_fitting(folder, None), None):
        return folder, one
    inside = folders(folder)
    return _first_set(inside[0]) if len(inside) == 1 and not images(folder) else None


def _unrecognised(path: Path, task: Task | None) -> DataError:
    layouts = "\n".join(
        f"  {name}: {row.layout}" for name, row in READERS.items() if task in (None, *row.tasks)
    )
    for_task = f" for {task}" if task else ""
    message = f"no known layout{for_task}; looked for\n{layouts}"
    other = next(_fitting(path, None), None) if task else None
    if other:
        hint = f"this is a set for {other.task}: {other.why}; set `task: {other.task}`"
    elif clue := _clue(path):
        hint = clue
    else:
        hint = "arrange the files in one of these ways, or set `data.path` to the folder that is"
    return DataError(message, faults=[Fault(message, str(path), hint)])
