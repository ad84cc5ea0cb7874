"""A path to its format and task: each reader is asked in turn whether it knows the layout."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from automl.data.files import is_there
from automl.data.readers import coco, folders, masks, table, voc, yolo
from automl.data.reading import Given, Reading
from automl.dataset import Task
from automl.errors import DataError, Fault


class Reader(Protocol):
    """What a module in `readers` offers."""

    def looks_like(self, path: Path, /) -> str:
        """Why the set has this format; empty where it has not."""
        ...

    def read(self, path: Path, task: Task, given: Given, /) -> Reading:
        """The set as its files describe it."""
        ...


@dataclass(frozen=True)
class Row:
    """One format: its reader, the task it serves, and the layout it looks for."""

    reader: Reader
    task: Task
    layout: str


READERS: dict[str, Row] = {
    "coco": Row(coco, "detection", "annotations/*.json with images, annotations, categories"),
    "yolo": Row(yolo, "detection", "data.yaml with names and train, or images/ and labels/*.txt"),
    "voc": Row(voc, "detection", "Annotations/*.xml, JPEGImages/, ImageSets/Main/*.txt"),
    "masks": Row(masks, "segmentation", "images/ and masks/, or train/images and train/masks"),
    "csv": Row(table, "classification", "a .csv with the columns path, label and perhaps split"),
    "folders": Row(folders, "classification", "train/CLASS/*.jpg and val/CLASS, or CLASS/*.jpg"),
}
"""Asked in this order: the first that knows the layout wins."""


@dataclass(frozen=True)
class Recognised:
    """The format and task of a set, and what it was recognised by."""

    format: str
    task: Task
    why: str


def recognise(path: Path, task: Task | None = None) -> Recognised:
    """The format of the set at `path`; a task given leaves only the formats that serve it."""
    if not is_there(path):
        raise DataError("no such file or folder", where=str(path), hint="correct `data.path`")
    found = [
        Recognised(name, row.task, why)
        for name, row in READERS.items()
        if (why := row.reader.looks_like(path))
    ]
    fit = [r for r in found if task in (None, r.task)]
    if not fit:
        raise _unrecognised(path, task, found)
    also = [r.format for r in fit[1:] if r.format != "folders"]  # any tree looks like folders
    if not also:
        return fit[0]
    first = fit[0]
    return Recognised(first.format, first.task, f"{first.why} (also looks like {', '.join(also)})")


def _unrecognised(path: Path, task: Task | None, found: list[Recognised]) -> DataError:
    layouts = "\n".join(
        f"  {name}: {row.layout}" for name, row in READERS.items() if task in (None, row.task)
    )
    for_task = f" for {task}" if task else ""
    message = f"no known layout{for_task}; looked for\n{layouts}"
    if found:
        other = found[0]
        hint = f"this is a set for {other.task}: {other.why}; set `task: {other.task}`"
    else:
        hint = "arrange the files in one of these ways, or set `data.path` to the folder that is"
    return DataError(message, faults=[Fault(message, str(path), hint)])
