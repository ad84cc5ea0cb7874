"""What ends a training early: a signal, numbers that are not finite, too little memory."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

from automl.engines.checkpoint import Checkpoint
from automl.engines.protocol import Event, OnEvent
from automl.errors import Interrupted, NumbersError
from automl.signals import Stop

T = TypeVar("T")

_NO_MEMORY = (
    "out of memory",
    "DefaultCPUAllocator",
    "_STATUS_ALLOC_FAILED",
    "_ALLOCATION_FAILED",
    "_STATUS_NOT_INITIALIZED",
    "CUDNN_STATUS_INTERNAL_ERROR",
    "nable to find an engine to execute this computation",
)
"""What CUDA, PyTorch's allocator on the CPU, cuDNN and cuBLAS say: also where they had no memory
for what they set up (pytorch#81620)."""


class StopRequested(Exception):
    """A signal came during work that is repeated as a whole, such as a validation."""


def check_stop(stop: Stop) -> None:
    """StopRequested where a signal has come."""
    if stop.asked:
        raise StopRequested


def until_stopped(items: Iterable[T], stop: Stop) -> Iterator[T]:
    """The items, with StopRequested between them as soon as a signal has come."""
    for item in items:
        check_stop(stop)
        yield item


def interrupted(stop: Stop, finished: int) -> Interrupted:
    """A signal asked to stop; says how many finished epochs are kept."""
    few = {0: "nothing to save yet", 1: "1 finished epoch is saved"}
    kept = few.get(finished, f"{finished} finished epochs are saved")
    return Interrupted(f"stopped by {stop.signal}; {kept}")


def interrupted_at(
    signal: str, epoch: int, step: int, steps: int, *, answered: bool = False
) -> Interrupted:
    """The same where the very step is kept; `epoch` counts finished ones, `step` those after.

    `answered`: the instant answer, which comes before the first step, is kept.
    """
    if answered and not (epoch or step):
        return Interrupted(f"stopped by {signal} after the instant answer; saved")
    if not (epoch or step):
        return Interrupted(f"stopped by {signal}; nothing to save yet")
    if not step:
        return Interrupted(f"stopped by {signal} after epoch {epoch}; saved")
    if step == steps:
        return Interrupted(f"stopped by {signal} before the validation of epoch {epoch + 1}; saved")
    return Interrupted(f"stopped by {signal} in epoch {epoch + 1}, step {step}; saved")


def tell_resumed(saved: Checkpoint, on_event: OnEvent) -> None:
    """Says from where training goes on, and which damaged checkpoints it passed over."""
    for fault in saved.passed_over:
        on_event(Event("checkpoint", f"{fault}; {saved.name} is used", {"damaged": fault}))
    where = f"after epoch {saved.epoch}" if saved.epoch else "after the instant answer"
    if saved.step:
        where = f"in epoch {saved.epoch + 1} after step {saved.step}"
    on_event(Event("resume", f"resume: {where}", {"epoch": saved.epoch, "step": saved.step}))


def not_finite(epoch: int, step: int, lr: float, where: str = "", what: str = "") -> NumbersError:
    """The loss, or `what`, is infinite or not a number; `epoch` and `step` count from 1."""
    return NumbersError(
        f"{what or 'the loss'} is not a finite number in epoch {epoch}, step {step}",
        where=where,
        hint=f"lower the learning rate, for example `--set train.lr={lr / 10:g}`",
    )


def bad_input(epoch: int, step: int, what: str, path: str) -> NumbersError:
    """An image or its annotation holds NaN or infinity."""
    return NumbersError(
        f"{what} holds what is not a finite number in epoch {epoch}, step {step}",
        where=path,
        hint="fix or remove this image and its annotation, then start a new run",
    )


def diverged(epoch: int, step: int, loss: float, best: float, lr: float) -> NumbersError:
    """The loss went far up and stayed there."""
    return NumbersError(
        f"the loss has diverged: {loss:.3g} in epoch {epoch}, step {step}, after {best:.3g}",
        hint=f"lower the learning rate, for example `--set train.lr={lr / 10:g}`",
    )


def no_memory(device: str) -> NumbersError:
    """Not even one image at once fits."""
    return NumbersError(
        f"out of memory on `{device}` with one image at once",
        hint="end what else holds its memory, or take smaller images (`train.image_size`), a "
        "smaller model or another device",
    )


def no_memory_together(micro_batch: int) -> NumbersError:
    """One of several processes ran out of memory; the others are within the step."""
    return NumbersError(
        f"out of memory with {micro_batch} images at once in one of several processes",
        hint=f"`--set train.micro_batch={max(1, micro_batch // 2)}`; the batch stays as it is",
    )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an accelerator, PyTorch on the CPU, or Python ran out of memory."""
    text = str(error)
    if isinstance(error, MemoryError):
        return True
    told = any(sign in text for sign in _NO_MEMORY)
    return isinstance(error, RuntimeError) and told
