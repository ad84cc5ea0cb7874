import hashlib
from math import inf
from pathlib import Path

import pytest
import torch

from automl.data.stream import images, judged
from automl.dataset import Dataset, Task
from automl.engines import native, progress
from automl.engines.protocol import Epoch, Trained
from automl.errors import NumbersError
from automl.model import bundle as bundles
from automl.plan import Plan
from automl.run_dir import RunDir
from automl.scoring.score import score
from tests.engines.toy import draw_set, toy_plan

TASKS: tuple[Task, ...] = ("classification", "segmentation", "detection")


class Killed(Exception):
    """Stands for a process that dies between two epochs."""


def fit(
    plan: Plan, dataset: Dataset, run: RunDir, die_after: int = 0
) -> tuple[Trained, list[float]]:
    history: list[float] = []

    def on_epoch(epoch: Epoch) -> float:
        assert epoch.predictions is not None
        pairs = judged(dataset, "val", epoch.predictions)
        history.append(score(plan.task, "val", dataset.names, pairs).value)
        if die_after and epoch.number > die_after:
            raise Killed
        return history[-1]

    return native.train(plan, dataset, run, on_epoch, lambda *_: None), history


def judge(plan: Plan, dataset: Dataset, run: RunDir, metric: str) -> float:
    found = native.predict(run.model, images(dataset, "val"), "cpu")
    pairs = judged(dataset, "val", found)
    return score(plan.task, "val", dataset.names, pairs).metrics[metric]


def digest(run: RunDir) -> str:
    return hashlib.sha256((run.model / "weights.safetensors").read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("task", "metric", "least", "epochs"),
    [
        ("classification", "accuracy", 0.99, 8),
        ("segmentation", "miou", 0.6, 12),
        ("detection", "map50", 0.5, 25),
    ],
)
def test_train__learns(task: Task, metric: str, least: float, epochs: int, tmp_path: Path) -> None:
    dataset = draw_set(task, tmp_path / "data", train=48, val=12)
    plan = toy_plan(task, dataset, epochs=epochs, lr=5e-3)
    run = RunDir(tmp_path / "run")
    trained, history = fit(plan, dataset, run)
    assert trained.epochs == epochs
    assert len(history) == epochs
    assert judge(plan, dataset, run, metric) >= least
    kept = bundles.read(run.model)
    assert [c.id for c in kept.classes][-2:] == [3, 7]


@pytest.mark.parametrize("task", TASKS)
def test_train__twice_gives_the_same_bits(task: Task, tmp_path: Path) -> None:
    dataset = draw_set(task, tmp_path / "data")
    plan = toy_plan(task, dataset)
    runs = [RunDir(tmp_path / name) for name in ("first", "second")]
    histories = [fit(plan, dataset, run)[1] for run in runs]
    assert histories[0] == histories[1]
    assert digest(runs[0]) == digest(runs[1])
    other = RunDir(tmp_path / "other")
    fit(toy_plan(task, dataset, seed=1), dataset, other)
    assert digest(other) != digest(runs[0])


