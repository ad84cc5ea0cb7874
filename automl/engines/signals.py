"""Signals as a flag: SIGTERM, SIGINT, SIGUSR1 ask the loop to stop, a second leaves at once."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
LEFT_AT_ONCE = 75


class Stop:
    """Whether somebody asked to stop, and by which signal."""

    def __init__(self) -> None:
        """Nobody has asked yet."""
        self.signal: str = ""

    @property
    def asked(self) -> bool:
        """True from the first signal on."""
        return bool(self.signal)

    def _handle(self, number: int, _: FrameType | None) -> None:
        if self.signal:
            os._exit(LEFT_AT_ONCE)
        self.signal = signal.Signals(number).name


@contextmanager
def watch() -> Iterator[Stop]:
    """Listens while the block runs; elsewhere than in the main thread the flag stays down."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.signal(number, stop._handle) for number in SIGNALS}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
