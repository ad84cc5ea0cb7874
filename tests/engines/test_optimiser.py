import pytest
import torch
from torch import nn

from automl.engines.optimiser import MovingAverage, build_optimiser, lr_factor, set_lr
from tests.engines.toy import toy_train

TRAIN = toy_train(
    epochs=4, lr=1e-2, backbone_lr=0.1, layer_decay=0.5, weight_decay=0.05, warmup_epochs=1
)
CPU = torch.device("cpu")


def net() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2))


STAGES = {"0.weight": 2, "0.bias": 2, "1.weight": 1, "1.bias": 1, "2.weight": 0, "2.bias": 0}


def test_build_optimiser__rates_fall_towards_the_input_and_vectors_do_not_decay() -> None:
    optimiser = build_optimiser(net(), STAGES, TRAIN, CPU)
    found = {(round(g["peak"], 6), g["weight_decay"]) for g in optimiser.param_groups}
    assert found == {(p, d) for p in (1e-2, 1e-3, 5e-4) for d in (0.05, 0.0)}


def test_build_optimiser__zero_backbone_rate_freezes_it() -> None:
    model = net()
    build_optimiser(model, STAGES, TRAIN.model_copy(update={"backbone_lr": 0.0}), CPU)
    trained = [name for name, p in model.named_parameters() if p.requires_grad]
    assert trained == ["2.weight", "2.bias"]


def test_lr_factor__warms_up_to_the_peak_and_falls_to_zero() -> None:
    rates = [lr_factor(TRAIN, step, 10, 40) for step in range(40)]
    assert rates[0] == pytest.approx(1 / 11)
    assert max(rates) == rates[10] == 1.0
    assert all(a > b for a, b in zip(rates[10:], rates[11:], strict=False))
    assert rates[-1] < 0.01


def test_lr_factor__constant_stays_at_the_peak() -> None:
    constant = TRAIN.model_copy(update={"schedule": "constant"})
    assert {lr_factor(constant, step, 10, 40) for step in range(10, 40)} == {1.0}


def test_set_rate__returns_the_largest() -> None:
    optimiser = build_optimiser(net(), STAGES, TRAIN, CPU)
    assert set_lr(optimiser, 0.5) == pytest.approx(5e-3)
    assert min(g["lr"] for g in optimiser.param_groups) == pytest.approx(2.5e-4)


def test_moving_average__follows_the_net_and_copies_counters() -> None:
    source = nn.BatchNorm1d(3)
    target = nn.BatchNorm1d(3)
    with torch.no_grad():
        source.weight.fill_(3.0)
        source.num_batches_tracked.fill_(7)
    average = MovingAverage(target, source)
    average.update(decay=0.9, step=10_000)
    assert target.weight.tolist() == pytest.approx([1.2] * 3)
    assert int(target.num_batches_tracked) == 7
    for _ in range(200):
        average.update(decay=0.9, step=10_000)
    assert target.weight.tolist() == pytest.approx([3.0] * 3)
