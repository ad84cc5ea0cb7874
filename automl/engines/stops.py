"""What ends a training before its time: a signal, or a loss that is no number."""

from automl.engines.signals import Stop
from automl.errors import Interrupted, NumbersError

LOOK_EVERY = 10
"""Steps between looks at the loss on an accelerator, where each look waits for the device."""


def looks(device: str, step: int, steps: int) -> bool:
    """Whether to look at the loss after this step of an epoch; steps count from 1."""
    return device == "cpu" or step in (1, steps) or step % LOOK_EVERY == 0


def interrupted(stop: Stop, finished: int) -> Interrupted:
    """A signal asked to stop; says how many finished epochs are kept."""
    few = {0: "nothing to save yet", 1: "1 finished epoch is saved"}
    kept = few.get(finished, f"{finished} finished epochs are saved")
    return Interrupted(f"stopped by {stop.signal}; {kept}")


def not_finite(epoch: int, step: int, lr: float, where: str = "") -> NumbersError:
    """The loss is infinite or not a number; `epoch` and `step` count from 1."""
    return NumbersError(
        f"the loss is not a finite number in epoch {epoch}, step {step}",
        where=where,
        hint=f"lower the learning rate, for example `--set train.lr={lr / 10:g}`",
    )
