"""The steps of an epoch: from any step on, stopped at any step, redone where memory runs out."""

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import nn

from automl.engines import distributed
from automl.engines.divergence import Step, check_input
from automl.engines.loader import Batch, TrainingSamples, stream
from automl.engines.optimiser import rate, set_rate
from automl.engines.progress import Keeper, Progress
from automl.engines.protocol import Event, OnEvent, OnStep
from automl.engines.randomness import batches, epoch_order, seed_for, shards
from automl.engines.recorded_schedule import Replay
from automl.engines.stop_reasons import (
    interrupted_at,
    is_out_of_memory,
    looks,
    no_memory,
    no_memory_together,
)
from automl.engines.time_budget import Pace
from automl.plan import Train
from automl.signals import Stop

Losses = dict[str, torch.Tensor]


class HalfUpdated(Exception):
    """Memory ran out while the weights were moved: some are new, some old."""


@dataclass(frozen=True)
class Course:
    """What stays the same during a training."""

    samples: TrainingSamples
    learner: nn.Module
    world: distributed.World
    stop: Stop
    keeper: Keeper
    on_step: OnStep
    on_event: OnEvent
    replay: Replay = Replay()
    pace: Pace | None = None


def one_epoch(course: Course, progress: Progress) -> dict[str, float]:
    """What is left of one pass over the training split, or of its part; the mean losses of it."""
    train = course.samples.plan.train
    order = epoch_order(train.seed, progress.epoch, len(course.samples))
    steps = batches(order, train.batch_size)
    freeze(progress, train)
    buffers = Buffers(progress.network.net)
    while progress.at < progress.due:
        _steps(course, progress, steps, buffers)
    progress.watch.look_at_weights(progress.epoch + 1, progress.at)
    leave_if_asked(course, progress, len(steps))
    return {name: float(value) / progress.at for name, value in progress.sums.items()}


def freeze(progress: Progress, train: Train) -> None:
    """Training mode for what learns in this epoch; no gradients for a backbone that does not."""
    frozen = train.backbone_lr == 0 or progress.epoch < train.frozen_epochs
    progress.network.train(frozen=frozen)
    learning = {id(p) for group in progress.optimiser.param_groups for p in group["params"]}
    for name, parameter in progress.network.net.named_parameters():
        if id(parameter) in learning and progress.network.stages[name] > 0:
            parameter.requires_grad_(not frozen)


def leave_if_asked(course: Course, progress: Progress, steps: int) -> None:
    """Saves this very position and stops, in every process at the same step."""
    signal = distributed.first_said(course.stop.signal)
    if signal:
        leave(course, progress, steps, signal)


def leave(course: Course, progress: Progress, steps: int, signal: str) -> None:
    """Saves and stops; nobody leaves before the one that saves has done so."""
    course.keeper.save(progress)
    distributed.wait()
    answered = progress.best_score > -math.inf
    raise interrupted_at(signal, progress.epoch, progress.at, steps, answered=answered)


def _steps(course: Course, progress: Progress, steps: list[np.ndarray], buffers: "Buffers") -> None:
    """Steps until the end of the epoch, or until fewer images at once, or fewer steps, must do."""
    samples, world, train = course.samples, course.world, course.samples.plan.train
    device = progress.network.device
    here = (progress.epoch, progress.at)
    progress.micro_batch = course.replay.micro_batch(here, progress.micro_batch)
    ahead = steps[progress.at : course.replay.until(here, progress.due)]
    mine = [shards(batch, progress.micro_batch, world.size)[world.rank] for batch in ahead]
    loaded = stream(
        samples, progress.epoch, [p for pieces in mine for p in pieces], pin=device.type == "cuda"
    )
    if course.pace:
        course.pace.begin()
    for batch, pieces in zip(ahead, mine, strict=True):
        leave_if_asked(course, progress, len(steps))
        if course.keeper.due:
            course.keeper.save(progress)
        factor = rate(train, progress.step, len(steps), progress.end)
        progress.lr = set_rate(progress.optimiser, factor)
        last = looks(device.type, progress.at + 1, len(steps))
        buffers.keep()
        parts = _one_step(course, progress, _taken(loaded, len(pieces)), len(batch), last)
        if parts is None:
            buffers.put_back()
            halved(progress, course.on_event)
            return
        for name, value in parts.items():
            progress.sums[name] = progress.sums.get(name, 0) + value
        progress.at += 1
        progress.step += 1
        if last:
            mean = float(sum(progress.sums.values())) / progress.at
            course.on_step(progress.epoch + 1, progress.at, progress.due, mean)
        keep_pace(course, progress, stepped=True)
        if progress.at >= progress.due:
            return


