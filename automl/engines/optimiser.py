"""Optimiser, learning-rate schedule and averaged weights of the native loop."""

import math
from collections.abc import Iterable

import torch
from torch import nn

from automl.plan import Train


def build_optimiser(
    net: nn.Module, stages: dict[str, int], train: Train, device: torch.device
) -> torch.optim.Optimizer:
    """One parameter group per learning rate and decay; frozen parameters are left out.

    Stage 0 (new layers) learns at `lr`, stage s >= 1 at `lr * backbone_lr * layer_decay^(s - 1)`.
    Vectors (biases, normalisation) are not decayed.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in net.named_parameters():
        stage = stages[name]
        scale = 1.0 if stage == 0 else train.backbone_lr * train.layer_decay ** (stage - 1)
        parameter.requires_grad_(scale > 0)
        if scale > 0:
            decay = train.weight_decay if parameter.ndim > 1 else 0.0
            groups.setdefault((scale, decay), []).append(parameter)
    parameters = [
        {"params": p, "lr": train.lr * scale, "peak": train.lr * scale, "weight_decay": decay}
        for (scale, decay), p in groups.items()
    ]
    fused = device.type == "cuda"
    if train.optimiser == "sgd":
        return torch.optim.SGD(parameters, lr=train.lr, momentum=0.9, nesterov=True, fused=fused)
    return torch.optim.AdamW(parameters, lr=train.lr, fused=fused)


def rate(train: Train, step: int, steps_per_epoch: int, total_steps: int) -> float:
    """Share of the peak learning rate at a step: linear warm-up, then cosine to zero."""
    warmup = min(train.warmup_epochs * steps_per_epoch, 0.5 * total_steps)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    if train.schedule == "constant":
        return 1.0
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1.0, total_steps - warmup)))


def set_rate(optimiser: torch.optim.Optimizer, factor: float) -> float:
    """Sets every group to `factor` times its peak; returns the largest rate."""
    for group in optimiser.param_groups:
        group["lr"] = group["peak"] * factor
    return float(max(group["lr"] for group in optimiser.param_groups))


@torch.no_grad()
def average(into: nn.Module, net: nn.Module, decay: float, step: int) -> None:
    """Moves the averaged weights towards `net`; the decay grows with the steps at the start.

    Exponential moving average with the warm-up of TensorFlow's ExponentialMovingAverage.
    """
    weight = 1 - min(decay, (1 + step) / (10 + step))
    mine, theirs = list(_state(into)), list(_state(net))
    floats = [i for i, t in enumerate(mine) if t.is_floating_point()]
    torch._foreach_lerp_([mine[i] for i in floats], [theirs[i] for i in floats], weight)
    for target, source in zip(mine, theirs, strict=True):
        if not target.is_floating_point():
            target.copy_(source)


def _state(net: nn.Module) -> Iterable[torch.Tensor]:
    return net.state_dict().values()
