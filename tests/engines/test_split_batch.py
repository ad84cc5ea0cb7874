"""A batch gives the same update however it is split into micro-batches."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from automl.dataset import Task
from automl.engines import steps
from automl.engines.distributed import World
from automl.engines.loader import Batch
from automl.engines.network import Learner, Network
from automl.prediction import IGNORE
from automl.tasks import segmentation
from automl.tasks.protocol import LossSettings
from tests.engines.toy import toy_train

WEIGHTS = torch.tensor([0.2, 0.7, 2.1])
SPLITS = ([6], [3, 3], [1, 2, 3], [1] * 6)


class Pixels(nn.Module):
    """Classes of pixels, or of images by the mean over theirs; nothing depends on other images."""

    def __init__(self, *, dense: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer, self.dense = nn.Conv2d(3, 3, 1), dense

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        values = self.layer(images)
        return values if self.dense else values.mean(dim=(2, 3))


def batch(task: Task, *, several: bool = False) -> Batch:
    rng = np.random.default_rng(1)
    images = torch.from_numpy(rng.integers(0, 255, (6, 3, 8, 8), dtype=np.uint8))
    labels = torch.tensor([0, 0, 2, 1, 0, 2])
    if several:
        labels = torch.from_numpy(rng.integers(0, 2, (6, 3))).float()
    if task == "segmentation":
        labels = torch.from_numpy(rng.integers(0, 3, (6, 8, 8), dtype=np.uint8))
        labels[0, 2:], labels[1], labels[3, :, :4] = IGNORE, IGNORE, IGNORE
    return Batch(images, labels, [str(n) for n in range(6)])


def gradients(task: Task, whole: Batch, sizes: list[int], settings: LossSettings, wrapped=None):
    """What one step adds up, and its losses; `wrapped` makes a learner for several processes."""
    cpu, net = torch.device("cpu"), Pixels(dense=task == "segmentation")
    spread = SimpleNamespace(mean=(0.5, 0.5, 0.5), std=(0.2, 0.2, 0.2))
    network = Network(net, task, None, spread, "fp32", 6, cpu, {})
    learner = Learner(network, settings)
    learner = wrapped(learner) if wrapped else learner
    session = SimpleNamespace(world=World(), train=toy_train(), learner=learner)
    progress = SimpleNamespace(network=network, epoch=0, step=0)
    ends = np.cumsum([0, *sizes])
    parts = [
        replace(whole, images=whole.images[a:b], targets=whole.targets[a:b])
        for a, b in zip(ends[:-1], ends[1:], strict=True)
    ]
    losses = steps._compute_gradients(session, progress, parts, len(whole.images))
    return net.layer.weight.grad, {name: float(value) for name, value in losses.items()}


@pytest.fixture
def without_dice(monkeypatch):
    """Segmentation by cross-entropy alone: Dice is known to depend on the split."""
    both = segmentation.loss

    def entropy(*given):
        parts = both(*given)
        return {n: v * (n == "cross_entropy") for n, v in parts.items()}

    monkeypatch.setattr(segmentation, "loss", entropy)


@pytest.mark.usefixtures("without_dice")
@pytest.mark.parametrize("sizes", SPLITS[1:])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize(
    ("task", "several"),
    [("classification", False), ("classification", True), ("segmentation", False)],
)
def test_split__gradients_and_losses_of_the_whole(task, several, smoothing, weights, sizes):
    settings, whole = LossSettings(smoothing, weights), batch(task, several=several)
    expected, losses = gradients(task, whole, SPLITS[0], settings)
    found, split_losses = gradients(task, whole, sizes, settings)
    assert expected.abs().max() > 1e-3
    assert torch.allclose(found, expected, rtol=1e-4, atol=1e-7)
    for name, value in losses.items():
        assert math.isclose(split_losses[name], value, rel_tol=1e-5, abs_tol=1e-7)


@pytest.mark.usefixtures("without_dice")
def test_split__nothing_but_ignored_pixels():
    whole = batch("segmentation")
    whole.targets[:] = IGNORE
    found, losses = gradients("segmentation", whole, [2, 4], LossSettings(0.0, WEIGHTS))
    assert not found.any()
    assert not any(losses.values())


@pytest.fixture
def alone_in_a_group():
    store = torch.distributed.HashStore()
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.usefixtures("alone_in_a_group")
def test_split__processes_exchange_gradients_once_a_step():
    exchanged = []

    def hook(_state, bucket):
        exchanged.append(bucket.index())
        done: torch.futures.Future[torch.Tensor] = torch.futures.Future()
        done.set_result(bucket.buffer())
        return done

    def wrapped(learner: Learner) -> nn.Module:
        found = nn.parallel.DistributedDataParallel(learner, gradient_as_bucket_view=True)
        found.register_comm_hook(None, hook)
        return found

    whole, settings = batch("classification"), LossSettings()
    expected, _ = gradients("classification", whole, [6], settings)
    found, _ = gradients("classification", whole, [2, 2, 2], settings, wrapped)
    assert torch.allclose(found, expected, rtol=1e-4, atol=1e-7)
    assert exchanged == [0]
