"""Signals: SIGTERM, SIGINT and SIGUSR1 ask to stop; a second one leaves at once.

The command line listens while a verb runs. The first signal then raises `Stopped` in the main
thread: files are there whole or not at all, and every stage can be repeated. Inside of `held` and
`watch` it raises a flag only: what polls it brings its work to an end first.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
LEFT_AT_ONCE = 75
TOGETHER_S = 0.25
"""Signals closer than this are one wish: `make` and `timeout` pass on what the group gets too."""
TOGETHER_AMONG_SEVERAL_S = 3.0
"""The same below `torchrun`, which passes every signal on to its processes in its own time."""
LINGER_S = 20
"""How long a worker process goes on after a SIGTERM: the parent may still need its batches."""
AGAIN_S = 0.1
DROPPED_S = 3.0


class Stopped(KeyboardInterrupt):
    """Somebody asked to stop, and nothing had to be finished first."""


class Stop:
    """Whether somebody asked to stop, and by which signal."""

    def __init__(self) -> None:
        """Nobody has asked yet."""
        self.signal: str = ""
        self.raised = False
        """Whether work is being left: what fails from here on may be the library that was in it."""

    @property
    def asked(self) -> bool:
        """True from the first signal on."""
        return bool(self.signal)


class _Ears:
    """What hears the signals of this process: a handler in the main thread, and a thread.

    The handler has to wait for as long as the main thread is in a call of a library; the thread
    does not, so it is the one that counts the signals and leaves at the second.
    """

    def __init__(self) -> None:
        self.stop = Stop()
        self.holds = 0
        self.raised = 0.0
        self.forked_in_main = True
        self.own_pokes = 0
        self.main = threading.get_ident()
        self.before = {number: signal.getsignal(number) for number in SIGNALS}
        self.read_end, self.write_end = os.pipe()
        os.set_blocking(self.write_end, False)
        self.wakeup_before = signal.set_wakeup_fd(self.write_end, warn_on_full_buffer=False)
        for number in SIGNALS:
            signal.signal(number, self.handle)
        self.thread = threading.Thread(target=self.count, name="signals", daemon=True)
        self.thread.start()

    def handle(self, number: int, frame: FrameType | None) -> None:
        self.stop.signal = self.stop.signal or signal.Signals(number).name
        if not self.holds and not self.raised and not _fragile(frame):
            self.end()

    def end(self) -> None:
        """Raises; from here on the work is being left."""
        self.raised = time.monotonic()
        self.stop.raised = True
        raise Stopped(f"stopped by {self.stop.signal}")

    def count(self) -> None:
        """Runs in the thread, until a zero is sent."""
        first = 0.0
        together = TOGETHER_AMONG_SEVERAL_S if _among_several() else TOGETHER_S
        while number := _byte(self.read_end):
            if number not in SIGNALS:
                continue
            if self.own_pokes:
                self.own_pokes -= 1
            elif not first:
                first = time.monotonic()
                self.stop.signal = self.stop.signal or signal.Signals(number).name
                threading.Thread(target=self.insist, args=(number,), daemon=True).start()
            elif time.monotonic() - first > together:
                os._exit(LEFT_AT_ONCE)

    def insist(self, number: int) -> None:
        """Asks again where the first call fell into an import, which is not broken off."""
        while _ears is self and not self.raised:
            time.sleep(AGAIN_S)
            if _ears is self and not self.raised and not self.holds and not self.own_pokes:
                self.own_pokes += 1
                signal.pthread_kill(self.main, number)  # wakes it even from a sleep

    def close(self) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self.wakeup_before)
        os.write(self.write_end, b"\0")
        self.thread.join()
        for end in (self.read_end, self.write_end):
            os.close(end)


_ears: _Ears | None = None
_forks_are_followed = False


@contextmanager
def listening() -> Iterator[Stop]:
    """Listens while the block runs; within another such block there is one listener for both.

    Elsewhere than in the main thread nothing is heard.
    """
    global _ears, _forks_are_followed
    if not _in_main_thread():
        yield Stop()
        return
    if _ears is not None:
        yield _ears.stop
        return
    if not _forks_are_followed:
        os.register_at_fork(before=_before_fork, after_in_child=_in_child)
        _forks_are_followed = True
    ears = _ears = _Ears()
    try:
        yield ears.stop
    finally:
        _ears = None
        ears.close()


@contextmanager
def held() -> Iterator[None]:
    """What must not be broken off: a signal waits until the block is left."""
    ears = _ears
    if ears is None or not _in_main_thread():
        yield
        return
    ears.holds += 1
    try:
        yield
    except BaseException:
        if ears.stop.asked:  # the loop has seen the flag, and its own word is better
            ears.raised = time.monotonic()
        raise
    finally:
        ears.holds -= 1
    check()


@contextmanager
def watch() -> Iterator[Stop]:
    """For a loop that polls the flag, saves and ends by itself."""
    with listening() as stop, held():
        yield stop


@contextmanager
def starting_workers() -> Iterator[None]:
    """Worker processes that start in here hear no SIGTERM until they call `serve_parent`.

    Before that their library's own handler would end them.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def serve_parent() -> None:
    """For a worker process, after its library has set handlers of its own: the parent decides.

    A signal to the whole group would otherwise end the workers before the parent can save.
    """
    signal.signal(signal.SIGTERM, _soon)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])


def check() -> None:
    """Stops here if somebody asked to, and nothing is being finished first.

    A library may have dropped what the signal raised; what is being left is given time to clean up.
    """
    ears = _ears
    if ears is None or not ears.stop.asked or ears.holds or not _in_main_thread():
        return
    if not ears.raised or time.monotonic() - ears.raised > DROPPED_S:
        ears.end()


def leave_to_the_system() -> None:
    """For the way out of the program: any signal now ends it, without a word."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)


@contextmanager
def left_to_the_system() -> Iterator[None]:
    """For a wait inside of a library with nothing to save: any signal ends the process at once."""
    if not _in_main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    leave_to_the_system()
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _fragile(frame: FrameType | None) -> bool:
    """Whether the main thread imports a library or cleans up, where an exception is lost."""
    while frame is not None:
        code = frame.f_code
        if code.co_filename == "<frozen importlib._bootstrap>" or code.co_name == "__del__":
            return True
        frame = frame.f_back
    return False


def _byte(descriptor: int) -> int:
    read = os.read(descriptor, 1)
    return read[0] if read else 0


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _among_several() -> bool:
    return "TORCHELASTIC_RUN_ID" in os.environ


def _before_fork() -> None:
    if _ears is not None:
        _ears.forked_in_main = _in_main_thread()
        if sys.platform == "linux":
            import ctypes  # noqa: F401  a child must not import: another thread may hold the lock


def _in_child() -> None:
    """A forked worker leaves the answer to its parent, and never outlives it."""
    global _ears
    ears, _ears = _ears, None
    if ears is None:
        return
    signal.set_wakeup_fd(-1)
    for end in (ears.read_end, ears.write_end):
        os.close(end)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    for number in (signal.SIGINT, signal.SIGUSR1):
        signal.signal(number, _not_now)
    signal.signal(signal.SIGTERM, _soon)
    if sys.platform == "linux" and ears.forked_in_main:
        import ctypes

        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)


def _not_now(number: int, frame: FrameType | None) -> None:
    """Handlers, unlike `SIG_IGN`, are not handed on to a program that is started from here."""


def _soon(number: int, frame: FrameType | None) -> None:
    signal.alarm(LINGER_S)