def keep_pace(
    course: Course, progress: Progress, *, stepped: bool = False, begins: bool = False
) -> None:
    """As many steps as the promised time allows; a reproduction takes as many as there were.

    The number that a training begins with, or goes on with, is told in any case.
    """
    if course.pace is None:
        return
    if stepped:
        course.pace.stepped()
    here = (progress.epoch, progress.at)
    if course.replay.ends:
        end = course.replay.end(here, progress.end)
    else:
        end = course.pace.end(*here, progress.end, due=not stepped)
    end = int(distributed.agree([float(end)])[0])
    if end == progress.end and not begins:
        return
    before, progress.end = progress.total, end
    facts = {"epoch": progress.epoch, "step": progress.at, "steps": end}
    text = f"budget: time for {progress.total} epochs instead of {before}"
    course.on_event(Event("pace", text if progress.total != before else "", facts))


def _one_step(
    course: Course, progress: Progress, pieces: list[Batch], count: int, look: bool
) -> Losses | None:
    """Moves the weights once, or not at all: None where the images do not fit into the memory."""
    number = progress.at + 1
    for piece in pieces:
        check_input(piece, progress.epoch + 1, number)
    parts = _spared(course, lambda: _gradients(course, progress, pieces, count))
    if parts is None:
        progress.optimiser.zero_grad(set_to_none=True)
        return None
    grads = [p.grad for p in progress.parameters if p.grad is not None]
    norm = nn.utils.get_total_norm(grads)
    paths = [path for piece in pieces for path in piece.paths]
    progress.watch.note(Step(progress.epoch + 1, number, parts, norm, paths))
    if look:
        progress.watch.look()
    if _spared(course, lambda: _update(course, progress, norm)) is None:
        raise HalfUpdated
    return parts


def _spared(course: Course, work: Callable[[], Losses]) -> Losses | None:
    """What the work returns, or None where memory ran out; several processes cannot agree on it."""
    try:
        return work()
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        if course.world.size > 1:
            raise no_memory_together(course.samples.plan.train.micro_batch) from error
    return None


def _update(course: Course, progress: Progress, norm: torch.Tensor) -> Losses:
    """Moves the weights along the gradients, and their average after them."""
    train = course.samples.plan.train
    # On a CPU the norm is at hand, and a factor of one need not be multiplied by.
    if train.clip_norm and (norm.device.type != "cpu" or norm > train.clip_norm):
        nn.utils.clip_grads_with_norm_(progress.parameters, train.clip_norm, norm)
    progress.optimiser.step()
    progress.optimiser.zero_grad(set_to_none=True)
    if progress.average is not None:
        progress.average.follow(train.ema, progress.step)
    return {}


def _gradients(course: Course, progress: Progress, pieces: list[Batch], count: int) -> Losses:
    """Adds up the gradients of the micro-batches; the losses by part."""
    train, world, device = course.samples.plan.train, course.world, progress.network.device
    parts: Losses = {}
    for number, piece in enumerate(pieces):
        here = number * world.size + world.rank
        torch.manual_seed(seed_for(train.seed, "step", progress.epoch, progress.step, here))
        moved = piece.to(device)
        share = len(moved.images) / count
        with progress.network.autocast(device):
            losses = course.learner(moved.images, moved.targets)
        total = torch.stack(list(losses.values())).sum() * share * world.size
        with _alone(course, last=number + 1 == len(pieces)):
            total.backward()  # type: ignore[no-untyped-call]
        for name, value in losses.items():
            parts[name] = parts.get(name, 0) + value.detach() * share * world.size
    return parts


def _alone(course: Course, *, last: bool) -> AbstractContextManager[Any]:
    """The processes add up their gradients once a step, with the last micro-batch."""
    if last or not isinstance(course.learner, nn.parallel.DistributedDataParallel):
        return nullcontext()
    return course.learner.no_sync()


def _taken(loaded: Iterator[Batch], count: int) -> list[Batch]:
    return list(islice(loaded, count))


def halved(progress: Progress, on_event: OnEvent) -> int:
    """Half as many images at once, twice as often: the same batch, the same learning rate."""
    device, before = progress.network.device, progress.micro_batch
    if before == 1:
        raise no_memory(str(device))
    if device.type == "cuda":
        torch.cuda.empty_cache()
    progress.micro_batch = (before + 1) // 2
    epoch, step = progress.epoch + 1, progress.at + 1
    text = (
        f"out of memory with {before} images at once in epoch {epoch}, step {step}: goes on with "
        f"{progress.micro_batch} at once; batch and learning rate stay"
    )
    facts = {"epoch": epoch, "step": step, "micro_batch": progress.micro_batch, "was": before}
    on_event(Event("memory", text, facts))
    return progress.micro_batch


class Buffers:
    """The statistics of a net, which its forward passes change, as they were before a step."""

    def __init__(self, net: nn.Module) -> None:
        """Copies nothing yet that counts."""
        self.live = list(net.buffers())
        self.kept = [buffer.clone() for buffer in self.live]

    @torch.no_grad()
    def keep(self) -> None:
        """Copies them."""
        if self.live:
            torch._foreach_copy_(self.kept, self.live)

    @torch.no_grad()
    def put_back(self) -> None:
        """Undoes what forward passes have added since."""
        if self.live:
            torch._foreach_copy_(self.live, self.kept)
