"""A training in; its epochs in MLflow while it goes on, sent by a child that nobody waits for."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from automl.errors import Interrupted
from automl.record.mlflow_client import Store
from automl.record.mlflow_delivery import end, note_undelivered, start, store_of
from automl.run_dir import RunDir

WORTH_S = 20.0
"""A training that is over sooner is delivered at its end alone."""

_TOLD: "list[subprocess.Popen[bytes]]" = []
"""Children that were told how it ended; they end by themselves, after this process if need be."""


class Live:
    """The curves of one training while it lasts; does nothing where the store is a file."""

    def __init__(self, run: RunDir, store: Store | None) -> None:
        """The child is started when the first epoch shows that it is worth it."""
        self._run, self._store = run, store
        self._child: subprocess.Popen[bytes] | None = None

    def epoch(self, number: int, total: int, seconds: float) -> None:
        """An epoch is in the journal; the child finds it there."""
        if self._store is None or self._child or (total - number) * seconds < WORTH_S:
            return
        try:
            self._child = start("follow", self._run, self._store, subprocess.DEVNULL)
        except OSError:
            self._store = None  # no room for another process: the end delivers

    def done(self) -> None:
        """The delivery that follows sends everything; this one stops in the middle of a word."""
        if self._child:
            end(self._child)

    def broken(self, status: str) -> None:
        """Has the child tell, as long as the store answers, that the training ended like this."""
        if self._child and self._child.stdin:
            try:
                self._child.stdin.write(f"{status}\n".encode())
                self._child.stdin.close()
            except OSError:
                return  # it is gone already
            _TOLD.append(self._child)


@contextmanager
def live(run: RunDir) -> Iterator[Live]:
    """Follows the training of the block in the run's store, if that is a server."""
    from automl.recipe.schema import read_recipe

    recipe = read_recipe(run.recipe)
    store = None
    if recipe.track.mlflow != "off":
        store = store_of(run, recipe)
        note_undelivered(run, store)
    following = Live(run, store if store and store.is_server else None)
    try:
        yield following
    except (KeyboardInterrupt, Interrupted):
        following.broken("KILLED")
        raise
    except BaseException:
        following.broken("FAILED")
        raise
    following.done()
