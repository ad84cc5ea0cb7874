"""SIGKILL at any moment, and the resumed training ends in the bits of an uninterrupted one."""

import random
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from automl.dataset import Task
from automl.engines import checkpoint as checkpoints
from automl.model import bundle as bundles
from automl.record import journal
from automl.run_dir import RunDir
from tests.faults.forked import forkserver
from tests.faults.tiny import (
    EPOCHS,
    Job,
    Result,
    counted,
    data_for,
    ended,
    history,
    killed_at,
    process,
    result,
    train,
    watched,
)

TASKS: tuple[Task, ...] = ("classification", "segmentation", "detection")
Straights = dict[Task, tuple[Path, Result, float]]
"""For each task where its data lies, what the uninterrupted run leaves, how long that takes."""
Tell = Callable[[str], None]
AFTER_RENAME = 26
"""The number of that call, in a save into a folder that is there."""
LEAST_CALLS = 15
"""Of a save at least: 6 files written and synced, 2 folders synced, a rename."""
LEAST_INSIDE = 0.2
"""The share of kills that must fall inside of a save, else the test shows nothing."""


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Straights:
    found: Straights = {}
    for task in TASKS:
        home = tmp_path_factory.mktemp(task)
        data_for(task, home)
        assert ended(train, Job(home / "first", task)) == 0  # starts the server as well
        job = Job(home / "straight", task)
        began = time.monotonic()
        assert ended(train, job) == 0
        assert result(job.run) == result(RunDir(home / "first"))
        found[task] = (home, result(job.run), time.monotonic() - began)
    return found


@pytest.fixture
def tell(capsys: pytest.CaptureFixture[str]) -> Tell:
    """Shows a count on the terminal: a run of the suite is to be judged by it."""

    def telling(text: str) -> None:
        with capsys.disabled():
            sys.stdout.write(f"\n{text}\n")

    return telling


def same_after_resume(job: Job, expected: Result) -> None:
    assert ended(train, replace(job, save_every_s=600.0)) == 0
    assert result(job.run) == expected


def calls_of_save(home: Path, save: int) -> int:
    """How many system calls the save makes."""
    calls = forkserver.Value("i", 0)
    assert ended(counted, Job(home / "counted", "classification"), save, calls) == 0
    return int(calls.value)


def kill_at_every_call(home: Path, expected: Result, take: int, every: int) -> tuple[int, int]:
    """Kills at each, or one of `take`, calls of the third save; resumes after one of `every`."""
    calls = calls_of_save(home, save := EPOCHS)
    points = [(call, half) for call in range(1, calls + 1) for half in (False, True)]
    resumed = 0
    for number, (call, half) in enumerate(points[::take]):
        job = Job(home / f"call-{call}-{half}", "classification")
        assert ended(killed_at, job, save, call, half) == -signal.SIGKILL
        found = checkpoints.newest(job.run.checkpoints)  # what is not whole is not chosen
        assert found is not None
        assert found.epoch in (save - 1, save)
        assert found.passed_over == ()
        if number % every == 0:
            same_after_resume(job, expected)
            resumed += 1
    return len(points[::take]), resumed


def test_kill__at_calls_of_a_save(straight: Straights, tell: Tell) -> None:
    home, expected, _ = straight["classification"]
    kills, resumed = kill_at_every_call(home, expected, take=4, every=4)
    tell(f"{kills} kills inside of one save, {resumed} resumed to equal bits")
    assert kills >= LEAST_CALLS * 2 // 3


@pytest.mark.slow
def test_kill__at_every_call_of_a_save_and_each_resumed(
    straight: Straights, tmp_path: Path, tell: Tell
) -> None:
    _, expected, _ = straight["classification"]
    data_for("classification", tmp_path)
    kills, resumed = kill_at_every_call(tmp_path, expected, take=1, every=1)
    tell(f"{kills} kills inside of one save, {resumed} resumed to equal bits")
    assert kills == resumed >= 2 * LEAST_CALLS


