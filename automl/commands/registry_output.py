"""`automl sync` and `automl promote`: runs by reference in, facts and lines out."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from automl.commands import workspace
from automl.commands.run_lock import working
from automl.commands.terminal import table
from automl.errors import Fault, MachineError
from automl.run_dir import RunDir, needed

if TYPE_CHECKING:
    from automl.record.mlflow_promote import Promotion
    from automl.record.mlflow_sync import Synced

QUIET = ("already there", "off", "nothing yet")
"""States that need no line where nobody asked for that run."""


def sync(reference: str | None) -> "list[Synced]":
    """One run, also if it is there already, or all that are not."""
    from automl.record.mlflow_sync import sync as delivered

    if reference is not None:
        return list(delivered([workspace.find(reference)], again=True))
    runs = [RunDir(run.folder) for run in reversed(workspace.summaries())]
    return [done for done in delivered(runs) if done.state not in QUIET]


def sync_facts(done: "Iterable[Synced]") -> list[dict[str, Any]]:
    """For `--json`."""
    return [one.facts() for one in done]


def sync_lines(done: "Iterable[Synced]") -> list[str]:
    """One line per run."""
    rows = [
        (
            one.run,
            one.state,
            f"{one.sent} of {one.points} points were new" if one.mlflow else one.why,
            one.mlflow.look if one.mlflow else "",
        )
        for one in done
    ]
    if not rows:
        return ["nothing to send: MLflow has every run"]
    return table(("run", "state", "", ""), rows)


def raise_failures(done: "Iterable[Synced]") -> None:
    """Raises what kept runs back; an unreachable store before anything else, and once."""
    errors = [one.error for one in done if one.error]
    machine = [error for error in errors if isinstance(error, MachineError)]
    if machine:
        faults = dict.fromkeys(fault for error in machine for fault in error.faults)
        again = "`automl sync` again, once the store answers"
        raise MachineError("not synced", faults=[Fault(f.message, f.where, again) for f in faults])
    if errors:
        raise errors[0]


def promote(reference: str, alias: str, *, reason: str, force: bool) -> "Promotion":
    """Gives the alias to the model of a run, alone in its folder."""
    from automl.recipe.schema import read_recipe
    from automl.record.mlflow_promote import promote as promoted

    run = workspace.find(reference)
    with working(run):
        recipe = read_recipe(needed(run.recipe, "prepare"))
        return promoted(run, recipe, alias, reason=reason, force=force)


def promotion_lines(made: "Promotion") -> list[str]:
    """What was given to what, and what had it before."""
    instead = f", instead of version {made.before}" if made.before else ""
    forced = f"; forced, the goal is {made.goal}" if made.forced else ""
    return [f"{made.uri} is version {made.version}{instead}{forced}"]
