"""The native engine: our own training loop over timm, torchvision and SMP models.

Read it in this order: `train` sets up and calls `_train_epochs`, whose every round is one pass
over the training split (`steps.train_epoch`), a validation of the averaged weights, and mostly a
checkpoint. What changes meanwhile is in `progress.Progress`, what does not in `steps.Session`. A
first epoch and a resumed one run through the same lines.
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
from automl.engines.compilation import compile_net
from automl.engines.divergence import LossMonitor
from automl.engines.frames import Frames
from automl.engines.inference import predicted, predictions
from automl.engines.instant_pace import instant_pace
from automl.engines.loader import BatchStream, TrainingSamples, augmented
from automl.engines.memory import keep_freed_memory
from automl.engines.network import Learner, Network, build_network, load_network, loss_settings
from automl.engines.optimiser import build_optimiser
from automl.engines.progress import Checkpointer, Progress
from automl.engines.protocol import Epoch, Event, OnEpoch, OnEvent, OnStep, Trained, ignore_event
from automl.engines.steps import (
    HalfUpdated,
    Session,
    halve_micro_batch,
    keep_budget,
    save_and_stop,
    train_epoch,
)
from automl.engines.stop_reasons import StopRequested, interrupted_at, tell_resumed, until_stopped
from automl.engines.time_budget import time_budget_of
from automl.engines.torch_state import let_cudnn_choose
from automl.model import bundle as bundles
from automl.plan import Plan
from automl.prediction import Prediction
from automl.run_dir import RunDir
from automl.signals import watch

__all__ = ["augmented", "predict", "train"]


BUNDLE_EVERY_S = 20.0
"""A better epoch becomes the run's model no sooner after the one before: writing takes time."""


def train(  # noqa: PLR0913  as `Engine` has it
    plan: Plan,
    dataset: Dataset,
    run: RunDir,
    on_epoch: OnEpoch,
    on_step: OnStep,
    on_event: OnEvent = ignore_event,
    clock: Clock | None = None,
) -> Trained:
    """Trains what the plan says and leaves a bundle at `run.model`; resumes where it stopped."""
    torch.set_num_threads(plan.train.threads)
    keep_freed_memory()
    world = distributed.join_group()
    device = world.device(plan.device)
    let_cudnn_choose(device)
    samples = TrainingSamples(plan, dataset)
    promised, replay = plan.budget_s is not None, recorded_schedule.read(run)
    checkpointer = Checkpointer(run.checkpoints, world.leads, every_epoch=promised)
    most_at_once = plan.train.micro_batch
    batches = BatchStream(samples, pin=device.type == "cuda")
    with distributed.others_followed(), watch() as stop, batches as stream:
        while True:  # again from the newest checkpoint where memory ran out during an update
            progress = _first_or_saved(plan, dataset, device, checkpointer, on_event)
            progress.micro_batch = min(progress.micro_batch, most_at_once)
            pace = instant_pace(plan, clock, replay.instant_ends, on_event)
            if instant.is_wanted(progress, plan):
                callbacks = instant.Callbacks(on_epoch, on_step, on_event, stop, pace)
                began = clock.now() if clock else 0.0
                _instant_answer(progress, checkpointer, samples, run, callbacks)
                if clock:
                    clock.instant_s = clock.now() - began
            steps = progress.steps_per_epoch
            session = Session(
                samples,
                stream,
                _learner(progress.network, plan, dataset, world, on_event),
                world,
                stop,
                checkpointer,
                on_step,
                on_event,
                replay=replay.in_steps(steps),
                budget=time_budget_of(plan, dataset, steps, clock, judged_s=pace.judged_s),
            )
            try:
                _train_epochs(session, progress, run, on_epoch)
                break
            except HalfUpdated:
                most_at_once = halve_micro_batch(progress, on_event)
            del progress, session  # room for the next ones
    if world.leads:
        _save_bundle(progress, plan, dataset, run)
    distributed.barrier()
    stopped_early = progress.epoch < max(1, progress.total_epochs)
    return Trained(run.model, progress.best_epoch, progress.epoch, stopped_early)


def predict(
    bundle: Path, images: Iterable[tuple[str, np.ndarray]], device: str
) -> Iterator[Prediction]:
    """Predicts upright RGB images (`uint8 [H, W, 3]`) by the bundle alone, in their order."""
    network = load_network(bundle, torch.device(device))
    return predictions(network, images, torch.device(device))


def _train_epochs(session: Session, progress: Progress, run: RunDir, on_epoch: OnEpoch) -> None:
    """Each: a pass, a validation, mostly a checkpoint, and the bundle where it is the best."""
    plan, dataset = session.samples.plan, session.samples.dataset
    frames = Frames(dataset, dataset.split("val"), progress.network.preprocess)
    bundle_written = -math.inf
    if _goes_on(progress, plan):
        keep_budget(session, progress, begins=True)
    while _goes_on(progress, plan):
        losses = train_epoch(session, progress)
        _validate(session, progress, losses, frames, on_epoch)
        session.samples.frames.tell_shortage(session.on_event)
        whole = progress.step_in_epoch == progress.steps_per_epoch
        progress.end_epoch()
        session.checkpointer.epoch_done(progress)
        better = progress.best_epoch == progress.epoch
        if session.world.leads and better and time.monotonic() - bundle_written >= BUNDLE_EVERY_S:
            _save_bundle(progress, plan, dataset, run)
            bundle_written = time.monotonic()
        distributed.barrier()
        if session.budget and whole:
            session.budget.epoch_done()
            keep_budget(session, progress)
        if instant.unbeaten(progress, plan):
            why = f"none of the first {progress.epoch} epochs scored above it"
            _tell_enough(session.on_event, why)
    session.checkpointer.save(progress)


