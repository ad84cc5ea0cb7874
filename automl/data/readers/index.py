"""Our own index of a set: `dataset.json` as a run or `automl check --fix` writes it."""

import json
import os
from pathlib import Path
from typing import Any

from automl.data.files import is_there
from automl.data.reading import Box, Entry, Reading, ReadOptions, Runs, Shape, unusable
from automl.data.regions import UNJUDGED, rings_of
from automl.dataset import Dataset, Region, Sample, Task
from automl.errors import DataError
from automl.prediction import IGNORE

NAME = "dataset.json"


def looks_like(path: Path, task: Task) -> str:
    """Why this is an index for the task; empty where it is not."""
    file = _file(path)
    if file is None:
        return ""
    try:
        with file.open("rb") as head:
            start = head.read(200)
    except OSError:
        return ""
    return f"`{file.name}` is an index of automl" if _MARK in start and task in _task(file) else ""


def read(path: Path, task: Task, _: ReadOptions) -> Reading:
    """The samples as they were left; nothing about them is decided anew but what is checked."""
    file = _file(path)
    if file is None:
        raise unusable("no index of a set", path, f"name a `{NAME}`")
    dataset = Dataset.read(file)
    if dataset.task != task:
        raise unusable(f"an index for {dataset.task}", file, f"set `task: {dataset.task}`")
    root = Path(os.path.normpath(file.parent.absolute() / dataset.root))
    try:
        entries = tuple(_entry(dataset, sample, root) for sample in dataset.samples)
    except (IndexError, ValueError, TypeError) as error:
        raise DataError(f"the index is damaged: {error}", where=str(file)) from None
    splits = frozenset(sample.split for sample in dataset.samples)
    return Reading(
        "index",
        root,
        dataset.classes,
        entries,
        splits=splits,
        colours=dataset.colours,
        ignore=dataset.ignore,
        frame=dataset.frame,
    )


_MARK = b'"task": "'


def _file(path: Path) -> Path | None:
    file = path / NAME if path.is_dir() else path
    return file if file.name == NAME and is_there(file) and file.is_file() else None


def _task(file: Path) -> str:
    try:
        raw: Any = json.loads(file.read_text(encoding="utf-8"))
        known = isinstance(raw, dict) and {"task", "root", "classes", "samples"} <= set(raw)
        return str(raw["task"]) if known else ""
    except (OSError, ValueError, RecursionError):
        return ""


def _entry(dataset: Dataset, sample: Sample, root: Path) -> Entry:
    ids = [c.id for c in dataset.classes]
    crowd = sample.crowd or (False,) * len(sample.boxes)
    outlined = dataset.task == "segmentation" and sample.mask is None
    return Entry(
        path=root / sample.path,
        split=sample.split,
        label=None if sample.label is None else ids[sample.label],
        mask=root / sample.mask if sample.mask else None,
        boxes=tuple(
            Box(ids[label], box, many, sample.path)
            for box, label, many in zip(sample.boxes, sample.labels, crowd, strict=False)
        ),
        declared=(sample.width, sample.height),
        shapes=tuple(_shape(r, sample, ids) for r in sample.regions) if outlined else None,
        labels=tuple(ids[i] for i in sample.labels) if dataset.multi_label else None,
        group=sample.group,
        attributes=sample.attributes,
    )


def _shape(region: Region, sample: Sample, ids: list[int]) -> Shape:
    class_id = UNJUDGED if region.label == IGNORE else ids[region.label]
    rings = tuple(tuple(ring) for ring in rings_of(region.outline))
    size = (sample.height, sample.width)
    return Shape(class_id, rings, Runs(size, region.runs) if region.runs else None, sample.path)
