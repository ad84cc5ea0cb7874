"""The native engine: our own loop over timm, torchvision and SMP models.

Read `train` top down: set up, then per epoch one pass, validation by the averaged weights, the
best kept, a checkpoint. A first epoch and a resumed one run through the same lines.
"""

import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import nn

from automl.data.stream import images
from automl.dataset import Dataset
from automl.engines import checkpoint as checkpoints
from automl.engines import distributed
from automl.engines.loader import Batch, TrainingSamples, augmented, stream
from automl.engines.memory import keep_freed_memory
from automl.engines.network import Learner, Network, build_network, load_network, loss_settings
from automl.engines.optimiser import average, build_optimiser, rate, set_rate
from automl.engines.protocol import Epoch, OnEpoch, OnStep, Trained
from automl.engines.randomness import batches, epoch_order, seed_for, shards
from automl.engines.signals import Stop, watch
from automl.engines.stops import interrupted, looks, not_finite
from automl.model import bundle as bundles
from automl.plan import Plan
from automl.prediction import Prediction
from automl.run_dir import RunDir
from automl.tasks.protocol import module

__all__ = ["augmented", "predict", "train"]


@dataclass
class Progress:
    """What changes while a model is trained; `best` holds the weights of the best epoch."""

    network: Network
    averaged: Network
    optimiser: torch.optim.Optimizer
    total: int
    epoch: int = 0
    step: int = 0
    seconds: float = 0.0
    best_score: float = float("-inf")
    best_epoch: int = 0
    best: dict[str, torch.Tensor] = field(default_factory=dict)

    def checkpoint(self) -> checkpoints.Checkpoint:
        """All of it as tensors and facts."""
        facts = {
            name: getattr(self, name)
            for name in ("total", "step", "seconds", "best_score", "best_epoch")
        }
        tensors = {
            "model": self.network.net.state_dict(),
            "averaged": self.averaged.net.state_dict(),
            "optimiser": checkpoints.optimiser_tensors(self.optimiser),
            "best": self.best,
        }
        return checkpoints.Checkpoint(self.epoch, tensors, facts)

    def restore(self, saved: checkpoints.Checkpoint) -> None:
        """Puts everything back to where `checkpoint` found it."""
        self.network.net.load_state_dict(saved.tensors["model"])
        self.averaged.net.load_state_dict(saved.tensors["averaged"])
        checkpoints.restore_optimiser(self.optimiser, saved.tensors["optimiser"])
        self.best, self.epoch = saved.tensors["best"], saved.epoch
        for name, value in saved.facts.items():
            setattr(self, name, value)


def train(plan: Plan, dataset: Dataset, run: RunDir, on_epoch: OnEpoch, on_step: OnStep) -> Trained:
    """Trains what the plan says and leaves a bundle at `run.model`; resumes where it stopped."""
    torch.set_num_threads(plan.train.threads)
    keep_freed_memory()
    world = distributed.join()
    device = world.device(plan.device)
    samples = TrainingSamples(plan, dataset)
    progress = _begin(plan, dataset, device)
    saved = checkpoints.newest(run.checkpoints)
    if saved is not None:
        progress.restore(saved)
    learner = _learner(progress.network, plan, dataset, device, world)
    with watch() as stop:
        while progress.epoch < progress.total and not _stale(progress, plan):
            began = time.monotonic()
            losses, lr = _one_epoch(learner, samples, progress, on_step, stop, world)
            progress.epoch += 1
            _validate(progress, plan, dataset, world, (losses, lr, began), on_epoch)
            if world.leads:
                checkpoints.save(run.checkpoints, progress.checkpoint())
            distributed.wait()
    if world.leads:
        _save_bundle(progress, plan, dataset, run)
    distributed.wait()
    stopped_early = progress.epoch < plan.train.epochs
    return Trained(run.model, progress.best_epoch, progress.epoch, stopped_early)


def predict(
    bundle: Path, images: Iterable[tuple[str, np.ndarray]], device: str
) -> Iterator[Prediction]:
    """Predicts upright RGB images (`uint8 [H, W, 3]`) by the bundle alone, in their order."""
    network = load_network(bundle, torch.device(device))
    return predictions(network, images, torch.device(device))


def predictions(
    network: Network, pixels: Iterable[tuple[str, np.ndarray]], device: torch.device
) -> Iterator[Prediction]:
    """Runs the net in evaluation mode over batches of images."""
    task = module(network.task)
    network.net.eval()
    remaining = iter(pixels)
    while chunk := list(islice(remaining, network.batch_size)):
        fitted = [network.preprocess.apply(image) for _, image in chunk]
        pixels = torch.from_numpy(np.stack([image for image, _ in fitted]).transpose(0, 3, 1, 2))
        with torch.inference_mode(), network.autocast(device):
            outputs = task.outputs(network.net, network.normalise(pixels.to(device)))
        yield from task.decode(outputs, [g for _, g in fitted], [path for path, _ in chunk])


def _begin(plan: Plan, dataset: Dataset, device: torch.device) -> Progress:
    network = build_network(plan, dataset, device)
    averaged = network.copy() if plan.train.ema else network
    optimiser = build_optimiser(network.net, network.stages, plan.train, device)
    return Progress(network, averaged, optimiser, plan.train.epochs)


