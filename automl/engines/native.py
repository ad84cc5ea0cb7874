"""The native engine: our own loop over timm, torchvision and SMP models.

Read `train` top down: set up, then per epoch one pass, validation by the averaged weights, the
best kept, a checkpoint. A first epoch and a resumed one run through the same lines.
"""

import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import nn

from automl.clock import Clock
from automl.dataset import Dataset
from automl.engines import checkpoint as checkpoints
from automl.engines import distributed, instant, instant_dense, recorded_schedule
from automl.engines.divergence import Watch
from automl.engines.frames import Frames
from automl.engines.inference import predicted, predictions
from automl.engines.loader import TrainingSamples, augmented
from automl.engines.memory import keep_freed_memory
from automl.engines.network import Learner, Network, build_network, load_network, loss_settings
from automl.engines.optimiser import build_optimiser
from automl.engines.progress import Keeper, Progress
from automl.engines.protocol import Epoch, Event, OnEpoch, OnEvent, OnStep, Trained, unheard
from automl.engines.steps import Course, HalfUpdated, halved, keep_pace, leave, one_epoch
from automl.engines.stop_reasons import interrupted_at, tell_resumed
from automl.engines.time_budget import pace_of
from automl.model import bundle as bundles
from automl.plan import Plan
from automl.prediction import Prediction
from automl.run_dir import RunDir
from automl.signals import Stop, watch

__all__ = ["augmented", "predict", "train"]


BUNDLE_EVERY_S = 20.0
"""A better epoch becomes the run's model no sooner after the one before: writing takes time."""


class ValidationStopped(Exception):
    """A signal came during the validation."""


def train(  # noqa: PLR0913  as `Engine` has it
    plan: Plan,
    dataset: Dataset,
    run: RunDir,
    on_epoch: OnEpoch,
    on_step: OnStep,
    on_event: OnEvent = unheard,
    clock: Clock | None = None,
) -> Trained:
    """Trains what the plan says and leaves a bundle at `run.model`; resumes where it stopped."""
    torch.set_num_threads(plan.train.threads)
    keep_freed_memory()
    world = distributed.join()
    device = world.device(plan.device)
    samples = TrainingSamples(plan, dataset)
    keeper = Keeper(run.checkpoints, world.leads)
    fewer = plan.train.micro_batch
    with watch() as stop:
        while True:
            progress = _progress(plan, dataset, device, keeper, on_event)
            progress.micro_batch = min(progress.micro_batch, fewer)
            if instant.wanted(progress, plan):
                to = instant.Listeners(on_epoch, on_event, stop)
                began = clock.now() if clock else 0.0
                _instant_answer(progress, keeper, samples, run, to)
                if clock and plan.task == "classification":
                    clock.instant_s = clock.now() - began
            learner = _learner(progress.network, plan, dataset, device, world)
            repeated = recorded_schedule.read(run).in_steps(progress.steps)
            pace = pace_of(plan, dataset, progress.steps, clock)
            course = Course(
                samples, learner, world, stop, keeper, on_step, on_event, repeated, pace
            )
            try:
                _epochs(course, progress, plan, dataset, run, on_epoch)
                break
            except HalfUpdated:
                fewer = halved(progress, on_event)
            del progress, learner, course  # room for the next ones
    if world.leads:
        _save_bundle(progress, plan, dataset, run)
    distributed.wait()
    stopped_early = progress.epoch < max(1, progress.total)
    return Trained(run.model, progress.best_epoch, progress.epoch, stopped_early)


def predict(
    bundle: Path, images: Iterable[tuple[str, np.ndarray]], device: str
) -> Iterator[Prediction]:
    """Predicts upright RGB images (`uint8 [H, W, 3]`) by the bundle alone, in their order."""
    network = load_network(bundle, torch.device(device))
    return predictions(network, images, torch.device(device))


