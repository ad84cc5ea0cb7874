"""A real tracking server that is killed, frozen or late, and killed uploaders: every point once.

What the server holds is read from its database, not asked of it.
"""

import json
import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing

import pytest

from automl.record import mlflow_delivery
from automl.record.journal import Journal
from automl.record.mlflow_client import Store
from automl.record.mlflow_facts import read_facts
from automl.record.mlflow_live import Live
from automl.record.mlflow_store import record
from automl.run_dir import RunDir
from tests.faults.test_tracking import Heard, recipe_for
from tests.record import conftest
from tests.record.servers import Relay, Stub, real_server

pytestmark = pytest.mark.slow
workspace = conftest.workspace
template_store = conftest.template_store

MOST_S = 2.0
NOISE_S = 1.0
"""What a busy machine may add to two seconds."""

KILLS = 20


@pytest.fixture(scope="module")
def server(template_store, tmp_path_factory):
    with real_server(tmp_path_factory.mktemp("tracking") / "server", template_store) as started:
        yield started


@pytest.fixture
def relay(server):
    made = Relay(server.port)
    yield made
    made.close()


@pytest.fixture
def make_run(workspace):
    """Finished runs with a bundle; each has its own journal, so its own training."""
    data = workspace / "data" / "pets"
    conftest.write_images(data)
    stamp = f"{time.time_ns() // 1000}"

    def make(name: str) -> RunDir:
        run = conftest.write_run(workspace / "runs" / f"{name}{stamp}-20260102-030405", data)
        conftest.write_bundle(run.model, run.id)
        return run

    return make


def tracked_by(run: RunDir, url: str) -> RunDir:
    run.recipe.write_text(run.recipe.read_text() + f"track: {{mlflow: '{url}', dvc: off}}\n")
    return run


def held(server, run: RunDir, *, status: str = "FINISHED") -> int:
    """Asserts that the server has the run whole and once; how many points it holds."""
    facts = read_facts(run)
    with closing(sqlite3.connect(server.folder / "mlflow.db")) as database:

        def rows(question: str, *values: str) -> list[tuple]:
            return database.execute(question, values).fetchall()

        runs = rows(
            "select r.run_uuid, r.status, r.artifact_uri from runs r join tags t using (run_uuid)"
            " where t.key = 'automl.training' and t.value = ? and r.lifecycle_stage = 'active'",
            facts.training,
        )
        assert len(runs) == 1
        run_id, found, _ = runs[0]
        assert found == status
        points = rows("select key, value, timestamp, step from metrics where run_uuid = ?", run_id)
        assert sorted(points) == sorted([*facts.points, *facts.scores])
        if status == "FINISHED":
            versions = rows("select name, version from model_versions where run_id = ?", run_id)
            assert len(versions) == 1
            models = rows(
                "select artifact_location, status from logged_models where source_run_id = ?"
                " and lifecycle_stage = 'active'",
                run_id,
            )
            assert len(models) == 1
            outputs = rows(
                "select destination_id from inputs where source_type = 'RUN_OUTPUT'"
                " and source_id = ?",
                run_id,
            )
            assert len(outputs) == 1
            datasets = rows(
                "select source_id from inputs where destination_id = ? and source_type = 'DATASET'",
                run_id,
            )
            assert len(datasets) == 1
    if status == "FINISHED":
        whole(server, run, run_id)
    return len(points)


def whole(server, run: RunDir, run_id: str) -> None:
    """The files of the run and of its model, by their bytes."""
    kept = next(server.folder.rglob(f"{run_id}/artifacts"))
    for path in (run.journal, run.plan, run.metrics, run.report, run.evaluation):
        assert (kept / path.name).read_bytes() == path.read_bytes()
    weights = (run.model / "weights.safetensors").read_bytes()
    stored = [p for p in server.folder.rglob("weights.safetensors") if p.read_bytes() == weights]
    assert stored


