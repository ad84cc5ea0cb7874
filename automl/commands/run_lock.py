"""A verb at work in a run folder: alone there, and whoever stops it is told how to go on."""

import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from automl.commands.terminal import leads, talk
from automl.errors import Interrupted
from automl.lock import locked
from automl.run_dir import RunDir


def command_line() -> str:
    """What was typed, as it can be typed again."""
    return shlex.join(["automl", *sys.argv[1:]])


@contextmanager
def working(run: RunDir, again: Callable[[], str] = command_line) -> Iterator[None]:
    """Holds the folder; `again` gives the command that goes on after a stop.

    Of the processes that `torchrun` starts the first one holds it for all.
    """
    with _told_how_to_go_on(again):
        if not leads():
            yield
            return
        with locked(run.root, command_line()) as note:
            if note:
                talk().say(note)
            yield


@contextmanager
def _told_how_to_go_on(again: Callable[[], str]) -> Iterator[None]:
    try:
        yield
    except (KeyboardInterrupt, Interrupted) as error:
        raise Interrupted(str(error) or "stopped", hint=f"continue with `{again()}`") from error
