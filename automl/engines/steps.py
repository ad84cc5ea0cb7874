"""One epoch of training steps.

Read top down: `train_epoch` runs the steps that are left of an epoch, `_train_step` does one of
them (gradients of its micro-batches, checks, update), and below are the cases in which an epoch
does not run straight through: a signal, a time budget, memory that does not suffice.

An epoch can begin at any step, for it may go on from a checkpoint. A batch is split into
micro-batches, and these among the processes of `torchrun`; their gradients add up to the same
update, whichever way it is split.
"""

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import nn

from automl.engines import distributed
from automl.engines.batch_shares import shares_of_batch
from automl.engines.divergence import StepRecord, check_input, is_checked
from automl.engines.loader import Batch, BatchStream, TrainingSamples
from automl.engines.network import BufferBackup
from automl.engines.optimiser import lr_factor, set_lr
from automl.engines.progress import Checkpointer, Progress
from automl.engines.protocol import Event, OnEvent, OnStep
from automl.engines.randomness import batches, epoch_order, micro_batches, seed_for
from automl.engines.recorded_schedule import Replay
from automl.engines.stop_reasons import (
    interrupted_at,
    is_out_of_memory,
    no_memory,
    no_memory_together,
)
from automl.engines.time_budget import TimeBudget
from automl.plan import Train
from automl.signals import Stop

Losses = dict[str, torch.Tensor]


class HalfUpdated(Exception):
    """Memory ran out during the optimiser's update: some weights are new, some are old."""


@dataclass(frozen=True)
class Session:
    """What stays the same during a training; what changes is in `Progress`.

    `learner` is the net with its loss, wrapped for several processes where there are any. `replay`
    holds what a reproduction repeats, `budget` the promised time, if there is one.
    """

    samples: TrainingSamples
    stream: BatchStream
    learner: nn.Module
    world: distributed.World
    stop: Stop
    checkpointer: Checkpointer
    on_step: OnStep
    on_event: OnEvent
    replay: Replay = Replay()
    budget: TimeBudget | None = None

    @property
    def train(self) -> Train:
        """The plan's training settings."""
        return self.samples.plan.train


def train_epoch(session: Session, progress: Progress) -> dict[str, float]:
    """Runs the steps that are left of the epoch; the mean of each part of the loss over it."""
    train = session.train
    order = epoch_order(train.seed, progress.epoch, len(session.samples))
    batches_of_epoch = batches(order, train.batch_size)
    set_train_mode(progress, train)
    buffers = BufferBackup(progress.network.net)
    while progress.step_in_epoch < progress.steps_this_epoch:
        _run_steps(session, progress, batches_of_epoch, buffers)
    progress.monitor.check_weights(progress.epoch + 1, progress.step_in_epoch)
    stop_if_requested(session, progress)
    return {name: float(v) / progress.step_in_epoch for name, v in progress.loss_sums.items()}


def set_train_mode(progress: Progress, train: Train) -> None:
    """Training mode for what learns in this epoch; no gradients for a backbone that is frozen."""
    frozen = train.backbone_lr == 0 or progress.epoch < train.frozen_epochs
    progress.network.train(frozen=frozen)
    learning = {id(p) for group in progress.optimiser.param_groups for p in group["params"]}
    for name, parameter in progress.network.net.named_parameters():
        if id(parameter) in learning and progress.network.stages[name] > 0:
            parameter.requires_grad_(not frozen)