def killed(job: Job, seconds: float, rng: random.Random, aim: bool) -> bool | None:
    """Kills a training; whether it was inside of a save, or None where it had ended before."""
    # without locks: a child that is killed while it holds one would never give it back
    saving, saves = forkserver.RawValue("i", 0), forkserver.RawValue("i", 0)
    started = forkserver.RawValue("d", 0.0)
    child = process(watched, job, saving, saves, started)
    while not started.value:
        time.sleep(0.001)
    if aim:
        number = rng.randint(1, EPOCHS)
        while saves.value < number and child.is_alive():
            time.sleep(0.0005)
        time.sleep(rng.uniform(0, 0.03))
    else:
        time.sleep(rng.uniform(0, seconds))
    child.kill()
    child.join()
    code = child.exitcode
    child.close()
    return bool(saving.value) if code == -signal.SIGKILL else None


def random_kills(straight: Straights, task: Task, kills: int, seed: int) -> tuple[int, int]:
    """Kills, each followed by a resume to equal bits; how many, and how many inside of a save."""
    home, expected, seconds = straight[task]
    rng = random.Random(seed)
    done = inside = tries = 0
    while done < kills:
        tries += 1
        assert tries < 3 * kills + 5, "the kills come too late"
        # Half of them save after every step, so that they resume within an epoch.
        job = Job(home / f"{seed}-{tries}", task, save_every_s=0.0 if tries % 2 else 600.0)
        hit = killed(job, seconds * 0.9, rng, aim=tries % 3 == 0)
        if hit is None:
            continue
        done, inside = done + 1, inside + hit
        same_after_resume(job, expected)
    return done, inside


def test_kill__at_random(straight: Straights, tell: Tell) -> None:
    counts = [random_kills(straight, task, 4, seed=1) for task in TASKS]
    done, inside = (sum(column) for column in zip(*counts, strict=True))
    tell(f"{done} of {done} kills resumed to equal bits, {inside} of them inside of a save")
    assert inside >= LEAST_INSIDE * done


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_kill__fifty_at_random_for_each_task(straight: Straights, tell: Tell) -> None:
    counts = [random_kills(straight, task, 50, seed=2) for task in TASKS]
    done, inside = (sum(column) for column in zip(*counts, strict=True))
    tell(f"{done} of {done} kills resumed to equal bits, {inside} of them inside of a save")
    assert done == 150
    assert inside >= LEAST_INSIDE * done


def test_kill__resumed_with_another_number_of_workers(
    straight: Straights,
) -> None:
    home, expected, _ = straight["classification"]
    for before, after in ((0, 2), (2, 1), (1, 0)):
        job = Job(home / f"workers-{before}-{after}", "classification", workers=before)
        assert ended(killed_at, job, 2, 5, False) == -signal.SIGKILL
        same_after_resume(replace(job, workers=after), expected)


def test_kill__around_the_instant_answer(straight: Straights) -> None:
    """Before its line is in the journal, in its save, right after it, and in the epochs behind."""
    home = straight["classification"][0]
    train_more = (("instant", "torch"),)
    job = Job(home / "instant", "classification", train=train_more)
    assert ended(train, job) == 0
    expected = result(job.run)
    assert [e["epoch"] for e in history(job.run)] == list(range(EPOCHS + 1))
    for save, call in ((1, 1), (1, 9), (1, 16), (2, 1), (3, 5)):
        cut = Job(home / f"instant-{save}-{call}", "classification", train=train_more)
        assert ended(killed_at, cut, save, call, False) == -signal.SIGKILL
        assert bundles.read(cut.run.model).task == "classification"  # it can be used already
        same_after_resume(cut, expected)


def test_kill__ten_in_one_run(straight: Straights) -> None:
    """Each in the first save of its process: before or after the rename, at the end of a step."""
    home, expected, _ = straight["classification"]
    job = Job(home / "ten", "classification", save_every_s=0.0)
    for kill in range(10):
        call = AFTER_RENAME if kill % 2 else kill + 1
        assert ended(killed_at, job, 1, call, kill % 3 == 0) == -signal.SIGKILL
    same_after_resume(job, expected)
    events = journal.read(job.run.journal)
    assert [e["event"] for e in events].count("start") == 11
    assert [e["epoch"] for e in history(job.run)] == list(range(1, EPOCHS + 1))
    resumed = [(e["epoch"], e["step"]) for e in events if e["event"] == "resume"]
    assert len(set(resumed)) >= 3
    assert resumed == sorted(resumed)
    assert any(step for _, step in resumed)
