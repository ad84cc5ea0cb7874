"""The process that talks to MLflow: delivers a run, or follows one that trains.

`python -m automl.record.mlflow_child deliver|follow`, with the run and the store as one JSON line
on standard input, and the answer as another on standard output. It may be killed at any moment. A
delivery makes itself ready at once and begins with a second line.
"""

import json
import os
import select
import signal
import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from automl.environment import settle
from automl.errors import AutomlError
from automl.record import journal
from automl.record.mlflow_client import Store, opened
from automl.record.mlflow_facts import Point, epoch_points, read_facts
from automl.record.mlflow_store import record
from automl.record.mlflow_values import experiment_of, run_of, send_points, send_values, supersede
from automl.run_dir import RunDir

if TYPE_CHECKING:
    from mlflow import MlflowClient

TICK_S = 1.0
LONGEST_PAUSE_S = 60.0
"""How soon a new epoch is sent, and how long a store that does not answer is left alone."""

LAST_WORD_S, NO_WORD_S = 20, 4
"""How long the end of a training may take to be told, with and without its parent's word."""

PATIENT = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "3", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
"""For whoever follows: an epoch that does not get through is sent with the next one."""


def main() -> None:
    """Does what the parent asked for."""
    settle()
    answers = os.dup(1)
    os.dup2(2, 1)  # whatever a library prints must not mix with the answer
    asked = json.loads(_line())
    run, store = RunDir(Path(asked["run"])), Store(asked["uri"], asked["experiment"])
    if sys.argv[1] == "follow":
        Follower(run, store).follow()
        return
    _make_ready(store)
    if _line():  # the parent's word that the run is complete
        os.write(answers, json.dumps(_delivered(run, store)).encode())
    sys.stderr.flush()
    os._exit(0)  # taking two thousand modules apart costs a fifth of a delivery


def _make_ready(store: Store) -> None:
    """Imports what the delivery needs; a store in a file is opened, and made where there is none.

    Whatever goes wrong here goes wrong in the delivery as well, which tells of it.
    """
    with suppress(AutomlError), opened(store):
        import mlflow.pyfunc

        if not store.is_server:
            mlflow.MlflowClient(store.uri).search_experiments(max_results=1)


def _delivered(run: RunDir, store: Store) -> dict[str, Any]:
    try:
        made, points, sent = record(run, store)
    except AutomlError as error:
        faults = [[fault.message, fault.where, fault.hint] for fault in error.faults]
        return {"exit_code": error.exit_code, "faults": faults}
    return {"record": asdict(made), "points": points, "sent": sent}


class Follower:
    """Sends each epoch soon after the journal has it, as the one that gives way to everybody."""

    def __init__(self, run: RunDir, store: Store) -> None:
        """Nothing is asked before `follow`."""
        self._run, self._store = run, store
        self._parent = os.getppid()
        self._sent: set[Point] = set()
        self._place: tuple[str, str] | None = None
        self._training = ""

    def follow(self) -> None:
        """Until the parent says how it ended, or is gone."""
        os.nice(19)
        for name, value in PATIENT.items():
            os.environ.setdefault(name, value)
        seen, pause = -1, TICK_S
        with opened(self._store) as client:
            while True:
                word = self._word(pause)
                size = self._run.journal.stat().st_size
                if size == seen and not word:
                    continue
                try:
                    self._send(client, word)
                    seen, pause = size, TICK_S
                except (
                    Exception
                ):  # the store's trouble, of any kind; the end of the run delivers all
                    pause = min(2 * pause, LONGEST_PAUSE_S)
                if word:
                    return

    def _send(self, client: "MlflowClient", word: str) -> None:
        """What is new; with the first epoch the run is made and gets its parameters."""
        events = journal.last_training(journal.read(self._run.journal))
        if not journal.epochs(events):
            return
        if self._place is None:
            facts = read_facts(self._run)
            experiment_id = experiment_of(client, self._store)
            run_id = run_of(client, experiment_id, facts)
            supersede(client, experiment_id, facts.others)
            send_values(client, run_id, facts)
            client.update_run(run_id, status="RUNNING")  # a stopped one that goes on was KILLED
            self._sent.update(facts.points)
            self._place = experiment_id, run_id
        run_id = self._place[1]
        send_points(client, run_id, epoch_points(events), self._sent)
        if word:
            client.set_terminated(run_id, word, end_time=journal.milliseconds(events[-1]))

    def _word(self, patience_s: float) -> str:
        """How the training ended; empty while it goes on."""
        ready, _, _ = select.select([0], [], [], patience_s)
        word = _line() if ready else ""
        if word:
            signal.alarm(LAST_WORD_S)
            return word
        if ready or os.getppid() != self._parent:
            signal.alarm(NO_WORD_S)
            return "KILLED"
        return ""


def _line() -> str:
    """The next line of standard input, unbuffered, so that `select` sees what is left."""
    line = b""
    while (byte := os.read(0, 1)) not in (b"", b"\n"):
        line += byte
    return line.decode()


if __name__ == "__main__":
    main()