def _run_steps(
    session: Session,
    progress: Progress,
    batches_of_epoch: list[np.ndarray],
    buffers: BufferBackup,
) -> None:
    """Steps until the epoch ends, or until the size of a micro-batch has to change."""
    device = progress.network.device
    position = (progress.epoch, progress.step_in_epoch)
    progress.micro_batch = session.replay.micro_batch(position, progress.micro_batch)
    end = session.replay.next_change(position, progress.steps_this_epoch)
    ahead = batches_of_epoch[progress.step_in_epoch : end]
    mine = [
        micro_batches(batch, progress.micro_batch, session.world.size)[session.world.rank]
        for batch in ahead
    ]
    loaded = session.stream.batches(progress.epoch, [part for parts in mine for part in parts])
    if session.budget:
        session.budget.start_step()
    for batch, parts in zip(ahead, mine, strict=True):
        _begin_step(session, progress)
        check = is_checked(device.type, progress.step_in_epoch + 1, progress.steps_per_epoch)
        check = check or (session.budget is not None and session.budget.knows_little)
        buffers.save()
        loaded_parts = list(islice(loaded, len(parts)))
        losses = _train_step(session, progress, loaded_parts, len(batch), check=check)
        if losses is None:
            buffers.restore()
            halve_micro_batch(progress, session.on_event)
            return
        progress.count_step(losses)
        if check:
            _report(session, progress)
        keep_budget(session, progress, settled=check)
        if progress.step_in_epoch >= progress.steps_this_epoch:  # the budget may have cut it short
            return


def _begin_step(session: Session, progress: Progress) -> None:
    """Stops or saves where that is due, and sets the learning rate."""
    stop_if_requested(session, progress)
    if session.checkpointer.is_due:
        session.checkpointer.save(progress)
    steps, total = progress.steps_per_epoch, progress.total_steps
    factor = lr_factor(session.train, progress.step, steps, total)
    progress.lr = set_lr(progress.optimiser, factor)


def _report(session: Session, progress: Progress) -> None:
    """Shows the step and the mean loss of the epoch so far."""
    done, steps = progress.step_in_epoch, progress.steps_this_epoch
    session.on_step(progress.epoch + 1, done, steps, float(sum(progress.loss_sums.values())) / done)


def _train_step(
    session: Session, progress: Progress, parts: list[Batch], images: int, *, check: bool
) -> Losses | None:
    """Updates the weights once; None, and no update, where the images do not fit into memory.

    `parts` are this process's micro-batches of a batch of so many `images`.
    """
    epoch, number = progress.epoch + 1, progress.step_in_epoch + 1
    for part in parts:
        check_input(part, epoch, number)
    losses = _unless_out_of_memory(
        session, lambda: _compute_gradients(session, progress, parts, images)
    )
    if losses is None:
        progress.optimiser.zero_grad(set_to_none=True)
        return None
    norm = nn.utils.get_total_norm([p.grad for p in progress.parameters if p.grad is not None])
    paths = [path for part in parts for path in part.paths]
    progress.monitor.record(StepRecord(epoch, number, losses, norm, paths))
    if check:
        progress.monitor.check()
    if _unless_out_of_memory(session, lambda: _update(session, progress, norm)) is None:
        raise HalfUpdated
    return losses


def _compute_gradients(
    session: Session, progress: Progress, parts: list[Batch], images: int
) -> Losses:
    """Adds up the gradients of the micro-batches, each weighted by its share of the batch.

    DistributedDataParallel takes the mean over the processes where a sum is wanted, hence the
    factor `world.size`. The losses are those of the whole batch, in every process.
    """
    world, device = session.world, progress.network.device
    sums: Losses = {}
    moved = [part.to(device) for part in parts]
    shares = shares_of_batch(session.learner, world, moved)
    for number, (part, share) in enumerate(zip(moved, shares, strict=True)):
        place = number * world.size + world.rank
        torch.manual_seed(
            seed_for(session.train.seed, "step", progress.epoch, progress.step, place)
        )
        of_images = len(part.images) / images
        with _gradient_sync(session, last=number + 1 == len(parts)):
            with progress.network.autocast(device):
                losses = session.learner(part.images, part.targets)
            weighted = {name: loss * share.get(name, of_images) for name, loss in losses.items()}
            total = torch.stack(list(weighted.values())).sum() * world.size
            total.backward()  # type: ignore[no-untyped-call]
        for name, value in weighted.items():
            sums[name] = sums.get(name, 0) + value.detach()
    return distributed.summed_each(sums)


