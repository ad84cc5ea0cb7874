"""Every error that a user may meet: what, where, the cure, and the exit code of its kind."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong: `where` is a file, `file:line:column` or a URL, `hint` the cure."""

    message: str
    where: str = ""
    hint: str = ""
    brief: bool = False
    """One of many: shown on one line."""

    def lines(self) -> list[str]:
        """The fault as it is shown to a person."""
        if self.brief:
            return [": ".join(p for p in (one_line(self.where), self.message, self.hint) if p)]
        shown = [f"error: {self.message}"]
        if self.where:
            shown.append(f"  {self.where}")
        if self.hint:
            shown.append(f"hint: {self.hint}")
        return shown


def one_line(text: str) -> str:
    """A name as it can be shown: what is not printable, such as a line break, as an escape."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode()
        for c in text
    )


class AutomlError(Exception):
    """One or more faults with the exit code of their kind."""

    exit_code = 1

    def __init__(
        self, message: str, *, where: str = "", hint: str = "", faults: Sequence[Fault] = ()
    ) -> None:
        """Takes one fault by its parts, or many as `faults` (then `message` sums them up)."""
        super().__init__(message)
        self.faults = tuple(faults) or (Fault(message, where, hint),)


class RecipeError(AutomlError):
    """The recipe or a `--set` override is wrong."""

    exit_code = 2


class DataError(AutomlError):
    """The data cannot be used as it is."""

    exit_code = 2


class UsageError(AutomlError):
    """The arguments on the command line do not fit."""

    exit_code = 2


class MachineError(AutomlError):
    """Disk, permission, missing package, missing weights or missing device."""

    exit_code = 3


class NumbersError(AutomlError):
    """NaN, divergence, or out of memory with no way out."""

    exit_code = 4


class GateError(AutomlError):
    """The run is done, but its goal is not met."""

    exit_code = 5


class LockedError(AutomlError):
    """Another process works in this run folder."""

    exit_code = 6


class Interrupted(AutomlError):
    """Stopped by a signal after saving; run again to go on."""

    exit_code = 75
