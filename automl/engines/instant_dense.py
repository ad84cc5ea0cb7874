"""The instant answer of segmenters and detectors: all but the backbone learns from its kept maps.

Like a classifier's fitted head it is epoch 0. The frozen backbone passes once over images as they
are; what stands behind it takes some steps on what is kept, and fine-tuning starts from there.
"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import nn

from automl.clock import process_age
from automl.engines.feature_maps import (
    BackboneMaps,
    BackboneSlot,
    FeatureMaps,
    Window,
    compute_maps,
    find_backbone,
)
from automl.engines.features import FrozenBackbone
from automl.engines.frames import Frames
from automl.engines.inference import predicted
from automl.engines.instant import Callbacks, digest, score_epoch_0, tell_none
from automl.engines.loader import TrainingSamples, change_each
from automl.engines.network import Network, loss_settings
from automl.engines.optimiser import build_optimiser, lr_factor, set_lr
from automl.engines.progress import Progress
from automl.engines.protocol import Event
from automl.engines.randomness import epoch_order, seed_for
from automl.engines.stop_reasons import until_stopped
from automl.planning.instant_rules import LIGHT_BATCH
from automl.prediction import Prediction
from automl.recipe.checks import STRIDE

FASTER = 2.0
"""Times the learning rate of the training: all that learns here is new."""
WARMUP = 0.1
"""Share of the steps."""


def answer(progress: Progress, samples: TrainingSamples, callbacks: Callbacks) -> float | None:
    """Puts what was learnt into the net and its average; the score, or None without an answer."""
    network = progress.network.copy()  # until all is well the net stays as it is
    slot = find_backbone(network)
    if slot is None:
        tell_none(callbacks, "the backbone cannot be told from the rest of the net")
        return None
    frozen = _frozen(network, slot, samples)
    most = samples.plan.train.instant_steps * LIGHT_BATCH
    maps = compute_maps(frozen, samples.frames, most, callbacks.features)
    losses = HeadTraining(network, slot, samples, maps).learn(callbacks) if maps.finite else None
    if losses is None:
        tell_none(callbacks, "the numbers behind the pretrained backbone are not finite")
        return None
    for one in (progress.network, progress.averaged):
        _put(network.net, one.net)
    found, pace = _validated(progress, samples, callbacks), callbacks.pace
    began = pace.clock.now()
    score = score_epoch_0(progress, losses, found, callbacks)
    pace.judged_s = pace.clock.now() - began
    _tell(callbacks, score, frozen, len(maps.indices))
    return score


class HeadTraining:
    """Trains all but the backbone, on its kept feature maps."""

    def __init__(
        self, network: Network, slot: BackboneSlot, samples: TrainingSamples, maps: FeatureMaps
    ) -> None:
        """Takes the backbone out of the net."""
        self.stand_in = slot.replay()
        self.network, self.samples, self.maps = network, samples, maps
        given = samples.plan.train
        faster = {"lr": FASTER * given.lr, "warmup_epochs": WARMUP, "schedule": "cosine"}
        self.train = given.model_copy(update=faster)
        self.optimiser = build_optimiser(network.net, network.stages, self.train, network.device)
        self.settings = loss_settings(samples.plan, samples.dataset, network.device)
        self.draw = np.random.default_rng(seed_for(given.seed, "instant"))

    def learn(self, callbacks: Callbacks) -> dict[str, float] | None:
        """The mean losses of the second half of the steps; None where one is not finite."""
        self.network.net.train()
        every: list[dict[str, float]] = []
        steps, shown = callbacks.pace.begin(self.train.instant_steps), self._shown()
        while len(every) < steps:
            done = len(every)
            torch.manual_seed(seed_for(self.train.seed, "instant", done))
            set_lr(self.optimiser, lr_factor(self.train, done, steps, steps))
            losses = self._step(shown[done * LIGHT_BATCH : (done + 1) * LIGHT_BATCH])
            loss = sum(losses.values())
            if not math.isfinite(loss):
                return None
            every.append(losses)
            steps = callbacks.pace.after_step(done + 1, steps)
            callbacks.step(done + 1, steps, loss)
        last = every[len(every) // 2 :]
        return {name: sum(one[name] for one in last) / len(last) for name in last[0]}

    def _shown(self) -> np.ndarray:
        """Which kept images, pass after pass in another order."""
        count, seed = len(self.maps.indices), seed_for(self.train.seed, "instant")
        most = max(self.train.instant_steps, self.samples.plan.most_instant_steps or 0)
        passes = -(-most * LIGHT_BATCH // count)
        return np.concatenate([epoch_order(seed, number, count) for number in range(passes)])

    def _step(self, rows: np.ndarray) -> dict[str, float]:
        """Moves the weights once."""
        network, window = self.network, self._window()
        device = network.device
        self.stand_in.maps = self.maps.batch(rows, window, self.train.image_size, device)
        size = [part.stop - part.start for part in window]
        blank = torch.zeros(1, device=device).expand(len(rows), 3, *size)
        targets = self._targets(rows, window)
        with network.autocast(device):
            parts = self.samples.task.loss(network.net, blank, targets, self.settings)
        torch.stack(list(parts.values())).sum().backward()  # type: ignore[no-untyped-call]
        if self.train.clip_norm:
            nn.utils.clip_grad_norm_(network.net.parameters(), self.train.clip_norm)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        values = torch.stack([value.detach() for value in parts.values()]).tolist()
        return dict(zip(parts, values, strict=True))  # a card is waited for once

    def _window(self) -> Window:
        """A random part of the size of a training crop (segmentation), or all of the image."""
        cut = self.train.crop if self.samples.plan.task == "segmentation" else self.train.image_size
        rows, columns = (
            STRIDE * int(self.draw.integers((whole - part) // STRIDE + 1))
            for whole, part in zip(self.train.image_size, cut, strict=True)
        )
        return slice(rows, rows + cut[0]), slice(columns, columns + cut[1])

    def _targets(self, rows: np.ndarray, window: Window) -> Any:
        """As the loss takes them, on the device."""
        samples, known = self.samples, []
        for row in rows:
            at = self.maps.indices[int(row)]
            annotated = samples.annotation(at, samples.frames[at])
            if "mask" in annotated:
                annotated["mask"] = annotated["mask"][window]
            known.append(annotated)
        found = samples.task.collate(known)
        return change_each(found, lambda tensor: tensor.to(self.network.device))


def _frozen(network: Network, slot: BackboneSlot, samples: TrainingSamples) -> FrozenBackbone:
    """The backbone as what computes features takes it."""
    plan, body = samples.plan, BackboneMaps(slot.backbone, with_images=slot.with_images)
    weights = plan.weights.sha256 or digest(body)
    return FrozenBackbone(
        f"{network.backbone.name} maps {weights}",
        body.eval,
        network.preprocess,
        "onnx" if plan.train.instant == "onnx" else "torch",
        plan.train.threads,
        network.device,
    )


@torch.no_grad()
def _put(learnt: nn.Module, net: nn.Module) -> None:
    """Copies all that the one has beside its backbone."""
    own = net.state_dict()
    for name, tensor in learnt.state_dict().items():
        own[name].copy_(tensor)


def _validated(
    progress: Progress, samples: TrainingSamples, callbacks: Callbacks
) -> Iterator[Prediction]:
    """The averaged weights' predictions for the validation split."""
    dataset, averaged = samples.dataset, progress.averaged
    frames = Frames(dataset, dataset.split("val"), averaged.preprocess)
    found = predicted(averaged, frames.fitted(), averaged.device)
    return until_stopped(found, callbacks.stop)


def _tell(callbacks: Callbacks, score: float, frozen: FrozenBackbone, images: int) -> None:
    seconds = process_age()
    text = (
        f"instant answer: val score {score:.4f} after {seconds:.1f} s, by the layers after the "
        f"frozen backbone, trained on its features of {images} images; saved, ready to use"
    )
    facts = {"score": score, "since_start_s": round(seconds, 3), "features": frozen.computed_by}
    if frozen.why_torch:
        text += f"; computed by torch instead of ONNX Runtime: {frozen.why_torch}"
        facts["why_torch"] = frozen.why_torch
    callbacks.on_event(Event("instant", text, facts))
