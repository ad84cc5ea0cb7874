"""A tracking server that is down, refuses, resets, hangs or dies costs a run at most two seconds.

The stub cases count what a run's end spends on the server; those with a real server are slow.
"""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import yaml

from automl.lock import locked
from automl.recipe.schema import Recipe
from automl.record import mlflow_delivery
from automl.record.mlflow_live import Live
from automl.record.mlflow_sync import sync
from automl.run_dir import RunDir
from tests.record import conftest
from tests.record.servers import Stub, free_port

workspace = conftest.workspace
run = conftest.run

MOST_S = 2.0
"""What an outage may cost a run in all."""


class Heard:
    """The talk of a run."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)

    def progress(self, *_: object) -> None:
        """Not looked at."""


@pytest.fixture
def stub(request):
    made = Stub(getattr(request, "param", ""))
    yield made
    made.close()


def recipe_for(url: str, run: RunDir) -> Recipe:
    return Recipe.model_validate(
        {
            "task": "classification",
            "data": {"path": json.loads(run.dataset.read_text())["root"]},
            "track": {"mlflow": url, "dvc": "off"},
        }
    )


def end_of_run(url: str, run: RunDir) -> tuple[float, list[str]]:
    """Seconds that the record took, and what was said."""
    heard = Heard()
    began = time.monotonic()
    made = mlflow_delivery.record(run, recipe_for(url, run), None, heard)
    took = time.monotonic() - began
    assert made is None
    return took, heard.lines


def assert_owed(run: RunDir, lines: list[str], url: str) -> None:
    assert len(lines) == 1, lines
    assert "`automl sync` delivers it later" in lines[0]
    assert url in lines[0]
    record = json.loads(run.record.read_text())
    assert record["mlflow"] is None
    assert record["delivery"]["uri"] == url
    assert not record["delivery"]["state"]
    assert not mlflow_delivery.is_delivered(run)


def test_end__no_server_at_all(run):
    url = f"http://127.0.0.1:{free_port()}"
    journal = run.journal.read_bytes()
    took, lines = end_of_run(url, run)
    assert took < MOST_S
    assert_owed(run, lines, url)
    assert "refused" in lines[0]
    assert run.journal.read_bytes() == journal


@pytest.mark.parametrize("stub", ["503", "reset", "hung"], indirect=True)
def test_end__a_server_that_gives_no_good_answer(run, stub):
    took, lines = end_of_run(stub.url, run)
    assert stub.asked, "the server was never asked"
    assert took < MOST_S
    if stub.mode == "hung":
        assert took >= mlflow_delivery.PATIENCE_S
    assert_owed(run, lines, stub.url)


def test_end__a_password_in_the_address_stays_there(run):
    url = f"http://me:hunter2@127.0.0.1:{free_port()}"
    _, lines = end_of_run(url, run)
    assert "hunter2" not in lines[0] + run.record.read_text()


@pytest.mark.parametrize("then", ["hung", "503", "reset"])
def test_end__a_server_that_breaks_off_in_the_middle(run, stub, then):
    broke: list[float] = []

    def break_off() -> None:
        while not stub.asked:
            time.sleep(0.01)
        time.sleep(0.3)
        stub.mode = then
        broke.append(time.monotonic())

    breaker = threading.Thread(target=break_off)
    breaker.start()
    _, lines = end_of_run(stub.url, run)
    breaker.join()
    waited = time.monotonic() - broke[0]
    after = [moment for moment, _ in stub.asked if moment > broke[0]]
    assert after, "nothing was asked after it broke off"
    assert waited < MOST_S + 0.5  # the process that is ended may need a moment on a busy machine
    assert_owed(run, lines, stub.url)


@pytest.mark.parametrize("stub", ["slow"], indirect=True)
def test_end__a_slow_server_is_waited_for(run, stub):
    """Every answer of this one is late, and the first real one says no: that is what is heard."""
    _, lines = end_of_run(stub.url, run)
    moments = [moment for moment, _ in stub.asked]
    assert moments[-1] - moments[0] > mlflow_delivery.PATIENCE_S
    assert "no answer" not in lines[0]
    assert_owed(run, lines, stub.url)


def test_sync__asks_a_silent_store_once_and_says_so_for_every_run(run, workspace):
    url = f"http://127.0.0.1:{free_port()}"
    other = conftest.write_run(workspace / "runs" / "other-20260102-030406", workspace / "data")
    for one in (run, other):
        one.recipe.write_text(one.recipe.read_text() + f"track: {{mlflow: '{url}'}}\n")
    done = list(sync([run, other]))
    assert [one.state for one in done] == ["failed", "failed"]
    assert done[0].error is done[1].error


def automl(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "automl", *words], capture_output=True, text=True)


def test_sync__says_what_is_owed_and_exits_3(run):
    url = f"http://127.0.0.1:{free_port()}"
    run.recipe.write_text(run.recipe.read_text() + f"track: {{mlflow: '{url}'}}\n")
    done = automl("sync", "--json")
    assert done.returncode == 3, done.stderr
    told = json.loads(done.stdout)
    assert [(one["run"], one["state"]) for one in told] == [(run.id, "failed")]
    assert done.stderr.count("error:") == 1
    assert "`automl sync` again" in done.stderr


def test_sync__nothing_owed_is_said(workspace):
    done = automl("sync")
    assert (done.returncode, done.stdout) == (0, "nothing to send: MLflow has every run\n"), (
        done.stderr
    )


def test_sync__leaves_a_run_at_work_alone(run):
    with locked(run.root, "automl run"):
        assert [one.state for one in sync([run])] == ["at work"]
        assert automl("sync", run.id).returncode == 6


def test_promote__exits_5_where_the_goal_is_not_met(run):
    goal = {"metric": "accuracy", "at_least": 0.9}
    plan = conftest.make_plan(goal=goal).model_dump(mode="json")
    run.plan.write_text(yaml.safe_dump(plan))
    done = automl("promote", run.id, "--as", "champion")
    assert done.returncode == 5, done.stderr
    assert "--force" in done.stderr
    assert automl("promote", run.id, "--as", "champion", "--force").returncode == 2  # not recorded


def test_sync__a_run_goes_where_it_was_meant_to_go(run, monkeypatch):
    """`auto` took the server from the environment; the shell that syncs may not have it."""
    url = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
    recipe = recipe_for("auto", run)
    mlflow_delivery.record(run, recipe, None, Heard())
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert mlflow_delivery.store_of(run, recipe).uri == url


@pytest.mark.parametrize("stub", ["hung"], indirect=True)
def test_live__a_hung_server_holds_neither_a_step_nor_the_end(run, stub):
    live = Live(run, mlflow_delivery.store_of(run, recipe_for(stub.url, run)))
    costs = []
    for number in (1, 2, 3):
        began = time.monotonic()
        live.epoch(number, 1000, 1.0)
        costs.append(time.monotonic() - began)
    child = live._child
    assert child is not None
    assert child.poll() is None
    assert max(costs[1:]) < 0.005
    assert os.getsid(child.pid) != os.getsid(0), "Ctrl-C would end it before it was told"
    deadline = time.monotonic() + 120
    while not stub.asked and time.monotonic() < deadline:
        time.sleep(0.1)
    assert stub.asked, "the child never asked the server"
    began = time.monotonic()
    live.done()
    assert time.monotonic() - began < 0.5
    assert child.poll() is not None


def test_live__a_short_training_or_a_file_needs_none(run, workspace):
    here = mlflow_delivery.store_of(run, recipe_for("http://127.0.0.1:1", run))
    short = Live(run, here)
    short.epoch(1, 2, 1.0)
    file = Live(run, None)
    file.epoch(1, 1000, 100.0)
    assert short._child is None
    assert file._child is None
    assert not Path(workspace / "mlflow.db").exists()


def test_record__a_budget_that_is_over_leaves_it_to_sync(run, tmp_path):
    heard = Heard()
    url = f"sqlite:///{tmp_path / 'mlflow.db'}"
    made = mlflow_delivery.record(run, recipe_for(url, run), None, heard, within_s=0.0)
    assert made is None
    assert_owed(run, heard.lines, url)
    assert "the budget leaves no time" in heard.lines[0]
