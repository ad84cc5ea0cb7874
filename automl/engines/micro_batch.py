"""How many images at once fit on a card: found by training on the worst ones, before the training.

The worst is: the largest images, each with as many objects as any in the set, with everything that
a training holds (averaged weights, optimiser state), and some memory taken away as head-room. On a
CPU the plan's bound stands. Tried on a pretended card (`tests/engines/pretended_card.py`) alone.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from automl.dataset import Dataset
from automl.engines.loader import change_each
from automl.engines.network import Learner, build_network
from automl.engines.optimiser import MovingAverage, build_optimiser
from automl.engines.stop_reasons import is_out_of_memory, no_memory
from automl.engines.torch_state import let_cudnn_choose
from automl.engines.transforms import augmenter
from automl.plan import Plan, Reason
from automl.tasks.protocol import LossSettings, module

HEADROOM = 0.1
"""Share of the card that stays free for what fragments, and for libraries' workspaces."""
STEPS = 2
"""The second one has the optimiser's state beside its activations."""


def fit_micro_batch(plan: Plan, dataset: Dataset, asked: int | None) -> Plan:
    """The plan with the images at once that fit on a card, unless so many are asked for."""
    if asked or not plan.device.startswith("cuda") or plan.engine != "native":
        return plan
    peaks: dict[int, int] = {}

    def attempt(images: int) -> None:
        with _reserved_headroom(plan.device) as reserved:
            peaks[images] = peak_bytes(plan, dataset, images) - reserved

    micro = largest_fitting(plan.train.batch_size, attempt, plan.device)
    gigabytes = float(f"{peaks[micro] / 1e9:.2g}")
    reason = Reason(because=f"measured on the worst images: {gigabytes:g} GB, with head-room")
    train = plan.train.model_copy(update={"micro_batch": micro})
    reasons = {**plan.reasons, "train.micro_batch": reason, "expected_memory_gb": reason}
    changes = {"train": train, "expected_memory_gb": gigabytes, "reasons": reasons}
    return plan.model_copy(update=changes)


def largest_fitting(batch: int, attempt: Callable[[int], None], device: str) -> int:
    """The largest part of a batch that an attempt has memory for; NumbersError where none has."""
    for images in [n for n in range(batch, 0, -1) if batch % n == 0]:
        try:
            attempt(images)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        else:
            return images
        finally:  # what the trial took is not torch's alone: other libraries have allocators too
            if device.startswith("cuda"):
                torch.cuda.empty_cache()
    raise no_memory(device)


def peak_bytes(plan: Plan, dataset: Dataset, images: int) -> int:
    """Trains some steps on the worst micro-batch, then answers one; the card's memory at most."""
    device = torch.device(plan.device)
    on_card = device.type == "cuda"
    if on_card:
        let_cudnn_choose(device)
        torch.cuda.reset_peak_memory_stats(device)
    network = build_network(plan, dataset, device)
    averaged = network.copy() if plan.train.ema else network
    optimiser = build_optimiser(network.net, network.stages, plan.train, device)
    # All classes weigh the same: to count them takes a look at every mask.
    weights = torch.ones(len(dataset.classes), device=device)
    balanced = plan.train.class_weights == "balanced"
    learner = Learner(
        network, LossSettings(plan.train.label_smoothing, weights if balanced else None)
    )
    pixels, targets = worst_batch(plan, dataset, images, device)
    network.train(frozen=plan.train.backbone_lr == 0)
    for step in range(STEPS):
        with network.autocast(device):
            losses = learner(pixels, targets)
        torch.stack(list(losses.values())).sum().backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        if averaged is not network:
            MovingAverage(averaged.net, network.net).update(plan.train.ema, step)
    averaged.net.eval()
    whole = torch.zeros((images, 3, *plan.train.image_size), dtype=torch.uint8, device=device)
    with torch.inference_mode(), averaged.autocast(device):
        module(plan.task).outputs(averaged.net, averaged.normalise(whole))
    if not on_card:
        return 0
    torch.cuda.synchronize(device)
    return int(torch.cuda.max_memory_allocated(device))


def worst_batch(
    plan: Plan, dataset: Dataset, images: int, device: torch.device
) -> tuple[torch.Tensor, Any]:
    """Noise of the size that training sees, annotated as fully as any image of the set."""
    height, width = plan.train.crop
    image = np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)
    annotated = _annotation(plan, dataset, height, width)
    image, annotated = augmenter(plan)(image, annotated, 0)
    if plan.task == "detection":  # what the augmentation has cut off comes back
        annotated = _annotation(plan, dataset, *image.shape[:2])
    pixels = torch.from_numpy(np.stack([image] * images).transpose(0, 3, 1, 2)).to(device)
    targets = module(plan.task).collate([annotated] * images)
    return pixels, change_each(targets, lambda tensor: tensor.to(device))


def _annotation(plan: Plan, dataset: Dataset, height: int, width: int) -> dict[str, Any]:
    match plan.task:
        case "detection":
            most = max((len(sample.boxes) for sample in dataset.split("train")), default=0)
            most *= 4 if plan.train.mosaic else 1
            box = np.array([0, 0, width // 2, height // 2], np.float32)
            return {"bboxes": np.tile(box, (most, 1)), "labels": np.zeros(most, np.int64)}
        case "segmentation":
            return {"mask": np.zeros((height, width), np.uint8)}
        case "classification":
            several = np.zeros(len(dataset.classes), np.float32)
            return {"label": several if dataset.multi_label else 0}


@contextmanager
def _reserved_headroom(device: str) -> Iterator[int]:
    """Bytes of head-room, held by nobody else while the block runs."""
    total = torch.cuda.get_device_properties(device).total_memory
    held = torch.empty(int(HEADROOM * total), dtype=torch.uint8, device=device)
    try:
        yield held.numel()
    finally:
        del held
