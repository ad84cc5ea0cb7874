"""A run in, its delivery to MLflow out: done by a child process, which may be ended at any moment.

While the child works the store is asked again and again whether it still answers. One that does
not costs a run at most `PATIENCE_S`; what is missing there is known from `record.json`.
"""

import hashlib
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from automl.errors import AutomlError, DataError, Fault, MachineError
from automl.files import read_object, write_json
from automl.recipe.schema import Recipe
from automl.record.liveness import Liveness
from automl.record.mlflow_client import Store, quiet, tracking_uri, unreached
from automl.record.mlflow_store import MlflowRecord
from automl.record.provenance import without_secrets
from automl.run_dir import RunDir
from automl.talk import Talk

if TYPE_CHECKING:
    from automl.record.dvc_workspace import DvcRecord

PATIENCE_S = 1.5
"""How long a run waits for a store that owes an answer; together with a start, below 2 s."""

CHILD = "automl.record.mlflow_child"


@dataclass(frozen=True)
class Delivery:
    """What a store holds of a run now; `sent` of its `points` were not there before."""

    record: MlflowRecord
    points: int
    sent: int


@dataclass(frozen=True)
class PreparedDelivery:
    """A child process that has imported MLflow and waits for the word to deliver; its log."""

    child: "subprocess.Popen[bytes]"
    log: IO[bytes]


@contextmanager
def prepared_delivery(run: RunDir, recipe: Recipe) -> "Iterator[PreparedDelivery | None]":
    """Has a child import MLflow and open the store while the block evaluates and reports.

    Those are seconds which the end of a run need not wait for. None where nothing is delivered.
    """
    if recipe.track.mlflow == "off":
        yield None
        return
    with tempfile.TemporaryFile() as log:
        try:
            child = start("deliver", run, store_of(run, recipe), log)
        except OSError:
            yield None  # the delivery itself says why
            return
        try:
            yield PreparedDelivery(child, log)
        finally:
            end(child)


def record(  # noqa: PLR0913  a run, its recipe, what DVC knows of it, and how it is delivered
    run: RunDir,
    recipe: Recipe,
    dvc: "DvcRecord | None",
    talk: Talk,
    within_s: float = math.inf,
    prepared: PreparedDelivery | None = None,
) -> MlflowRecord | None:
    """Delivers a run at its end. A store that cannot be reached costs the record, never the run.

    What takes longer than `within_s`, as a budget may say, is left to `automl sync`.
    """
    tracked = asdict(dvc) if dvc else None
    if recipe.track.mlflow == "off":
        write_json(run.record, {"mlflow": None, "dvc": tracked, "delivery": None})
        return None
    try:
        store = store_of(run, recipe)
    except DataError:  # a damaged note is written anew, as its cure says
        run.record.unlink()
        store = store_of(run, recipe)
    write_json(run.record, {"mlflow": None, "dvc": tracked, "delivery": _owed(store)})
    try:
        return deliver(run, store, within_s=within_s, prepared=prepared).record
    except MachineError as error:
        for fault in error.faults:
            talk.say(f"mlflow: {fault.message}; {fault.hint} ({fault.where})")
        return None


def deliver(
    run: RunDir,
    store: Store,
    patience_s: float = PATIENCE_S,
    within_s: float = math.inf,
    prepared: PreparedDelivery | None = None,
) -> Delivery:
    """Has a child deliver the run and notes in `record.json` what came of it."""
    state = state_of(run)
    noted = {"mlflow": None, "dvc": None, **read_object(run.record, "record")}
    try:
        done = _by_child(run, store, patience_s, time.monotonic() + within_s, prepared)
    except AutomlError as error:
        noted["delivery"] = {**_owed(store), "why": error.faults[0].message}
        write_json(run.record, noted)
        raise
    noted["mlflow"] = asdict(done.record)
    noted["delivery"] = {"uri": store.shown, "state": state, "points": done.points, "why": ""}
    write_json(run.record, noted)
    return done


def note_undelivered(run: RunDir, store: Store) -> None:
    """Notes where a run that begins is to be recorded, in case that it never gets there itself."""
    if not run.record.is_file():
        write_json(run.record, {"mlflow": None, "dvc": None, "delivery": _owed(store)})


def is_delivered(run: RunDir) -> bool:
    """Whether the store was given everything that the run's folder holds now."""
    delivery = read_object(run.record, "record").get("delivery") or {}
    return bool(delivery.get("state")) and delivery["state"] == state_of(run)