def _learner(
    network: Network,
    plan: Plan,
    dataset: Dataset,
    device: torch.device,
    world: distributed.World,
) -> nn.Module:
    learner = Learner(network, loss_settings(plan, dataset, device))
    if world.size == 1:
        return learner
    return nn.parallel.DistributedDataParallel(learner, find_unused_parameters=False)


def _one_epoch(
    learner: nn.Module,
    samples: TrainingSamples,
    progress: Progress,
    on_step: OnStep,
    stop: Stop,
    world: distributed.World,
) -> tuple[dict[str, float], float]:
    """One pass over the training split; returns the mean losses and the last learning rate."""
    train = samples.plan.train
    device = progress.network.device
    order = epoch_order(train.seed, progress.epoch, len(samples))
    steps = batches(order, train.batch_size)
    mine = [shards(batch, train.micro_batch, world.size)[world.rank] for batch in steps]
    flat = [piece for pieces in mine for piece in pieces]
    loaded = stream(samples, progress.epoch, flat, pin=device.type == "cuda")
    progress.network.train(frozen=train.backbone_lr == 0)
    sums: dict[str, torch.Tensor] = {}
    lr = 0.0
    for number, (batch, pieces) in enumerate(zip(steps, mine, strict=True)):
        if stop.asked:
            raise interrupted(stop, progress.epoch)
        factor = rate(train, progress.step, len(steps), progress.total * len(steps))
        lr = set_rate(progress.optimiser, factor)
        parts = _one_step(learner, list(islice(loaded, len(pieces))), len(batch), progress, samples)
        for name, value in parts.items():
            sums[name] = sums.get(name, 0) + value
        if looks(device.type, number + 1, len(steps)):
            loss = float(sum(sums.values())) / (number + 1)
            if not np.isfinite(loss):
                paths = ", ".join(samples.samples[int(i)].path for i in batch[:8])
                raise not_finite(progress.epoch + 1, number + 1, train.lr, paths)
            on_step(progress.epoch + 1, number + 1, len(steps), loss)
    return {name: float(value) / len(steps) for name, value in sums.items()}, lr


def _one_step(
    learner: nn.Module,
    pieces: list[Batch],
    count: int,
    progress: Progress,
    samples: TrainingSamples,
) -> dict[str, torch.Tensor]:
    """Adds up the gradients of the micro-batches, clips them and moves the weights once."""
    train, device, world = samples.plan.train, progress.network.device, distributed.world()
    parts: dict[str, torch.Tensor] = {}
    for number, piece in enumerate(pieces):
        here = number * world.size + world.rank
        torch.manual_seed(seed_for(train.seed, "step", progress.epoch, progress.step, here))
        moved = piece.to(device)
        share = len(moved.images) / count
        with progress.network.autocast(device):
            losses = learner(moved.images, moved.targets)
        total = torch.stack(list(losses.values())).sum() * share * world.size
        total.backward()  # type: ignore[no-untyped-call]
        for name, value in losses.items():
            parts[name] = parts.get(name, 0) + value.detach() * share * world.size
    if train.clip_norm:
        nn.utils.clip_grad_norm_(progress.network.net.parameters(), train.clip_norm)
    progress.optimiser.step()
    progress.optimiser.zero_grad(set_to_none=True)
    if progress.averaged is not progress.network:
        average(progress.averaged.net, progress.network.net, train.ema, progress.step)
    progress.step += 1
    return parts


def _validate(
    progress: Progress,
    plan: Plan,
    dataset: Dataset,
    world: distributed.World,
    trained: tuple[dict[str, float], float, float],
    on_epoch: OnEpoch,
) -> None:
    """Lets rank 0 score the averaged weights; keeps them where they are the best so far."""
    losses, lr, began = trained
    device = progress.network.device
    score = 0.0
    if world.leads:
        found = predictions(progress.averaged, images(dataset, "val"), device)
        seconds = time.monotonic() - began
        epoch = Epoch(progress.epoch, progress.total, seconds, losses, lr, found)
        score = on_epoch(epoch)
        progress.seconds += time.monotonic() - began
        if plan.budget_s is not None:
            each = progress.seconds / progress.epoch
            affordable = int((plan.budget_s - progress.seconds) / each)
            progress.total = min(progress.total, progress.epoch + max(0, affordable))
    score, total = distributed.agree([score, float(progress.total)])
    progress.total = int(total)
    if score > progress.best_score:
        progress.best_score, progress.best_epoch = score, progress.epoch
        state = progress.averaged.net.state_dict()
        progress.best = {name: t.detach().cpu().clone() for name, t in state.items()}


def _stale(progress: Progress, plan: Plan) -> bool:
    waited = progress.epoch - progress.best_epoch
    return bool(plan.train.patience) and waited >= plan.train.patience


def _save_bundle(progress: Progress, plan: Plan, dataset: Dataset, run: RunDir) -> None:
    network = progress.network
    bundles.save(
        run.model,
        bundles.Bundle(
            task=plan.task,
            engine="native",
            backbone=asdict(network.backbone),
            classes=dataset.classes,
            preprocess=network.preprocess,
            licence=network.backbone.licence,
            run=run.id,
            dataset_digest=dataset.digest,
            extra={
                "precision": network.precision,
                "batch_size": network.batch_size,
                **({"several_labels": True} if dataset.multi_label else {}),
            },
        ),
        progress.best,
    )