@pytest.mark.parametrize(("share", "left"), [(inf, 2), (1e-9, 3)])
@pytest.mark.parametrize("task", TASKS)
def test_train__resumed_ends_in_the_bits_of_an_uninterrupted_run(
    task: Task, share: float, left: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether each epoch has its checkpoint, or the first alone."""
    monkeypatch.setattr(progress, "MOST_SHARE", share)
    dataset = draw_set(task, tmp_path / "data")
    plan = toy_plan(task, dataset, epochs=4)
    straight, broken = RunDir(tmp_path / "straight"), RunDir(tmp_path / "broken")
    fit(plan, dataset, straight)
    with pytest.raises(Killed):
        fit(plan, dataset, broken, die_after=2)
    assert bundles.read(broken.model).classes == dataset.classes  # the best so far is usable
    _, history = fit(plan, dataset, broken)
    assert len(history) == left  # epochs that have a checkpoint were not trained again
    assert digest(broken) == digest(straight)


def test_train__a_compiled_net_is_saved_like_any_other(tmp_path: Path) -> None:
    dataset = draw_set("classification", tmp_path / "data", train=16)
    runs = [RunDir(tmp_path / name) for name in ("plain", "compiled")]
    with torch.compiler.set_stance("force_eager"):  # all but the compiler itself, which takes long
        for run, compiled in zip(runs, (False, True), strict=True):
            fit(toy_plan("classification", dataset, compile=compiled, epochs=1), dataset, run)
    assert digest(runs[0]) == digest(runs[1])


def test_train__in_bf16_on_a_cpu_learns_and_repeats_itself(tmp_path: Path) -> None:
    dataset = draw_set("classification", tmp_path / "data", train=32)
    plan = toy_plan("classification", dataset, precision="bf16", epochs=5, lr=5e-3)
    runs = [RunDir(tmp_path / name) for name in ("first", "second")]
    for run in runs:
        fit(plan, dataset, run)
    assert digest(runs[0]) == digest(runs[1])
    assert judge(plan, dataset, runs[0], "accuracy") >= 0.75


def test_train__worker_processes_change_no_bit(tmp_path: Path) -> None:
    dataset = draw_set("classification", tmp_path / "data")
    runs = [RunDir(tmp_path / str(workers)) for workers in (0, 2)]
    for run, workers in zip(runs, (0, 2), strict=True):
        fit(toy_plan("classification", dataset, workers=workers), dataset, run)
    assert digest(runs[0]) == digest(runs[1])


def test_train__accumulated_micro_batches_train_like_whole_ones(tmp_path: Path) -> None:
    dataset = draw_set("classification", tmp_path / "data")
    losses = []
    for micro in (8, 4):
        plan = toy_plan("classification", dataset, micro_batch=micro, epochs=1, backbone_lr=0.0)
        seen: list[dict[str, float]] = []

        def on_epoch(epoch: Epoch, seen: list[dict[str, float]] = seen) -> float:
            seen.append(epoch.losses)
            return 0.0

        native.train(plan, dataset, RunDir(tmp_path / str(micro)), on_epoch, lambda *_: None)
        losses.append(seen[0]["cross_entropy"])
    # The frozen backbone keeps its statistics, so only the order of additions differs.
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_train__frozen_backbone_stays_as_it_was(tmp_path: Path) -> None:
    dataset = draw_set("classification", tmp_path / "data")
    states = []
    for epochs in (1, 3):
        run = RunDir(tmp_path / str(epochs))
        fit(
            toy_plan("classification", dataset, epochs=epochs, backbone_lr=0.0, ema=0), dataset, run
        )
        states.append(bundles.load_state(run.model))
    changed = {k for k, v in states[0].items() if not v.equal(states[1][k])}
    assert changed == {"fc.weight", "fc.bias"} or changed == set()


def test_train__stops_early_without_progress(tmp_path: Path) -> None:
    dataset = draw_set("classification", tmp_path / "data")
    plan = toy_plan("classification", dataset, epochs=9, patience=2)
    run = RunDir(tmp_path / "run")
    trained = native.train(plan, dataset, run, lambda _: 0.5, lambda *_: None)
    assert trained.stopped_early
    assert (trained.best_epoch, trained.epochs) == (1, 3)


def test_train__a_budget_ends_it_with_a_usable_model(tmp_path: Path) -> None:
    dataset = draw_set("classification", tmp_path / "data")
    plan = toy_plan("classification", dataset, epochs=200).model_copy(update={"budget_s": 0.001})
    run = RunDir(tmp_path / "run")
    trained, _ = fit(plan, dataset, run)
    assert trained.epochs == 1
    assert bundles.read(run.model).task == "classification"


def test_train__a_loss_that_is_not_finite_stops_and_names_files(tmp_path: Path) -> None:
    dataset = draw_set("classification", tmp_path / "data")
    plan = toy_plan("classification", dataset, lr=1e30, clip_norm=0, ema=0, epochs=5)
    with pytest.raises(NumbersError, match="not a finite number") as caught:
        fit(plan, dataset, RunDir(tmp_path / "run"))
    assert caught.value.exit_code == 4
    assert ".png" in caught.value.faults[0].where
