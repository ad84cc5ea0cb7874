"""A net together with what must be known to use it: task, preprocessing, precision, device."""

from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import nn

from automl.dataset import Dataset
from automl.dataset import Task as TaskName
from automl.engines.randomness import seed_for
from automl.model import bundle as bundles
from automl.model.build import build, load_backbone, normalisation, stages
from automl.model.preprocess import Preprocess
from automl.plan import Plan
from automl.planning.backbones import Backbone, find
from automl.planning.hardware import BF16_SINCE
from automl.tasks.protocol import LossSettings, module

FROM_CARD = 4
"""Images at once on a CPU by a model that was trained on a card."""


@dataclass(frozen=True)
class Network:
    """`stages` maps each parameter to its depth: 0 = new layers, rising towards the input."""

    net: nn.Module
    task: TaskName
    backbone: Backbone
    preprocess: Preprocess
    precision: str
    batch_size: int
    device: torch.device
    stages: dict[str, int]

    def normalise(self, images: torch.Tensor) -> torch.Tensor:
        """uint8 [B, 3, H, W] on the device -> float with the backbone's mean and spread."""
        return normalised(images, self.preprocess)

    def autocast(self, device: torch.device) -> AbstractContextManager[Any]:
        """bf16 where the plan says so; otherwise nothing."""
        if self.precision != "bf16":
            return nullcontext()
        return torch.autocast(device.type, torch.bfloat16)

    def train(self, *, frozen: bool) -> None:
        """Training mode; a frozen backbone keeps its statistics too."""
        self.net.train()
        if frozen:
            for name, part in self.net.named_modules():
                own = [f"{name}.{p}" for p, _ in part.named_parameters(recurse=False)]
                if name and own and all(self.stages[p] > 0 for p in own):
                    part.eval()

    def copy(self) -> "Network":
        """The same with weights of its own."""
        return replace(self, net=deepcopy(self.net))


def normalised(images: torch.Tensor, preprocess: Preprocess) -> torch.Tensor:
    """uint8 [B, 3, H, W] -> float, on the device where the images are."""
    mean, std = _spread(tuple(preprocess.mean), tuple(preprocess.std), images.device)
    rows = images.permute(0, 2, 3, 1)
    if images.device.type != "cpu" or not rows.is_contiguous():
        return images.float().sub_(mean).div_(std)
    # The same bits in a third of the time: whole rows of pixels instead of three numbers.
    count, height, width, channels = rows.shape
    flat = rows.reshape(count, height, width * channels).float()
    flat.sub_(mean.flatten().repeat(width)).div_(std.flatten().repeat(width))
    return flat.view(rows.shape).permute(0, 3, 1, 2)


