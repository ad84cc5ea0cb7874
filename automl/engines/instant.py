"""The instant answer: before the first epoch, a head fitted on the frozen backbone's features.

It is epoch 0: scored on the validation split like any other, kept in a checkpoint, saved as the
run's model at once, and the start of the fine-tuning.
"""

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import nn

from automl.clock import process_age
from automl.data.ground_truth import truth
from automl.dataset import Dataset, Sample
from automl.engines.features import (
    FrozenBackbone,
    are_kept,
    evenly_spread,
    image_features,
    without_last_layer,
)
from automl.engines.head import Head, fit
from automl.engines.instant_pace import InstantPace
from automl.engines.loader import TrainingSamples
from automl.engines.network import Learner, Network, loss_settings
from automl.engines.progress import Progress
from automl.engines.protocol import Epoch, Event, OnEpoch, OnEvent, OnStep
from automl.engines.randomness import epoch_order, seed_for
from automl.engines.stop_reasons import check_stop
from automl.model.build import classifier
from automl.plan import Plan
from automl.planning.head_cost import FOLDS
from automl.prediction import Prediction
from automl.signals import Stop
from automl.tasks.classification import SEVERAL
from automl.tasks.protocol import module

LOOKED_AT = 128
"""Images whose features are timed, where there are several times as many and a promise."""


@dataclass(frozen=True)
class Callbacks:
    """Where the answer and the way to it are reported, the flag that stops it, and its pace."""

    on_epoch: OnEpoch
    on_step: OnStep
    on_event: OnEvent
    stop: Stop
    pace: InstantPace

    def features(self, done: int, images: int) -> None:
        """So many images have their features; StopRequested where a signal has come."""
        self.step(done, images, math.nan)

    def step(self, done: int, steps: int, loss: float) -> None:
        """So many steps are done; StopRequested where a signal has come."""
        check_stop(self.stop)
        self.on_step(0, done, steps, loss)


def is_wanted(progress: Progress, plan: Plan) -> bool:
    """Whether the training is at its very start and the plan asks for the answer."""
    fresh = progress.step == 0 and progress.epoch == 0 and progress.best_score == -math.inf
    train = plan.train
    asked = train.instant_images if plan.task == "classification" else train.instant_steps
    return fresh and asked > 0 and train.instant != "none"


def answer(progress: Progress, plan: Plan, dataset: Dataset, callbacks: Callbacks) -> float | None:
    """Puts the fitted head into the net and its average; the score, or None where it cannot be."""
    network = progress.network
    name = classifier(network.net, network.backbone)
    if name is None:
        tell_none(callbacks, "the model does not end in one linear layer")
        return None
    frozen = _frozen(network, plan)
    planned = evenly_spread(dataset.split("train"), plan.train.instant_images)
    val = dataset.split("val")
    train = _as_many_as_fit(frozen, dataset, planned, len(val), callbacks)
    seen = image_features(frozen, dataset, train, callbacks.features)
    if not np.isfinite(seen).all():
        tell_none(callbacks, "the features of the pretrained backbone are not finite")
        return None
    targets = _targets(dataset, train, plan)
    settings = loss_settings(plan, dataset, torch.device("cpu"))
    held = _folds(train, targets, plan.train.seed)
    features = torch.from_numpy(seen)
    stop = partial(check_stop, callbacks.stop)
    classes, weights = len(dataset.classes), settings.class_weights
    head = fit(features, targets, classes, held, weights, stop, network.device)
    linear = _linear(head, several=dataset.multi_label)
    _put(head, (network, progress.averaged), name)
    with torch.inference_mode():
        parts = module(plan.task).loss(linear, features, targets, settings)
        losses = {part: float(value) for part, value in parts.items()}
    shown = torch.from_numpy(image_features(frozen, dataset, val, callbacks.features))
    score = score_epoch_0(progress, losses, _predictions(linear, shown, val), callbacks)
    _tell(callbacks, score, frozen, head, len(train))
    return score


