"""`automl reproduce`: where a run is repeated, the answer in lines, and what a bad one means."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from automl.commands.comparison import metric_lines, rows_table, value_text
from automl.commands.run_lock import working
from automl.commands.terminal import talk
from automl.commands.workspace import find, name, shown
from automl.errors import GateError, UsageError
from automl.record.compare import Row
from automl.record.runs import AGAIN, is_run, new_run, recipe_name
from automl.run_dir import RunDir, runs_folder

if TYPE_CHECKING:
    from automl.reproduce import Reproduction

MOST_SHOWN = 12
"""Differences that a person is shown; `--json` and `reproduction.json` have all."""


def again(reference: str, run_dir: Path | None, *, here: bool) -> "Reproduction":
    """Repeats a run in a new folder, or goes on in the one where that was stopped."""
    from automl.reproduce import reproduce

    run = find(reference)
    folder = _folder(run, run_dir)

    def going_on() -> str:
        words = ["automl", "reproduce", name(run), "--run-dir", str(shown(folder.root))]
        return shlex.join([*words, *(["--here"] if here else [])])

    try:
        with working(folder, going_on):
            return reproduce(run, folder, talk(), here=here)
    finally:
        if folder.root.is_dir() and not any(folder.root.iterdir()):
            folder.root.rmdir()  # something was missing, so nothing was begun


def lines(answer: "Reproduction") -> list[str]:
    """The scores side by side, what differs, and the verdict in the last line."""
    found = answer.verdict
    shown_rows = found.differences[:MOST_SHOWN]
    rest = len(found.differences) - len(shown_rows)
    told = [f"A  {answer.run.id}", f"B  {answer.again.id}", ""]
    told += metric_lines(found.metrics)
    if shown_rows:
        told += ["", *rows_table("differs", shown_rows)]
        told += [f"... and {rest} more"] if rest else []
    if answer.today:
        told += ["", *rows_table("a plan made now", answer.today[:MOST_SHOWN])]
    return [*told, "", sentence(answer)]


def sentence(answer: "Reproduction") -> str:
    """The verdict in one line."""
    found = answer.verdict
    if found.word == "identical":
        return f"identical: weights {found.weights[0][:12]} and every metric to the bit"
    return f"{found.word}{_because(found.because)}"


def raise_failures(answer: "Reproduction") -> None:
    """GateError where the run gave something else."""
    if answer.verdict.word == "different":
        raise GateError(
            f"the run was not reproduced: different{_because(answer.verdict.because)}",
            where=str(shown(answer.again.reproduction)),
            hint=f"`automl compare {name(answer.run)} {name(answer.again)}` has all differences",
        )


def _because(row: Row | None) -> str:
    if row is None:
        return ""
    field, a, b = row
    if field == "unknown":
        return " for an unknown reason: no recorded field differs"
    return f" because {field}: {value_text(a)} -> {value_text(b)}"


def _folder(run: RunDir, run_dir: Path | None) -> RunDir:
    """A new folder, an empty one, or that of the same repetition."""
    from automl.reproduce import repeats

    if run_dir is None:
        return new_run(f"{recipe_name(run.id) or run.id}{AGAIN}", runs_folder())
    folder = RunDir(run_dir.absolute())
    if repeats(folder, run) and not folder.reproduction.is_file():
        return folder
    if is_run(folder.root) or folder.strangers():
        raise UsageError(
            "the folder holds something already",
            where=str(run_dir),
            hint="name a new folder, or the one where this very reproduction was stopped",
        )
    return folder
