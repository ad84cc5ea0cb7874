"""Runs in, each delivered to its store where it is not there yet; one line of facts per run out."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from automl.errors import AutomlError, LockedError, MachineError
from automl.lock import locked
from automl.recipe.schema import read_recipe
from automl.record import journal
from automl.record.mlflow_delivery import deliver, is_delivered, store_of
from automl.record.mlflow_store import MlflowRecord
from automl.run_dir import RunDir

State = Literal["delivered", "already there", "off", "at work", "nothing yet", "failed"]

PATIENCE_S = 10.0
"""Whoever asks for it has more time for a slow store than a run that is done."""


@dataclass(frozen=True)
class Synced:
    """What became of one run; `sent` of its `points` were not there before."""

    run: str
    state: State
    points: int = 0
    sent: int = 0
    mlflow: MlflowRecord | None = None
    why: str = ""
    error: AutomlError | None = field(default=None, compare=False)

    def facts(self) -> dict[str, Any]:
        """For `--json`."""
        known = {key: value for key, value in vars(self).items() if key not in ("error", "mlflow")}
        return {**known, "mlflow": asdict(self.mlflow) if self.mlflow else None}


def sync(runs: Iterable[RunDir], *, again: bool = False) -> Iterator[Synced]:
    """Delivers each run that has trained; `again` those too that are there already.

    A store that does not answer is asked once, not once for every run.
    """
    silent: dict[str, MachineError] = {}
    for run in runs:
        try:
            yield _synced(run, silent, again=again)
        except LockedError as error:
            yield Synced(run.id, "at work", why=str(error), error=error if again else None)
        except AutomlError as error:
            yield Synced(run.id, "failed", why=error.faults[0].message, error=error)


def _synced(run: RunDir, silent: dict[str, MachineError], *, again: bool) -> Synced:
    if not run.recipe.is_file() or not run.plan.is_file():
        return Synced(run.id, "nothing yet")
    recipe = read_recipe(run.recipe)
    if recipe.track.mlflow == "off":
        return Synced(run.id, "off")
    if not journal.epochs(journal.last_training(journal.read(run.journal))):
        return Synced(run.id, "nothing yet")
    if is_delivered(run) and not again:
        return Synced(run.id, "already there")
    store = store_of(run, recipe)
    if store.uri in silent:
        raise silent[store.uri]
    with locked(run.root, "automl sync"):
        try:
            done = deliver(run, store, PATIENCE_S)
        except MachineError as error:
            silent[store.uri] = error
            raise
    return Synced(run.id, "delivered", done.points, done.sent, done.record)