def _as_many_as_fit(
    frozen: FrozenBackbone,
    dataset: Dataset,
    planned: list[Sample],
    scored: int,
    callbacks: Callbacks,
) -> list[Sample]:
    """Fewer than planned where some show that a promised time does not suffice for all.

    Plans guess at what reading takes: a disk may be far away.
    """
    pace, each_s = callbacks.pace, 0.0
    open_ended = pace.promise_s is None or bool(pace.repeated) or len(planned) < 4 * LOOKED_AT
    if not open_ended and not are_kept(frozen, dataset, planned):
        looked_at = evenly_spread(planned, LOOKED_AT)
        image_features(frozen, dataset, looked_at[::2], callbacks.features)  # sets up, too
        began = pace.clock.now()
        image_features(frozen, dataset, looked_at[1::2], callbacks.features)
        each_s = (pace.clock.now() - began) / (LOOKED_AT // 2)
    return evenly_spread(planned, pace.images(len(planned), each_s, scored))


def last_layer(network: Network) -> dict[str, torch.Tensor]:
    """A copy of the weights of a classifier's last layer; empty where that is not linear."""
    name = classifier(network.net, network.backbone)
    layer = network.net.get_submodule(name) if name else nn.Module()
    return {key: value.detach().clone() for key, value in layer.state_dict().items()}


def keep_better_head(
    progress: Progress, samples: TrainingSamples, drawn: dict[str, torch.Tensor], on_event: OnEvent
) -> None:
    """Lets fine-tuning start from the fitted head where it helps, else from the random one.

    In training the net normalises by the batch and sees augmented images: where such features are
    far from those that the head was fitted on, it is worse than knowing nothing.
    """
    if not drawn:
        return
    loss, plain = _first_loss(progress, samples, {}), _first_loss(progress, samples, drawn)
    if loss <= plain:
        return
    name = classifier(progress.network.net, progress.network.backbone) or ""
    for network in (progress.network, progress.averaged):
        network.net.get_submodule(name).load_state_dict(drawn)
    text = (
        f"fine-tuning starts from a new head: its loss on the first batch is {plain:.2f}, "
        f"that of the fitted head {loss:.2f}"
    )
    on_event(Event("instant", text, {"first_loss": loss, "first_loss_drawn": plain}))


@torch.no_grad()
def _first_loss(
    progress: Progress, samples: TrainingSamples, head: dict[str, torch.Tensor]
) -> float:
    """Of the first images as the training sees them, by a copy of the net with this last layer."""
    trial, train = progress.network.copy(), samples.plan.train
    name = classifier(trial.net, trial.backbone) or ""
    trial.net.get_submodule(name).load_state_dict(head, strict=bool(head))
    trial.train(frozen=train.backbone_lr == 0 or train.frozen_epochs > 0)
    batch = samples[0, epoch_order(train.seed, 0, len(samples))[: progress.micro_batch]]
    batch = batch.to(trial.device)
    torch.manual_seed(seed_for(train.seed, "first loss"))
    settings = loss_settings(samples.plan, samples.dataset, trial.device)
    with trial.autocast(trial.device):
        losses = Learner(trial, settings)(batch.images, batch.targets)
    return float(sum(losses.values()))


def at_ceiling(score: float, images: int) -> bool:
    """Whether what is left to gain is within one standard error of a score of so many images."""
    return 1 - score <= math.sqrt(max(0.0, score * (1 - score)) / max(1, images))


def reason_to_end(plan: Plan, score: float, images: int) -> str:
    """Why the training ends with an answer of this score; empty where it does not."""
    if not plan.train.beat_instant_within:
        return ""
    if plan.train.backbone_lr == 0 and plan.task == "classification":
        return "the backbone does not learn, and this is the best head for it"
    return "its validation score is at its ceiling" if at_ceiling(score, images) else ""


def unbeaten(progress: Progress, plan: Plan) -> bool:
    """Whether the answer is still the best when fine-tuning has had its time to beat it."""
    if not plan.train.beat_instant_within or progress.best_epoch or progress.epoch < 2:
        return False
    there = progress.best_score > -math.inf
    return there and progress.epoch >= plan.train.beat_instant_within * progress.total_epochs


def _frozen(network: Network, plan: Plan) -> FrozenBackbone:
    known = plan.weights.sha256 or digest(without_last_layer(network.net, network.backbone))
    runner = "onnx" if plan.train.instant == "onnx" else "torch"
    return FrozenBackbone(
        f"{network.backbone.architecture} {known}",
        lambda: without_last_layer(network.net, network.backbone),
        network.preprocess,
        runner,  # type: ignore[arg-type]
        plan.train.threads,
        network.device,
    )


def digest(net: nn.Module) -> str:
    """SHA-256 of all tensors of a net."""
    found = hashlib.sha256()
    for name, tensor in sorted(net.state_dict().items()):
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        found.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()


def _targets(dataset: Dataset, samples: list[Sample], plan: Plan) -> torch.Tensor:
    task = module(plan.task)
    targets: torch.Tensor = task.collate([task.annotation(truth(dataset, s)) for s in samples])
    return targets


def _folds(samples: list[Sample], targets: torch.Tensor, seed: int) -> torch.Tensor:
    """In which part each image is held out: classes spread evenly, groups never torn apart."""
    drawn = np.random.default_rng(seed_for(seed, "folds")).permutation(len(samples))
    if any(sample.group for sample in samples):
        rank: dict[str, int] = {}
        for index in drawn:
            rank.setdefault(samples[index].group or samples[index].path, len(rank))
        return torch.tensor([rank[s.group or s.path] % FOLDS for s in samples])
    labels = targets.argmax(1) if targets.ndim == 2 else targets
    order = drawn[np.argsort(labels.numpy()[drawn], kind="stable")]
    folds = np.empty(len(samples), np.int64)
    folds[order] = np.arange(len(samples)) % FOLDS
    return torch.from_numpy(folds)


def _linear(head: Head, *, several: bool) -> nn.Linear:
    """The head as a layer of its own, for features that are there already."""
    linear = nn.Linear(head.weight.shape[1], head.weight.shape[0])
    with torch.no_grad():
        linear.weight.copy_(head.weight)
        linear.bias.copy_(head.bias)
    if several:
        setattr(linear, SEVERAL, True)
    return linear


@torch.no_grad()
def _put(head: Head, networks: tuple[Network, ...], name: str) -> None:
    for network in networks:
        layer = network.net.get_submodule(name)
        layer.weight.copy_(head.weight)  # type: ignore[operator]
        if layer.bias is not None:
            layer.bias.copy_(head.bias)  # type: ignore[operator]


def score_epoch_0(
    progress: Progress,
    losses: dict[str, float],
    found: Iterator[Prediction],
    callbacks: Callbacks,
) -> float:
    """Reports the answer as epoch 0, validated like any other; its score."""
    progress.tick()
    epoch = Epoch(
        number=0,
        total=progress.total_epochs,
        seconds=progress.epoch_seconds,
        losses=losses,
        learning_rate=0.0,
        predictions=found,
    )
    score = callbacks.on_epoch(epoch)
    progress.tick()
    progress.epoch_seconds = 0.0
    return score


def _predictions(
    linear: nn.Linear, features: torch.Tensor, samples: list[Sample]
) -> Iterator[Prediction]:
    """What the net with this head says of images whose features are known."""
    task = module("classification")
    with torch.inference_mode():
        outputs = task.outputs(linear, features)
    yield from task.decode(outputs, [], [sample.path for sample in samples])


def _tell(
    callbacks: Callbacks, score: float, frozen: FrozenBackbone, head: Head, images: int
) -> None:
    seconds = process_age()
    text = (
        f"instant answer: val score {score:.4f} after {seconds:.1f} s, by a head fitted on the "
        f"frozen backbone's features of {images} images; saved, ready to use"
    )
    facts = {
        "score": score,
        "since_start_s": round(seconds, 3),
        "features": frozen.computed_by,
        "penalty": head.penalty,
    }
    if frozen.why_torch:
        text += f"; computed by torch instead of ONNX Runtime: {frozen.why_torch}"
        facts["why_torch"] = frozen.why_torch
    callbacks.on_event(Event("instant", text, facts))


def tell_none(callbacks: Callbacks, why: str) -> None:
    """Says that there is no answer, and why."""
    callbacks.on_event(Event("instant", f"no instant answer: {why}", {"because": why}))