def store_of(run: RunDir, recipe: Recipe) -> Store:
    """Where the run belongs: as the recipe says, or else where it was to go when it ran."""
    wanted = recipe.track.mlflow
    meant = (read_object(run.record, "record").get("delivery") or {}).get("uri", "")
    if wanted == "auto" and "://" in meant and not os.environ.get("MLFLOW_TRACKING_URI"):
        wanted = meant
    return Store(tracking_uri(wanted), recipe.track.experiment)


def state_of(run: RunDir) -> str:
    """A digest of what is delivered of a run; another one after any of it has changed."""
    digest = hashlib.sha256()
    files = (run.journal, run.plan, run.provenance, run.metrics, run.evaluation, run.report)
    for path in (*files, run.model / "model.json"):
        content = path.read_bytes() if path.is_file() else b""
        digest.update(f"{path.name} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()


def _owed(store: Store) -> dict[str, Any]:
    return {"uri": store.shown, "state": "", "points": 0, "why": "not delivered yet"}


def _by_child(
    run: RunDir, store: Store, patience_s: float, until: float, prepared: PreparedDelivery | None
) -> Delivery:
    with Liveness(store.uri, store.experiment) as liveness:
        if not liveness.first(patience_s):
            raise unreached(store, liveness.why)
        with _at_work(run, store, prepared) as (child, log):
            while child.poll() is None:
                if liveness.silent_s > patience_s:
                    raise unreached(store, liveness.why or f"no answer for {patience_s:g} s")
                if time.monotonic() > until:
                    raise unreached(store, "the budget leaves no time for it")
                with suppress(subprocess.TimeoutExpired):
                    child.wait(0.05)
            answer = child.stdout.read() if child.stdout else b""
            log.seek(0)
            return _understood(store, answer, log.read())


@contextmanager
def _at_work(
    run: RunDir, store: Store, prepared: PreparedDelivery | None
) -> "Iterator[tuple[subprocess.Popen[bytes], IO[bytes]]]":
    """The child that is prepared, or a new one, told to deliver; it is ended with the block."""
    with tempfile.TemporaryFile() as log:
        try:
            if prepared is None or prepared.child.poll() is not None:
                prepared = PreparedDelivery(start("deliver", run, store, log), log)
            if prepared.child.stdin:
                prepared.child.stdin.write(b"now\n")
                prepared.child.stdin.flush()
        except OSError as error:
            raise unreached(store, f"the delivery could not be started: {error}") from error
        try:
            yield prepared.child, prepared.log
        finally:
            end(prepared.child)


def end(child: "subprocess.Popen[bytes]") -> None:
    """Ends a child at once, if it has not ended itself."""
    if child.poll() is None:
        child.kill()
    child.wait()
    for stream in (child.stdin, child.stdout):
        if stream:
            stream.close()


def start(
    work: str, run: RunDir, store: Store, log: "IO[bytes] | int"
) -> "subprocess.Popen[bytes]":
    """Starts a child; the address goes by its standard input, for it may hold a password."""
    quiet()
    child = subprocess.Popen(  # noqa: S603
        [sys.executable, "-P", "-m", CHILD, work],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        start_new_session=work == "follow",  # Ctrl-C is for the parent, whose word it then needs
        env=_environment(),
    )
    asked = {"run": str(run.root.absolute()), "uri": store.uri, "experiment": store.experiment}
    if child.stdin:
        child.stdin.write(json.dumps(asked).encode() + b"\n")
        child.stdin.flush()
    return child


def _environment() -> dict[str, str]:
    """Has the child, which by `-P` finds nothing in the user's folder, run this very program."""
    code = Path(__file__).parents[2]
    if code.name in ("site-packages", "dist-packages"):
        return dict(os.environ)
    path = os.pathsep.join(filter(None, [str(code), os.environ.get("PYTHONPATH", "")]))
    return {**os.environ, "PYTHONPATH": path}


def _understood(store: Store, answer: bytes, log: bytes) -> Delivery:
    try:
        told = json.loads(answer)
    except ValueError:
        last = log.decode(errors="replace").strip().splitlines() or ["it ended without a word"]
        raise unreached(store, f"the delivery broke off: {last[-1]}") from None
    if "faults" in told:
        kind = DataError if told["exit_code"] == DataError.exit_code else MachineError
        faults = [
            Fault(without_secrets(what), without_secrets(where), without_secrets(cure))
            for what, where, cure in told["faults"]
        ]
        raise kind(faults[0].message, faults=faults)
    return Delivery(MlflowRecord(**told["record"]), told["points"], told["sent"])
