"""Facts about a timm network that the model table does not hold: a name in, numbers out."""

from dataclasses import dataclass
from functools import cache
from typing import Any

LICENCES = {
    "apache-2.0": "Apache-2.0",
    "mit": "MIT",
    "bsd-3-clause": "BSD-3-Clause",
    "cc-by-nc-4.0": "CC-BY-NC-4.0",
}


@dataclass(frozen=True)
class TimmFacts:
    """`numbers` are parameters in millions, gflops and activations in millions at `image_size`."""

    image_size: int
    fixed_size: bool
    numbers: tuple[float, float, float]
    licence: str


@cache
def timm_facts(name: str) -> TimmFacts | None:
    """What timm says of a model, and its costs counted without memory; None if unknown to timm."""
    import timm
    import torch

    if not timm.is_model(name.partition(".")[0]):
        return None
    try:
        config = timm.get_pretrained_cfg(name)
    except RuntimeError:  # the model has no weights of this tag
        return None
    size = config.input_size[-1] if config else 224
    with torch.device("meta"):
        net = timm.create_model(name, pretrained=False, num_classes=10).eval().requires_grad_(False)
        numbers = cost(net, torch.empty(1, 3, size, size))
    licence = (config.license if config else None) or "unknown"
    fixed = bool(config and config.fixed_input_size)
    return TimmFacts(size, fixed, numbers, LICENCES.get(licence.lower(), licence))


def cost(net: Any, images: Any) -> tuple[float, float, float]:
    """Parameters in millions, gflops and activations in millions of one forward pass."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    activations = 0

    def count(_module: Any, _inputs: Any, output: Any) -> None:
        nonlocal activations
        activations += output.numel()

    layers = (torch.nn.Conv2d, torch.nn.ConvTranspose2d, torch.nn.Linear)
    hooks = [m.register_forward_hook(count) for m in net.modules() if isinstance(m, layers)]
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        net(images)
    for hook in hooks:
        hook.remove()
    parameters = sum(p.numel() for p in net.parameters())
    return parameters / 1e6, counter.get_total_flops() / 1e9, activations / 1e6