@lru_cache
def _spread(
    mean: tuple[float, ...], std: tuple[float, ...], device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and deviation of pixels in 0..255: sent to the device once, not with each batch."""
    with torch.inference_mode(mode=False):  # kept, so they must serve a training as well
        both = [torch.tensor(v, device=device).view(1, 3, 1, 1) * 255 for v in (mean, std)]
    return both[0], both[1]


class Learner(nn.Module):
    """From a batch to its losses in one forward call, as DistributedDataParallel needs it."""

    def __init__(self, network: Network, settings: LossSettings) -> None:
        """Shares the net of `network`."""
        super().__init__()
        self.net = network.net
        self.network = network
        self.settings = settings

    def forward(self, images: torch.Tensor, targets: Any) -> dict[str, torch.Tensor]:
        """`images` uint8 [B, 3, H, W]."""
        task = module(self.network.task)
        return task.loss(self.net, self.network.normalise(images), targets, self.settings)

    def counted(self, targets: Any) -> dict[str, torch.Tensor]:
        """What the parts of the loss are means over, as `Task.counted` says."""
        return module(self.network.task).counted(targets, self.settings)


class BufferBackup:
    """The net's buffers (such as batch statistics) before a step, in case that it is repeated."""

    def __init__(self, net: nn.Module) -> None:
        """Makes room; `save` copies."""
        by_dtype: dict[torch.dtype, list[torch.Tensor]] = {}
        for buffer in net.buffers():
            by_dtype.setdefault(buffer.dtype, []).append(buffer)
        # Of one kind each: a card copies a mixed list one by one.
        self.pairs = [(live, [b.clone() for b in live]) for live in by_dtype.values()]

    @torch.no_grad()
    def save(self) -> None:
        """Copies them."""
        for live, saved in self.pairs:
            torch._foreach_copy_(saved, live)

    @torch.no_grad()
    def restore(self) -> None:
        """Undoes what forward passes have changed since."""
        for live, saved in self.pairs:
            torch._foreach_copy_(live, saved)


def build_network(plan: Plan, dataset: Dataset, device: torch.device) -> Network:
    """The net of a plan with its first weights: pretrained backbone, drawn head."""
    backbone = find(plan.model, plan.task)
    torch.manual_seed(seed_for(plan.train.seed, "weights"))
    net = build(backbone, len(dataset.classes), plan.train.image_size)
    if plan.weights.source != "none":
        load_backbone(net, backbone, plan.weights)
    _mark(net, several=dataset.multi_label)
    if not plan.train.compile:
        _train_on_lone_values(net)
    mean, std = normalisation(backbone)
    return Network(
        net=net.to(device, memory_format=torch.channels_last),  # type: ignore[call-overload]
        task=plan.task,
        backbone=backbone,
        preprocess=Preprocess(plan.train.image_size, plan.train.fit, mean, std),
        precision=plan.train.precision,
        batch_size=plan.train.micro_batch,
        device=device,
        stages=stages(net, backbone),
    )


def load_network(folder: Path, device: torch.device) -> Network:
    """The net of a bundle."""
    bundle = bundles.read(folder)
    state = bundles.load_state(folder)
    with bundles.buildable(folder):
        backbone = bundles.row(bundle)
        net = build(backbone, len(bundle.classes), bundle.preprocess.size)
        net.load_state_dict(state)
    _mark(net, several=bundle.several_labels)
    return Network(
        net=net.to(device, memory_format=torch.channels_last),  # type: ignore[call-overload]
        task=bundle.task,
        backbone=backbone,
        preprocess=bundle.preprocess,
        precision=bundle.extra["precision"] if has_fast_bf16(device) else "fp32",
        batch_size=_images_at_once(bundle.extra, device),
        device=device,
        stages={},
    )


def _images_at_once(extra: dict[str, Any], device: torch.device) -> int:
    """As many as in training; of those that a card took, few on a CPU: Linux promises any memory,
    and ends the process that uses it.
    """
    batch = int(extra["batch_size"])
    from_card = extra.get("device", "cpu") != "cpu"
    return min(batch, FROM_CARD) if device.type == "cpu" and from_card else batch


def has_fast_bf16(device: torch.device) -> bool:
    """Whether bf16 is fast there: older cards emulate it."""
    return device.type == "cuda" and torch.cuda.get_device_capability(device)[0] >= BF16_SINCE


def _mark(net: nn.Module, *, several: bool) -> None:
    from automl.tasks.classification import SEVERAL

    if several:
        setattr(net, SEVERAL, True)


def _train_on_lone_values(net: nn.Module) -> None:
    """Lets batch norm train where one image leaves it a single value, as after global pooling.

    There it goes by its running statistics; torch refuses, for there is no deviation of one value.
    """
    for part in net.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            part.register_forward_pre_hook(_by_running_statistics)
            part.register_forward_hook(_as_before)


def _by_running_statistics(part: Any, given: tuple[torch.Tensor, ...]) -> None:
    values = given[0]
    if part.training and values.numel() == values.shape[1]:
        part.training, part.lone = False, True


def _as_before(part: Any, _given: Any, _result: Any) -> None:
    if getattr(part, "lone", False):
        part.training, part.lone = True, False


def loss_settings(plan: Plan, dataset: Dataset, device: torch.device) -> LossSettings:
    """Balanced weights go by the square root of the inverse frequency, with mean 1.

    The root keeps classes that are a thousand times rarer from ruling the loss. One without any
    example has the mean: where images show several classes, all that is learnt of it is to say no.
    """
    weights = None
    if plan.train.class_weights == "balanced":
        frequency = torch.tensor(module(plan.task).class_frequency(dataset))
        seen = frequency > 0
        weights = frequency.rsqrt() / frequency[seen].rsqrt().mean()
        weights = torch.where(seen, weights, 1.0).to(device, torch.float32)
    return LossSettings(plan.train.label_smoothing, weights)