def _gradient_sync(session: Session, *, last: bool) -> AbstractContextManager[Any]:
    """Processes exchange gradients once per step; the forward pass prepares it, so it is inside."""
    if last or not isinstance(session.learner, nn.parallel.DistributedDataParallel):
        return nullcontext()
    return session.learner.no_sync()


def _update(session: Session, progress: Progress, norm: torch.Tensor) -> Losses:
    """Clips the gradients, lets the optimiser step, and moves the averaged weights."""
    train = session.train
    # On a CPU the norm is at hand, and a factor of one need not be multiplied by.
    if train.clip_norm and (norm.device.type != "cpu" or norm > train.clip_norm):
        nn.utils.clip_grads_with_norm_(progress.parameters, train.clip_norm, norm)
    progress.optimiser.step()
    progress.optimiser.zero_grad(set_to_none=True)
    if progress.ema is not None:
        progress.ema.update(train.ema, progress.step)
    return {}


# A signal --------------------------------------------------------------------------------


def stop_if_requested(session: Session, progress: Progress) -> None:
    """Saves this very step and stops, in every process at the same one."""
    signal = distributed.first_text(session.stop.signal)
    if signal:
        save_and_stop(session, progress, signal)


def save_and_stop(session: Session, progress: Progress, signal: str) -> None:
    """Saves and raises Interrupted; no process leaves before the one that writes has done so."""
    session.checkpointer.save(progress)
    distributed.barrier()
    answered = progress.best_score > -math.inf
    raise interrupted_at(
        signal,
        progress.epoch,
        progress.step_in_epoch,
        progress.steps_this_epoch,
        answered=answered,
    )


# A time budget ---------------------------------------------------------------------------


def keep_budget(
    session: Session, progress: Progress, *, settled: bool | None = None, begins: bool = False
) -> None:
    """Sets the number of steps that the budget has time for; a reproduction repeats the recorded.

    `settled`, after a step: whether the device was waited for. The number that a training begins
    with, or goes on with, is recorded in any case.
    """
    if session.budget is None:
        return
    if settled is not None:
        session.budget.step_done(settled=settled)
    position = (progress.epoch, progress.step_in_epoch)
    if session.replay.ends:
        total = session.replay.total_steps(position, progress.total_steps)
    else:
        answered = progress.best_score > -math.inf
        total = session.budget.total_steps(
            *position, progress.total_steps, now=settled is None, answered=answered
        )
    total = int(distributed.from_first([float(total)])[0])
    if total == progress.total_steps and not begins:
        return
    before, progress.total_steps = progress.total_epochs, total
    facts = {"epoch": progress.epoch, "step": progress.step_in_epoch, "steps": total}
    text = f"budget: time for {progress.total_epochs} epochs instead of {before}"
    if total == 0:
        text = "budget: no time left to fine-tune; the instant answer is the model"
    changed = progress.total_epochs != before
    session.on_event(Event("pace", text if changed else "", facts))


# Too little memory -----------------------------------------------------------------------


def _unless_out_of_memory(session: Session, work: Callable[[], Losses]) -> Losses | None:
    """What the work returns, or None where memory ran out.

    Several processes cannot agree on smaller micro-batches within a step: there it is an error.
    """
    try:
        return work()
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        if session.world.size > 1:
            raise no_memory_together(session.train.micro_batch) from error
    return None


def halve_micro_batch(progress: Progress, on_event: OnEvent) -> int:
    """Half as many images at once, twice as often: the same batch and learning rate."""
    device, before = progress.network.device, progress.micro_batch
    if before == 1:
        raise no_memory(str(device))
    if device.type == "cuda":
        torch.cuda.empty_cache()
    progress.micro_batch = (before + 1) // 2
    epoch, step = progress.epoch + 1, progress.step_in_epoch + 1
    text = (
        f"out of memory with {before} images at once in epoch {epoch}, step {step}: goes on with "
        f"{progress.micro_batch} at once; batch and learning rate stay"
    )
    facts = {"epoch": epoch, "step": step, "micro_batch": progress.micro_batch, "was": before}
    on_event(Event("memory", text, facts))
    return progress.micro_batch
