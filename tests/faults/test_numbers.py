"""NaN in every place, divergence, and memory that runs out: stopped or gone on with as promised."""

import hashlib
import math
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from automl.data.stream import images
from automl.engines import checkpoint as checkpoints
from automl.engines import native
from automl.engines.divergence import LossMonitor, StepRecord, is_checked
from automl.engines.inference import predictions
from automl.engines.loader import Batch
from automl.engines.network import Network
from automl.errors import NumbersError
from automl.run_dir import RunDir
from tests.engines.toy import toy_train
from tests.faults.planted import STEPS, Watcher, nan_like, plant, plant_in_batches, small

NAN = float("nan")
FIRST = "conv1.0.weight"
"""The first tensor of the net."""


def test_check__of_steps_before_the_newest_only_their_own_numbers_are_blamed():
    net = torch.nn.Linear(2, 2)
    monitor = LossMonitor(net, toy_train())
    bad, good = torch.tensor(NAN), torch.tensor(1.0)
    for number, loss in enumerate((good, bad, bad), start=1):
        monitor.record(StepRecord(1, number, {"cross_entropy": loss}, good, [f"{number}.png"]))
    net.weight.data.fill_(NAN)  # as the second step's update leaves them
    with pytest.raises(NumbersError, match="the loss `cross_entropy` .* epoch 1, step 2"):
        monitor.check()


class Nth:
    """True at the n-th call, once."""

    def __init__(self, n: int) -> None:
        self.left = n
        self.happened = False

    def __call__(self) -> bool:
        self.left -= 1
        self.happened = self.happened or self.left == 0
        return self.left == 0


def bad_output(network: Network, now: Nth) -> None:
    def hook(net: torch.nn.Module, _: Any, out: torch.Tensor) -> torch.Tensor | None:
        return nan_like(out) * out if net.training and now() else None

    network.net.register_forward_hook(hook)


def bad_gradient(network: Network, now: Nth) -> None:
    weight = dict(network.net.named_parameters())["fc.weight"]
    weight.register_hook(lambda grad: nan_like(grad) if now() else None)


def bad_weight(network: Network, now: Nth) -> None:
    def hook(net: torch.nn.Module, _: Any) -> None:
        if net.training and now():
            net.get_parameter(FIRST).data[0, 0, 0, 1] = math.inf

    network.net.register_forward_pre_hook(hook)


PLACES: dict[str, Callable[[Network, Nth], None]] = {
    "the loss `cross_entropy`": bad_output,
    "the gradient of `fc.weight`": bad_gradient,
    f"the weight `{FIRST}`": bad_weight,
}


def stopped(watcher: Watcher, folder: Path) -> NumbersError:
    with pytest.raises(NumbersError) as caught:
        watcher.train(folder)
    assert caught.value.exit_code == 4
    assert caught.value.faults[0].hint
    return caught.value


