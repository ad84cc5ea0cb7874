"""A data set in any layout that can be read to a new folder in a standard one."""

import tempfile
from pathlib import Path
from typing import Protocol

from automl.data.finding_messages import refuse_fatal
from automl.data.prepare import prepare
from automl.data.source import recipe_of
from automl.data.writers import coco, folders, masks, table, voc, yolo
from automl.data.writers.target import Target, is_inside
from automl.dataset import Dataset, Finding, Task
from automl.errors import MachineError, UsageError
from automl.talk import Talk


class Writer(Protocol):
    """What a module in `writers` offers."""

    TASKS: tuple[Task, ...]

    def write(self, target: Target, /) -> None:
        """Writes the set of a target."""
        ...


WRITERS: dict[str, Writer] = {
    "coco": coco,
    "yolo": yolo,
    "voc": voc,
    "csv": table,
    "folders": folders,
    "masks": masks,
}


def convert(
    data: Path, out: Path, to: str, talk: Talk, *, task: Task | None = None, link: bool = False
) -> tuple[Dataset, list[str], tuple[Finding, ...]]:
    """Reads `data`, a set or a recipe, and writes `out`; gives what `to` could not hold."""
    recipe = recipe_of(data, task)
    _refuse_target(out, Path(recipe.data.path))
    found = prepare(recipe, talk)
    refuse_fatal(found.findings)
    dataset = found.dataset
    writer = WRITERS[to]
    if dataset.task not in writer.TASKS:
        fitting = ", ".join(name for name, w in WRITERS.items() if dataset.task in w.TASKS)
        message = f"`{to}` holds no {dataset.task}"
        raise UsageError(message, where=str(data), hint=f"`--to` one of {fitting}")
    notes = _write_whole(writer, dataset, out, link=link)
    drawn = [s for s in dataset.counts() if s not in dataset.brought_splits]
    if drawn:
        notes.append(f"the set brings no split for all images: {', '.join(drawn)} drawn by content")
    return dataset, notes, found.findings


def _refuse_target(out: Path, source: Path) -> None:
    if is_inside(out, source):
        message, hint = "the new set would lie inside the old one", "name a folder outside"
        raise UsageError(message, where=str(out), hint=hint)
    if out.is_symlink() or (out.exists() and (not out.is_dir() or any(out.iterdir()))):
        raise UsageError("the output path already exists", where=str(out), hint="name a new folder")


def _write_whole(writer: Writer, dataset: Dataset, out: Path, *, link: bool) -> list[str]:
    """Beside the folder first, so that half a set never looks like one."""
    out = out.absolute()
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=".convert-") as part:
            made = Path(part) / "made"
            made.mkdir()
            target = Target(dataset, made, link=link)
            writer.write(target)
            if out.exists():
                out.rmdir()
            made.replace(out)
    except OSError as error:
        hint = "make room, or name another folder"
        message = f"cannot be written: {error.strerror or error}"
        raise MachineError(message, where=str(out), hint=hint) from None
    return target.notes
