"""`automl init`: a data set in, a short commented recipe for it out."""

import os
import shlex
from contextlib import suppress
from math import inf
from pathlib import Path

from automl.data.archive import opened
from automl.data.reading import ReadOptions
from automl.data.recognise import READERS, Recognised, recognise
from automl.dataset import Task
from automl.errors import DataError, UsageError
from automl.recipe.tree import absolute
from automl.recipe.yaml_text import dump
from automl.scoring.score import goals_of
from automl.talk import Talk

_TEXT = """\
# {why}
task: {task}
data:
  path: {path}
  format: {format}
{classes}\
model: auto             # or a name from `automl models --task {task}`
effort: standard        # quick | standard | thorough
licence: permissive     # any: models and weights of every licence
# budget: 10m           # longest time of the whole run
# augment: medium       # none | light | medium | heavy | a list of Albumentations transforms
# train: {{epochs: 40}}   # any setting that `automl plan` shows
# goal: {{metric: {metric}, at_least: 0.8}}   # exit code 5 where it is missed
"""
_MASK_CLASSES = """\
  # classes: [sky, road]   # names in the order of the mask ids
  # ignore: [255]          # mask ids that mean: no label
"""


def write_starter(data: Path, file: Path | None, talk: Talk, task: Task | None = None) -> Path:
    """Writes the recipe and returns its path; a file that is there is never replaced."""
    found = recognise(data, task)
    target = file or Path(f"{absolute(data).name or 'recipe'}.yaml")
    talk.say(f"recognised: {found.format}, {found.task}: {_on_one_line(found.why)}")
    text = _text(found, data, target).encode()
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with target.open("xb") as recipe:
            recipe.write(text)
    except FileExistsError:
        hint = "name another file with `--out FILE`, or delete this one"
        raise UsageError("the recipe already exists", where=str(target), hint=hint) from None
    shown = f"./{target}" if str(target).startswith("-") else str(target)  # else an option
    talk.say(f"next: {shlex.join(['automl', 'run', shown])}")
    return target


def _text(found: Recognised, data: Path, target: Path) -> str:
    whole, folder, here = absolute(data), absolute(target.parent), Path.cwd()
    near = whole.is_relative_to(here) and folder.is_relative_to(here)
    path = Path(os.path.relpath(whole, folder)) if near else whole
    if not _is_utf8(str(path)):
        hint = "rename it, or make a link to it with another name"
        raise UsageError(
            "a recipe cannot hold a path that is not UTF-8", where=str(data), hint=hint
        )
    return _TEXT.format(
        why=_on_one_line(f"{found.format}: {found.why}"),
        task=found.task,
        path=dump(path.as_posix(), width=inf).removesuffix("...\n").strip(),
        format=found.format,
        classes=_MASK_CLASSES if found.format == "masks" else "",
        metric=_metric(found, data),
    )


def _metric(found: Recognised, data: Path) -> str:
    """One that the set will be scored by: whether images show several classes, its files tell."""
    several = False
    if found.task == "classification" and found.format != "folders":
        with suppress(DataError):  # what is wrong with the set, `check` tells
            reading = READERS[found.format].reader.read(opened(data), found.task, ReadOptions())
            several = any(entry.labels is not None for entry in reading.entries)
    return goals_of(found.task, several_labels=several)[0]


def _on_one_line(why: str) -> str:
    """Names of classes may hold anything; a comment and a terminal take what can be shown."""
    return "".join(c if c.isprintable() else "?" for c in " ".join(why.split()))


def _is_utf8(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True