@pytest.mark.parametrize("place", PLACES)
def test_nan__stops_within_the_step_and_names_tensor_and_files(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, dataset = small("classification", tmp_path)
    now = Nth(STEPS + 2)
    plant(monkeypatch, lambda network: PLACES[place](network, now))
    watcher = Watcher(plan, dataset)
    error = stopped(watcher, tmp_path / "run")
    assert now.happened
    assert str(error) == f"{place} is not a finite number in epoch 2, step 2"
    files = error.faults[0].where.split(", ")
    assert len(files) == plan.train.batch_size
    assert {*files} <= {sample.path for sample in dataset.split("train")}
    assert watcher.steps[-1] == (2, 1)
    kept = checkpoints.newest(RunDir(tmp_path / "run").checkpoints)
    assert kept is not None
    assert (kept.epoch, kept.step) == (1, 0)
    assert all(checkpoints.finite(t) for part in kept.tensors.values() for t in part.values())


def test_nan__without_a_limit_of_the_gradient_it_is_seen_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, dataset = small("classification", tmp_path, clip_norm=0.0)
    now = Nth(2)
    plant(monkeypatch, lambda network: bad_gradient(network, now))
    assert "gradient of `fc.weight`" in str(stopped(Watcher(plan, dataset), tmp_path / "run"))
    assert now.happened


def bad_image(batch: Batch) -> None:
    batch.images = batch.images.float()
    batch.images[1, 0, 5, 5] = NAN


def bad_boxes(batch: Batch) -> None:
    batch.targets[1]["boxes"][0, 2] = NAN


@pytest.mark.parametrize(
    ("spoil", "what"), [(bad_image, "the image"), (bad_boxes, "`boxes` of the target")]
)
def test_nan__in_an_input_names_the_one_file(
    spoil: Callable[[Batch], None],
    what: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plan, dataset = small("detection", tmp_path)
    path: list[str] = []

    def change(number: int, batch: Batch) -> None:
        if number == 1:
            spoil(batch)
            path.append(batch.paths[1])

    plant_in_batches(monkeypatch, change)
    error = stopped(Watcher(plan, dataset), tmp_path / "run")
    assert str(error).startswith(f"{what} holds")
    assert str(error).endswith("in epoch 1, step 2")
    assert [error.faults[0].where] == path


def test_nan__that_the_last_step_makes_is_never_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, dataset = small("classification", tmp_path, ema=0.0)
    now = Nth(2 * STEPS)

    def change(network: Network) -> None:
        def hook(*_: Any) -> None:
            if now():
                network.net.get_parameter("fc.bias").data[0] = NAN

        build = native.build_optimiser
        monkeypatch.setattr(native, "build_optimiser", lambda *a: _hooked(build(*a), hook))

    plant(monkeypatch, change)
    error = stopped(Watcher(plan, dataset), tmp_path / "run")
    assert now.happened
    assert str(error) == "the weight `fc.bias` is not a finite number in epoch 2, step 3"
    folders = [p.name for p in RunDir(tmp_path / "run").checkpoints.iterdir()]
    assert folders == ["epoch-0001"]


def _hooked(optimiser: torch.optim.Optimizer, hook: Callable[..., None]) -> torch.optim.Optimizer:
    optimiser.register_step_post_hook(hook)
    return optimiser


def monitor_of(losses: list[float]) -> LossMonitor:
    monitor = LossMonitor(torch.nn.Linear(1, 1), toy_train())
    for number, loss in enumerate(losses, start=1):
        monitor.record(
            StepRecord(1, number, {"a": torch.tensor(loss)}, torch.tensor(1.0), ["x.png"])
        )
        if number % 10 == 0:
            monitor.check()
    return monitor


def test_divergence__fifty_steps_of_ten_times_the_best() -> None:
    good = [2.0 / (1 + step / 20) for step in range(100)]
    with pytest.raises(NumbersError, match=r"diverged: 20 in epoch 1, step 150, after 0\.\d+"):
        monitor_of(good + [20.0] * 60)
    assert monitor_of(good + [20.0] * 49 + [0.3]).far == 0


@pytest.mark.parametrize("seed", range(12))
def test_divergence__no_false_alarm_on_healthy_losses(seed: int) -> None:
    rng = random.Random(seed)
    fall, noise = rng.uniform(5, 200), rng.uniform(0, 1.2)
    healthy = [
        3.0 * (0.0003 + math.exp(-step / fall)) * math.exp(noise * rng.gauss(0, 1))
        for step in range(3000)
    ]
    assert max(healthy[2000:]) > 2 * min(healthy[1000:2000])  # noisy enough to be mistaken
    monitor_of(healthy)


def test_divergence__is_followed_across_a_resume() -> None:
    monitor = monitor_of([1.0] * 20 + [100.0] * 30)
    other = LossMonitor(monitor.net, monitor.train)
    other.restore(monitor.facts)
    assert other.far == monitor.far == 30
    assert other.facts == monitor.facts


def test_is_checked__seldom_on_an_accelerator():
    assert [s for s in range(1, 26) if is_checked("cuda", s, 25)] == [1, 10, 20, 25]
    assert all(is_checked("cpu", s, 25) for s in range(1, 26))


ERRORS = {
    "cuda": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    "cpu": RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate"),
    "python": MemoryError(),
}


class Limit:
    """Raises where more than `most` images are in the net at once; late, after its statistics."""

    def __init__(self, most: int, error: BaseException, *, training: bool) -> None:
        self.most, self.error, self.training = most, error, training
        self.raised = 0

    def __call__(self, net: torch.nn.Module, _: Any, out: torch.Tensor) -> None:
        if net.training == self.training and len(out) > self.most:
            self.raised += 1
            raise self.error


def digest(folder: Path) -> str:
    weights = RunDir(folder).model / "weights.safetensors"
    return hashlib.sha256(weights.read_bytes()).hexdigest()


@pytest.mark.parametrize("error", ERRORS)
def test_memory__fewer_images_at_once_train_as_if_planned(
    error: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned, dataset = small("classification", tmp_path, micro_batch=2)
    Watcher(planned, dataset).train(tmp_path / "planned")
    plan, _ = small("classification", tmp_path)
    limit = Limit(2, ERRORS[error], training=True)
    plant(monkeypatch, lambda network: network.net.register_forward_hook(limit) and None)
    watcher = Watcher(plan, dataset)
    watcher.train(tmp_path / "run")
    assert limit.raised == 1
    assert digest(tmp_path / "run") == digest(tmp_path / "planned")
    (event,) = watcher.events
    assert event.kind == "memory"
    assert event.facts == {"epoch": 1, "step": 1, "micro_batch": 2, "was": 4}
    assert re.search("out of memory with 4 .* goes on with 2 .* learning rate stay", event.text)
    assert watcher.steps == [(e, s) for e in (1, 2, 3) for s in (1, 2, 3)]


def in_backward(network: Network, now: Nth) -> None:
    def hook(_: torch.Tensor) -> None:
        if now():
            raise ERRORS["cpu"]

    network.net.get_parameter(FIRST).register_hook(hook)


def in_forward(network: Network, now: Nth) -> None:
    def hook(net: torch.nn.Module, _: Any, out: Any) -> None:
        if net.training and now():
            raise ERRORS["cuda"]

    network.net.register_forward_hook(hook)


def test_memory__nothing_is_applied_twice_wherever_it_runs_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first step of epoch 2 is hit: in forward, backward, and amid the optimiser's step."""
    plan, dataset = small("classification", tmp_path)
    build = native.build_optimiser
    digests = []
    for place in ("forward", "backward", "optimiser"):
        now = Nth(STEPS + 1)

        def change(network: Network, place: str = place, now: Nth = now) -> None:
            if place != "optimiser":
                {"forward": in_forward, "backward": in_backward}[place](network, now)

        def built(*arguments: Any, place: str = place, now: Nth = now) -> torch.optim.Optimizer:
            def hook(*_: Any) -> None:
                if now():
                    raise ERRORS["cuda"]

            made = build(*arguments)
            return _hooked(made, hook) if place == "optimiser" else made

        with monkeypatch.context() as patch:
            plant(patch, change)
            patch.setattr(native, "build_optimiser", built)
            watcher = Watcher(plan, dataset)
            watcher.train(tmp_path / place)
        assert now.happened
        assert "memory" in [event.kind for event in watcher.events]
        digests.append(digest(tmp_path / place))
    assert len(set(digests)) == 1


def test_memory__a_resume_keeps_what_was_learnt_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, dataset = small("classification", tmp_path)
    limit = Limit(2, ERRORS["cpu"], training=True)
    plant(monkeypatch, lambda network: network.net.register_forward_hook(limit) and None)
    with pytest.raises(ZeroDivisionError):
        Watcher(plan, dataset, at_epoch=lambda epoch: 1 // (2 - epoch)).train(tmp_path / "run")
    Watcher(plan, dataset).train(tmp_path / "run")
    assert limit.raised == 1


def test_memory__one_image_that_does_not_fit_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, dataset = small("classification", tmp_path)
    limit = Limit(0, ERRORS["cuda"], training=True)
    plant(monkeypatch, lambda network: network.net.register_forward_hook(limit) and None)
    watcher = Watcher(plan, dataset)
    error = stopped(watcher, tmp_path / "run")
    assert limit.raised == 3
    assert "with one image at once" in str(error)
    assert [event.facts["micro_batch"] for event in watcher.events] == [2, 1]


def test_memory__predictions_come_in_smaller_batches(tmp_path: Path) -> None:
    plan, dataset = small("classification", tmp_path)
    network = native.build_network(plan, dataset, torch.device("cpu"))
    whole = list(predictions(network, images(dataset, "train"), network.device))
    limit = Limit(1, ERRORS["cpu"], training=False)
    handle = network.net.register_forward_hook(limit)
    found = list(predictions(network, images(dataset, "train"), network.device))
    assert limit.raised == 2  # 4, 2, then 1 at once to the end
    assert [p.path for p in found] == [s.path for s in dataset.split("train")]
    for one, other in zip(found, whole, strict=True):
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-6)
    handle.remove()
    network.net.register_forward_hook(Limit(0, ERRORS["cpu"], training=False))
    with pytest.raises(NumbersError, match="one image at once"):
        list(predictions(network, images(dataset, "val"), network.device))


def test_memory__another_error_is_not_taken_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, dataset = small("classification", tmp_path)
    limit = Limit(2, RuntimeError("shapes do not fit"), training=True)
    plant(monkeypatch, lambda network: network.net.register_forward_hook(limit) and None)
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        Watcher(plan, dataset).train(tmp_path / "run")
