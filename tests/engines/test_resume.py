"""A signal at any step or in a validation: saved there, gone on with from there, the same bits."""

import hashlib
import os
import re
import signal
from pathlib import Path

import pytest

from automl.dataset import Task
from automl.engines import checkpoint as checkpoints
from automl.engines import progress as progresses
from automl.engines.stop_reasons import interrupted_at
from automl.errors import Interrupted
from automl.run_dir import RunDir
from automl.signals import held, listening
from tests.faults.planted import STEPS, Watcher, small

TASKS: tuple[Task, ...] = ("classification", "segmentation", "detection")


def digest(folder: Path) -> str:
    weights = RunDir(folder).model / "weights.safetensors"
    return hashlib.sha256(weights.read_bytes()).hexdigest()


def ask_to_stop(number: signal.Signals = signal.SIGTERM) -> None:
    os.kill(os.getpid(), number)


def at(epoch: int, step: int):
    """Asks to stop after a step."""
    return lambda e, s: ask_to_stop() if (e, s) == (epoch, step) else None


@pytest.mark.parametrize("task", TASKS)
def test_signal__in_an_epoch_keeps_the_very_step(task: Task, tmp_path: Path) -> None:
    plan, dataset = small(task, tmp_path)
    straight = Watcher(plan, dataset)
    straight.train(tmp_path / "straight")
    broken = tmp_path / "broken"
    first = Watcher(plan, dataset, at_step=at(2, 2))
    with pytest.raises(Interrupted, match="stopped by SIGTERM in epoch 2, step 2; saved"):
        first.train(broken)
    kept = checkpoints.newest(RunDir(broken).checkpoints)
    assert kept is not None
    assert (kept.epoch, kept.step) == (1, 2)
    second = Watcher(plan, dataset)
    second.train(broken)
    assert first.steps + second.steps == straight.steps  # none twice, none left out
    assert {**first.losses, **second.losses} == straight.losses
    assert {**first.scores, **second.scores} == straight.scores
    assert digest(broken) == digest(tmp_path / "straight")
    (event,) = second.events
    assert (event.kind, event.facts) == ("resume", {"epoch": 1, "step": 2})
    assert event.text == "resume: in epoch 2 after step 2"


def test_signal__without_averaged_weights_each_is_stored_once(tmp_path: Path) -> None:
    plan, dataset = small("classification", tmp_path)
    plan = plan.model_copy(update={"train": plan.train.model_copy(update={"ema": 0.0})})
    Watcher(plan, dataset).train(tmp_path / "straight")
    broken = tmp_path / "broken"
    with pytest.raises(Interrupted):
        Watcher(plan, dataset, at_step=at(2, 2)).train(broken)
    kept = checkpoints.newest(RunDir(broken).checkpoints)
    assert kept is not None
    assert kept.tensors["model"]
    assert not kept.tensors["averaged"]
    Watcher(plan, dataset).train(broken)
    assert digest(broken) == digest(tmp_path / "straight")


def test_signal__at_every_step_of_one_training(tmp_path: Path) -> None:
    plan, dataset = small("classification", tmp_path, micro_batch=3, lr=1e-3)
    straight = Watcher(plan, dataset)
    straight.train(tmp_path / "straight")
    broken, losses, taken = tmp_path / "broken", {}, []
    for epoch, step in straight.steps:
        part = Watcher(plan, dataset, at_step=at(epoch, step))
        with pytest.raises((Interrupted, KeyboardInterrupt)):
            part.train(broken)
        losses.update(part.losses)
        taken += part.steps
    last = Watcher(plan, dataset)
    last.train(broken)
    assert taken + last.steps == straight.steps
    assert {**losses, **last.losses} == straight.losses
    assert digest(broken) == digest(tmp_path / "straight")


def test_signal__in_a_validation_keeps_the_epochs_steps(tmp_path: Path) -> None:
    plan, dataset = small("classification", tmp_path)
    straight = Watcher(plan, dataset)
    straight.train(tmp_path / "straight")
    first = Watcher(plan, dataset, at_epoch=lambda e: ask_to_stop() if e == 2 else None)
    with pytest.raises(Interrupted, match="SIGTERM before the validation of epoch 2; saved"):
        first.train(tmp_path / "broken")
    assert sorted(first.scores) == [1]
    second = Watcher(plan, dataset)
    second.train(tmp_path / "broken")
    assert second.steps == [(3, step + 1) for step in range(STEPS)]
    assert {**first.losses, **second.losses} == straight.losses
    assert {**first.scores, **second.scores} == straight.scores
    assert digest(tmp_path / "broken") == digest(tmp_path / "straight")


def test_signal__before_there_is_anything_says_so(tmp_path: Path) -> None:
    plan, dataset = small("classification", tmp_path)
    watcher = Watcher(plan, dataset)

    def asked_then_trained() -> None:
        with listening(), held():
            ask_to_stop(signal.SIGUSR1)
            watcher.train(tmp_path / "run")

    with pytest.raises(Interrupted, match="stopped by SIGUSR1; nothing to save yet"):
        asked_then_trained()
    assert watcher.steps == []
    assert checkpoints.newest(RunDir(tmp_path / "run").checkpoints) is None


def test_save__by_time_in_a_long_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan, dataset = small("classification", tmp_path)
    monkeypatch.setattr(progresses, "SAVE_EVERY_S", 0.0)
    folder = RunDir(tmp_path / "run").checkpoints
    there: list[list[str]] = []
    watcher = Watcher(
        plan, dataset, at_step=lambda *_: there.append(sorted(p.name for p in folder.glob("e*")))
    )
    watcher.train(tmp_path / "run")
    assert ["epoch-0001-step-000001", "epoch-0001-step-000002"] in there
    assert sorted(p.name for p in folder.iterdir()) == ["epoch-0002-step-000002", "epoch-0003"]
    monkeypatch.undo()
    Watcher(plan, dataset).train(tmp_path / "seldom")
    assert digest(tmp_path / "run") == digest(tmp_path / "seldom")


def test_messages__fit_the_place() -> None:
    places = ((0, 0), (3, 0), (3, 5), (0, 14))
    told = [str(interrupted_at("SIGINT", *place, 14)) for place in places]
    assert [re.sub("stopped by SIGINT,?;? ?", "", line) for line in told] == [
        "nothing to save yet",
        "after epoch 3; saved",
        "in epoch 4, step 5; saved",
        "before the validation of epoch 1; saved",
    ]