def _progress(
    plan: Plan, dataset: Dataset, device: torch.device, keeper: Keeper, on_event: OnEvent
) -> Progress:
    """The first weights, or the newest checkpoint where there is one."""
    network = build_network(plan, dataset, device)
    averaged = network.copy() if plan.train.ema else network
    optimiser = build_optimiser(network.net, network.stages, plan.train, device)
    numbers, train = Watch(network.net, plan.train), plan.train
    steps = -(-len(dataset.split("train")) // train.batch_size)
    progress = Progress(
        network, averaged, optimiser, numbers, steps, steps * train.epochs, train.micro_batch
    )
    saved = checkpoints.newest(keeper.folder)
    if saved is not None:
        progress.restore(saved)
        keeper.saved = (saved.epoch, saved.step)
        tell_resumed(saved, on_event)
    return progress


def _instant_answer(
    progress: Progress,
    keeper: Keeper,
    samples: TrainingSamples,
    run: RunDir,
    to: instant.Listeners,
) -> None:
    """Epoch 0, by the process that leads; the others get the head with the rest of the weights."""
    plan, dataset = samples.plan, samples.dataset
    drawn = instant.last_layer(progress.network)
    score, signal = _answer(progress, samples, to) if keeper.leads else (None, "")
    if signal := distributed.share(signal):
        raise interrupted_at(signal, 0, 0, 1)
    there, score = distributed.agree([float(score is not None), score or 0.0])
    if not there:
        return
    progress.keep_best(score, 0)
    if keeper.leads:
        _save_bundle(progress, plan, dataset, run)
    if why := instant.enough(plan, score, len(dataset.split("val"))):
        progress.end = 0
        _tell_enough(to.on_event, why)
    elif keeper.leads:
        instant.begin(progress, samples, drawn, to.on_event)
    keeper.saved = (-1, -1)
    keeper.save(progress)
    distributed.wait()


def _answer(
    progress: Progress, samples: TrainingSamples, to: instant.Listeners
) -> tuple[float | None, str]:
    """Its score, if any, or the signal that came before it."""
    try:
        if samples.plan.task == "classification":
            return instant.answer(progress, samples.plan, samples.dataset, to), ""
        return instant_dense.answer(progress, samples, to), ""
    except instant.AnswerStopped:
        return None, to.stop.signal


def _tell_enough(on_event: OnEvent, why: str) -> None:
    on_event(Event("enough", f"ends with the instant answer: {why}", {"because": why}))


def _learner(
    network: Network,
    plan: Plan,
    dataset: Dataset,
    device: torch.device,
    world: distributed.World,
) -> nn.Module:
    learner = Learner(network, loss_settings(plan, dataset, device))
    if plan.train.compile:
        network.net.compile()  # in place: names of weights, and copies, stay as they are
    if world.size == 1:
        return learner
    return nn.parallel.DistributedDataParallel(
        learner, find_unused_parameters=plan.train.frozen_epochs > 0, gradient_as_bucket_view=True
    )


def _epochs(
    course: Course,
    progress: Progress,
    plan: Plan,
    dataset: Dataset,
    run: RunDir,
    on_epoch: OnEpoch,
) -> None:
    """Each: a pass, a validation, a checkpoint, and the bundle where it is the best so far."""
    bundled = -math.inf
    frames = Frames(dataset, dataset.split("val"), progress.network.preprocess)
    if _goes_on(progress, plan):
        keep_pace(course, progress, begins=True)
    while _goes_on(progress, plan):
        losses = one_epoch(course, progress)
        _validate(course, progress, losses, frames, on_epoch)
        course.samples.frames.tell_shortage(course.on_event)
        whole = progress.at == progress.steps
        progress.end_epoch()
        course.keeper.save(progress)
        better = progress.best_epoch == progress.epoch
        if course.world.leads and better and time.monotonic() - bundled >= BUNDLE_EVERY_S:
            _save_bundle(progress, plan, dataset, run)
            bundled = time.monotonic()
        distributed.wait()
        if course.pace and whole:
            course.pace.ended()
            keep_pace(course, progress)
        if instant.unbeaten(progress, plan):
            why = f"none of the first {progress.epoch} epochs scored above it"
            _tell_enough(course.on_event, why)


def _validate(
    course: Course,
    progress: Progress,
    losses: dict[str, float],
    frames: Frames,
    on_epoch: OnEpoch,
) -> None:
    """Lets rank 0 score the averaged weights; keeps them where they are the best so far."""
    score, signal = 0.0, ""
    if course.world.leads:
        progress.tick()
        found = predicted(progress.averaged, frames.fitted(), progress.network.device)
        epoch = Epoch(
            number=progress.epoch + 1,
            total=progress.total,
            seconds=progress.epoch_seconds,
            losses=losses,
            learning_rate=progress.lr,
            predictions=_until(course.stop, found),
        )
        try:
            score = on_epoch(epoch)
        except ValidationStopped:
            signal = course.stop.signal
        progress.tick()
    if signal := distributed.share(signal):
        leave(course, progress, progress.at, signal)
    progress.keep_best(distributed.agree([score])[0], progress.epoch + 1)


def _until(stop: Stop, found: Iterable[Prediction]) -> Iterator[Prediction]:
    """The predictions, for as long as nobody asks to stop."""
    for prediction in found:
        if stop.asked:
            raise ValidationStopped
        yield prediction


def _goes_on(progress: Progress, plan: Plan) -> bool:
    """Whether epochs are left, and hope for a better score."""
    waited = progress.epoch - progress.best_epoch
    impatient = bool(plan.train.patience) and waited >= plan.train.patience
    return progress.epoch < progress.total and not (impatient or instant.unbeaten(progress, plan))


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
                **({} if dataset.frame is None else {"frame": dataset.frame}),
            },
        ),
        progress.best,
    )