def _goes_on(progress: Progress, plan: Plan) -> bool:
    """Whether epochs are left, and hope for a better score.

    Patience waits for the fine-tuning: how long an instant answer, epoch 0, may stay the best is
    what `beat_instant_within` says. Full fine-tuning often falls below it at first.
    """
    waited = progress.epoch - progress.best_epoch
    patience = plan.train.patience if progress.best_epoch else 0
    impatient = bool(patience) and waited >= patience
    hopeless = impatient or instant.unbeaten(progress, plan)
    return progress.epoch < progress.total_epochs and not hopeless


def _validate(
    session: Session,
    progress: Progress,
    losses: dict[str, float],
    frames: Frames,
    on_epoch: OnEpoch,
) -> None:
    """Scores the averaged weights, in rank 0 alone, and keeps them where they are the best."""
    score, signal = 0.0, ""
    if session.world.leads:
        progress.tick()
        found = predicted(progress.averaged, frames.fitted(), progress.network.device)
        epoch = Epoch(
            number=progress.epoch + 1,
            total=progress.total_epochs,
            seconds=progress.epoch_seconds,
            losses=losses,
            learning_rate=progress.lr,
            predictions=until_stopped(found, session.stop),
        )
        try:
            score = on_epoch(epoch)
        except StopRequested:
            signal = session.stop.signal
        progress.tick()
    if signal := distributed.broadcast_text(signal):
        save_and_stop(session, progress, signal)
    progress.keep_best(distributed.from_first([score])[0], progress.epoch + 1)


def _first_or_saved(
    plan: Plan,
    dataset: Dataset,
    device: torch.device,
    checkpointer: Checkpointer,
    on_event: OnEvent,
) -> Progress:
    """The first weights, or the newest checkpoint where there is one."""
    network = build_network(plan, dataset, device)
    averaged = network.copy() if plan.train.ema else network
    optimiser = build_optimiser(network.net, network.stages, plan.train, device)
    monitor, train = LossMonitor(network.net, plan.train), plan.train
    steps = -(-len(dataset.split("train")) // train.batch_size)
    progress = Progress(
        network, averaged, optimiser, monitor, steps, steps * train.epochs, train.micro_batch
    )
    saved = checkpoints.newest(checkpointer.folder)
    if saved is not None:
        progress.restore(saved)
        checkpointer.saved = (saved.epoch, saved.step)
        tell_resumed(saved, on_event)
    return progress


def _learner(
    network: Network,
    plan: Plan,
    dataset: Dataset,
    world: distributed.World,
    on_event: OnEvent,
) -> nn.Module:
    """The net with its loss, compiled and wrapped for several processes as the plan asks."""
    learner = Learner(network, loss_settings(plan, dataset, network.device))
    if plan.train.compile and (why := compile_net(network.net, network.device)):
        on_event(Event("compile", f"the net is not compiled: {why}", {"because": why}))
    if world.size == 1:
        return learner
    return nn.parallel.DistributedDataParallel(
        learner, find_unused_parameters=plan.train.frozen_epochs > 0, gradient_as_bucket_view=True
    )


def _instant_answer(
    progress: Progress,
    checkpointer: Checkpointer,
    samples: TrainingSamples,
    run: RunDir,
    callbacks: instant.Callbacks,
) -> None:
    """Epoch 0, in rank 0 alone; the other ranks get its weights when the training begins."""
    plan, dataset = samples.plan, samples.dataset
    drawn = instant.last_layer(progress.network)
    score, signal = _answer(progress, samples, callbacks) if checkpointer.leads else (None, "")
    if signal := distributed.broadcast_text(signal):
        raise interrupted_at(signal, 0, 0, 1)
    found, score = distributed.from_first([float(score is not None), score or 0.0])
    if not found:
        return
    progress.keep_best(score, 0)
    if checkpointer.leads:
        _save_bundle(progress, plan, dataset, run)
    if why := instant.reason_to_end(plan, score, len(dataset.split("val"))):
        progress.total_steps = 0
        _tell_enough(callbacks.on_event, why)
    elif checkpointer.leads:
        instant.keep_better_head(progress, samples, drawn, callbacks.on_event)
    checkpointer.saved = (-1, -1)
    checkpointer.save(progress)
    distributed.barrier()


def _answer(
    progress: Progress, samples: TrainingSamples, callbacks: instant.Callbacks
) -> tuple[float | None, str]:
    """The score of the instant answer, if there is one, or the signal that came before it."""
    try:
        if samples.plan.task == "classification":
            return instant.answer(progress, samples.plan, samples.dataset, callbacks), ""
        return instant_dense.answer(progress, samples, callbacks), ""
    except StopRequested:
        return None, callbacks.stop.signal


def _tell_enough(on_event: OnEvent, why: str) -> None:
    on_event(Event("enough", f"training ends with the instant answer: {why}", {"because": why}))


def _save_bundle(progress: Progress, plan: Plan, dataset: Dataset, run: RunDir) -> None:
    """Writes the best weights so far as the run's model."""
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
                "device": network.device.type,
                **({"several_labels": True} if dataset.multi_label else {}),
                **({} if dataset.frame is None else {"frame": dataset.frame}),
            },
        ),
        progress.best_weights,
    )
