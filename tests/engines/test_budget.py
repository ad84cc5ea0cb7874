"""A training under a promised time, on a clock that turns by a second with every step."""

import hashlib
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from automl.clock import Clock
from automl.data.stream import judged
from automl.dataset import Dataset
from automl.engines import native, recorded_schedule
from automl.engines.protocol import Epoch, Event, Trained
from automl.errors import Interrupted
from automl.plan import Plan
from automl.run_dir import RunDir
from automl.scoring.score import score
from tests.engines.toy import draw_set, toy_plan

STEPS = 6
JUDGING_S = 3.0


class Budgeted:
    """Trains in one folder, over several attempts; what is told goes where a journal has it."""

    def __init__(self, folder: Path, dataset: Dataset, budget: float, **train: Any) -> None:
        plan = toy_plan("classification", dataset, **{"batch_size": 4, "micro_batch": 4, **train})
        changes = {"budget_s": budget, "most_epochs": 50}
        self.plan: Plan = plan.model_copy(update=changes)
        self.dataset, self.run = dataset, RunDir(folder)
        folder.mkdir()
        self.time, self.step_s, self.stop_at = 0.0, 1.0, (0, 0)
        self.events: list[dict[str, Any]] = []
        self.steps: list[tuple[int, int]] = []
        self.scored: list[int] = []

    def train(self) -> Trained:
        clock = Clock(self.run.times, now=lambda: self.time)
        with clock.stage("train"):
            return native.train(
                self.plan, self.dataset, self.run, self.on_epoch, self.on_step, self.hear, clock
            )

    def hear(self, event: Event) -> None:
        self.events.append({"event": event.kind, **event.facts})

    def on_step(self, epoch: int, step: int, steps: int, loss: float) -> None:
        self.time += self.step_s
        self.steps.append((epoch, step))
        if (epoch, step) == self.stop_at:
            self.stop_at = (0, 0)
            os.kill(os.getpid(), signal.SIGTERM)

    def on_epoch(self, epoch: Epoch) -> float:
        self.time += JUDGING_S
        assert epoch.predictions is not None
        pairs = judged(self.dataset, "val", epoch.predictions)
        found = score("classification", "val", self.dataset.names, pairs).value
        self.scored.append(epoch.number)
        told = {"event": "epoch", "epoch": epoch.number, "total": epoch.total}
        self.events.append(told)
        return found

    def digest(self) -> str:
        return hashlib.sha256((self.run.model / "weights.safetensors").read_bytes()).hexdigest()


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return draw_set("classification", tmp_path / "data", train=24, val=8)


def again(first: Budgeted, folder: Path, dataset: Dataset) -> Budgeted:
    """The same as its journal tells it, on a machine of another speed."""
    second = Budgeted(folder, dataset, first.plan.budget_s or 0)
    recorded_schedule.recorded(first.plan, first.events).write(second.run, first.run)
    second.step_s = 17.0
    second.train()
    return second


def test_budget__is_filled_and_kept_and_repeated_to_the_bit(tmp_path, dataset):
    first = Budgeted(tmp_path / "a", dataset, 40.0)
    trained = first.train()
    assert 34 <= first.time <= 40 + 40 * 0.05
    assert not trained.stopped_early
    assert trained.best_epoch in first.scored
    assert again(first, tmp_path / "b", dataset).digest() == first.digest()


def test_budget__shorter_than_an_epoch_is_judged_and_kept(tmp_path, dataset):
    first = Budgeted(tmp_path / "a", dataset, 0.5)
    trained = first.train()
    assert first.steps == [(1, 1)]
    assert (trained.epochs, trained.best_epoch) == (1, 1)
    second = again(first, tmp_path / "b", dataset)
    assert (second.steps, second.digest()) == (first.steps, first.digest())


def test_budget__a_machine_that_slows_ends_in_time(tmp_path, dataset):
    slowed = Budgeted(tmp_path / "a", dataset, 60.0)
    usual = slowed.on_step

    def on_step(*told: Any) -> None:
        slowed.step_s = 1.0 if slowed.time < 25 else 3.0
        usual(*told)

    slowed.on_step = on_step  # type: ignore[method-assign]
    slowed.train()
    assert 48 <= slowed.time <= 63


@pytest.mark.parametrize("stop_at", [(1, 6), (2, 3)])
def test_budget__holds_over_a_restart_and_is_repeated(tmp_path, dataset, stop_at):
    first = Budgeted(tmp_path / "a", dataset, 30.0)
    first.stop_at = stop_at
    with pytest.raises(Interrupted):
        first.train()
    down = first.time
    first.time += 500.0  # nothing runs
    first.train()
    assert 24 <= first.time - 500 <= 31.5, f"stopped after {down} s"
    second = again(first, tmp_path / "b", dataset)
    assert second.digest() == first.digest()


def test_budget__a_restart_after_the_time_is_over_trains_and_judges_no_more(tmp_path, dataset):
    first = Budgeted(tmp_path / "a", dataset, 60.0)
    usual = first.on_epoch

    def on_epoch(epoch: Epoch) -> float:
        value = usual(epoch)
        if epoch.number == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return value

    first.on_epoch = on_epoch  # type: ignore[method-assign]
    with pytest.raises(Interrupted, match="after epoch 2"):
        first.train()
    first.run.times.write_text('{"train": 100.0}')
    assert first.train().epochs == 2
    assert first.scored == [1, 2]