def automl(*words: str) -> tuple[int, str, str]:
    done = subprocess.run([sys.executable, "-m", "automl", *words], capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def synced_twice() -> None:
    code, out, err = automl("sync", "--json")
    assert code == 0, err
    assert {one["state"] for one in json.loads(out)} == {"delivered"}
    code, out, err = automl("sync")
    assert (code, out) == (0, "nothing to send: MLflow has every run\n"), err


def interrupted_end(run: RunDir, relay: Relay, stop) -> float:
    """Seconds between a fault in the middle of the delivery and the end of the run."""
    happened: list[float] = []

    def before(_: int, path: str) -> None:
        if "/mlflow-artifacts/" in path and not happened:  # the values are there, the files not
            happened.append(time.monotonic())
            stop()

    relay.before = before
    heard = Heard()
    assert mlflow_delivery.record(run, recipe_for(relay.url, run), None, heard) is None
    took = time.monotonic() - happened[0]
    relay.before = None
    assert len(heard.lines) == 1
    assert "`automl sync` delivers it later" in heard.lines[0]
    return took


def test_server__killed_in_the_middle_and_back(server, relay, make_run):
    run = tracked_by(make_run("killed"), relay.url)
    journal = run.journal.read_bytes()
    took = interrupted_end(run, relay, server.kill)
    assert took < MOST_S + NOISE_S
    code, _, err = automl("sync")
    assert code == 3, err
    assert relay.url in err
    server.start()
    synced_twice()
    assert held(server, run) == 12
    assert run.journal.read_bytes() == journal


def test_server__frozen_in_the_middle_and_awake(server, relay, make_run):
    run = tracked_by(make_run("frozen"), relay.url)
    try:
        took = interrupted_end(run, relay, lambda: server.signal(signal.SIGSTOP))
    finally:
        server.signal(signal.SIGCONT)
    assert mlflow_delivery.PATIENCE_S <= took < MOST_S + NOISE_S
    synced_twice()
    assert held(server, run) == 12


def test_server__uploader_killed_at_many_points(server, relay, make_run):
    """Before and after the server did what was asked; then delivered, and once more."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["mlflow.pyfunc", "automl.record.mlflow_store", "pandas"])

    def deliver(run: RunDir) -> int:
        child = context.Process(target=record, args=(run, Store(relay.url, "automl")))
        relay.count = 0
        relay.child = child
        child.start()
        child.join(300)
        assert child.exitcode is not None
        return child.exitcode

    assert deliver(make_run("zeroth")) == 0  # makes the experiment, which the others find there
    first = make_run("first")
    assert deliver(first) == 0
    requests, whole_count = relay.count, held(server, first)
    assert requests >= KILLS / 2
    killed, models_begun = 0, 0
    for number in range(KILLS):
        run = make_run(f"kill{number}")
        at = 1 + (number // 2) * (requests - 1) // (KILLS // 2 - 1)

        def kill(now: int, _: str, at: int = at) -> None:
            if now == at:
                os.kill(relay.child.pid, signal.SIGKILL)

        relay.before, relay.after = (kill, None) if number % 2 == 0 else (None, kill)
        killed += deliver(run) == -signal.SIGKILL
        relay.before = relay.after = None
        assert deliver(run) == 0
        models_begun += relay.count < requests
        if number % 4 == 0:
            assert deliver(run) == 0
        assert held(server, run) == whole_count, f"killed at request {at} of {requests}"
    assert killed >= KILLS - 1  # after the answer to the last request it may end by itself
    assert models_begun > 0, "no delivery went on with what a killed one had left"


def test_live__epochs_arrive_while_it_trains_and_the_end_is_told(server, relay, make_run):
    run = make_run("live")
    lines = run.journal.read_text().splitlines()
    metrics, model = run.metrics.read_bytes(), run.root / "model-later"
    run.metrics.unlink()
    run.model.rename(model)
    run.journal.write_text("\n".join(lines[:2]) + "\n")
    live = Live(run, Store(relay.url, "automl"))
    live.epoch(1, 1000, 1.0)
    wait_for(lambda: held(server, run, status="RUNNING") == 4)
    Journal(run.journal).write(
        "epoch",
        epoch=2,
        total=3,
        seconds=1.5,
        lr=0.1,
        losses={"train": 0.5},
        metrics={"accuracy": 1},
    )
    wait_for(lambda: held(server, run, status="RUNNING") == 8)

    live.broken("KILLED")
    wait_for(lambda: held(server, run, status="KILLED") == 8)
    live._child.wait(30)

    again = Live(run, Store(relay.url, "automl"))  # resumed
    again.epoch(2, 1000, 1.0)
    wait_for(lambda: held(server, run, status="RUNNING") == 8)
    again.done()
    for event in ("trained", "scores", "end"):
        Journal(run.journal).write(event, seconds=3.0, best_epoch=2)
    run.metrics.write_bytes(metrics)
    model.rename(run.model)
    record(run, Store(relay.url, "automl"))
    assert held(server, run) == 12


def test_run__is_followed_stopped_marked_and_finished(server, relay, workspace):
    """The whole program: curves while it trains, KILLED by SIGTERM, gone on with, FINISHED."""
    from tests.engines.test_distributed import RECIPE, class_folders

    class_folders(workspace)
    text = RECIPE.replace('mlflow: "off"', f"mlflow: '{relay.url}'")
    (workspace / "r.yaml").write_text(text.replace("epochs: 2", "epochs: 150, patience: 0"))
    run = RunDir(workspace / f"one{time.time_ns()}")
    command = [sys.executable, "-m", "automl", "run", "r.yaml", "--run-dir", run.id]
    first = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        wait_for(lambda: status_of(server, run) == "RUNNING")
        assert first.poll() is None, "it was over before it was followed"
        first.send_signal(signal.SIGTERM)
        _, err = first.communicate(timeout=120)
    finally:
        first.kill()
    assert first.returncode == 75, err
    wait_for(lambda: status_of(server, run) == "KILLED")

    code, _, err = automl("run", "--resume", str(run.root))
    assert code == 0, err
    facts = read_facts(run)
    assert held(server, run) == len(facts.points) + len(facts.scores)
    assert {step for _, _, _, step in facts.points} == set(range(1, 151))


def status_of(server, run: RunDir) -> str:
    with closing(sqlite3.connect(server.folder / "mlflow.db")) as database:
        found = database.execute("select status from runs where name = ?", [run.id]).fetchall()
    assert len(found) == 1
    return found[0][0]


def wait_for(holds) -> None:
    until = time.monotonic() + 120
    while True:
        try:
            assert holds()
            return
        except AssertionError:
            if time.monotonic() > until:
                raise
            time.sleep(0.5)


def test_run__a_hung_server_adds_two_seconds_at_most(workspace):
    """The whole program, from its first question to the server until it says that it gave up."""
    from tests.engines.test_distributed import RECIPE, class_folders

    class_folders(workspace)
    stub = Stub("hung")
    (workspace / "r.yaml").write_text(RECIPE.replace('mlflow: "off"', f"mlflow: '{stub.url}'"))
    assert stub.url in (workspace / "r.yaml").read_text()
    command = [sys.executable, "-m", "automl", "run", "r.yaml", "--run-dir", "one"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        said = [(time.monotonic(), line) for line in process.stderr]
    given_up = [moment for moment, line in said if line.startswith(b"mlflow:")]
    assert process.returncode == 0, said
    assert len(given_up) == 1, said
    assert given_up[0] - stub.asked[0][0] < MOST_S + NOISE_S
    run = RunDir(workspace / "one")
    assert len([1 for line in run.journal.read_text().splitlines() if '"epoch"' in line]) >= 1
    stub.close()
    code, _, err = automl("sync", "one")
    assert code == 3
