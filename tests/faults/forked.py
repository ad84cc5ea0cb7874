"""Command lines in processes of their own that need not import anything: forks of one server.

A fault is planted by an audit hook: Python tells it of every file that is opened, every rename,
every connection, so a signal can be sent at one exact moment of the work, again and again.
"""

import hashlib
import os
import signal
import sys
import time
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from fnmatch import fnmatch
from multiprocessing import get_context, set_start_method
from pathlib import Path
from types import FrameType

PRELOADED = (
    "torch", "torchvision", "timm", "cv2", "albumentations", "sklearn.metrics", "matplotlib",
    "automl.cli", "automl.pipeline", "automl.data.prepare", "automl.engines.native",
    "automl.engines.transforms", "automl.planning.rules", "automl.report.page",
    "tests.faults.forked",
)  # fmt: skip
forkserver = get_context("forkserver")
forkserver.set_forkserver_preload(list(PRELOADED))


@dataclass(frozen=True)
class Moment:
    """The `count`-th time that `event` happens to a path like `path` inside of `within`.

    `within` is the end of a file's name, or that and a function: `pipeline.py:plan`.
    """

    within: str
    path: str = "*"
    event: str = "open"
    count: int = 1


@dataclass(frozen=True)
class Fault:
    """What is done at a moment: a signal; `stuck` then leaves the main thread in a call of C."""

    moment: Moment
    signal: signal.Signals
    stuck: bool = False
    group: bool = False


class Ended:
    """A process as its test sees it."""

    def __init__(self, folder: Path, arguments: list[str], fault: Fault | None, **env: str) -> None:
        self.folder = folder
        self.said = folder / f"said-{time.monotonic_ns()}.txt"
        self.mark = self.said.with_suffix(".mark")
        task = (folder, arguments, fault, env, self.said, self.mark)
        self.process = forkserver.Process(target=_go, args=task)
        self.process.start()

    @property
    def pid(self) -> int:
        return self.process.pid or 0

    def reach(self, timeout: float = 120) -> None:
        """Waits for the moment of the fault."""
        until = time.monotonic() + timeout
        while not self.mark.exists():
            assert self.process.is_alive(), f"ended before its moment:\n{self.text}"
            assert time.monotonic() < until, f"never came to its moment:\n{self.text}"
            time.sleep(0.02)

    def wait(self, timeout: float = 120) -> int:
        """The exit code."""
        self.process.join(timeout)
        assert self.process.exitcode is not None, f"still there:\n{self.text}"
        return self.process.exitcode

    @property
    def text(self) -> str:
        """What it said on both streams."""
        return self.said.read_text() if self.said.exists() else ""

    @property
    def took(self) -> float:
        """Seconds from the fault to the end."""
        return self.said.stat().st_mtime - self.mark.stat().st_mtime


def automl(folder: Path, *arguments: object, fault: Fault | None = None, **env: str) -> Ended:
    """Starts `automl ARGUMENTS` in a folder."""
    return Ended(folder, [str(a) for a in arguments], fault, **env)


def done(folder: Path, *arguments: object, code: int = 0, **env: str) -> str:
    """The same, and waits; what it said."""
    process = automl(folder, *arguments, **env)
    assert process.wait() == code, process.text
    assert "Traceback" not in process.text
    return process.text


def _go(
    folder: Path,
    arguments: list[str],
    fault: Fault | None,
    env: dict[str, str],
    said: Path,
    mark: Path,
) -> None:
    """In the new process: what `python -m automl` does."""
    set_start_method("fork", force=True)  # what a fresh process has, for its own workers
    os.setpgid(0, 0)
    os.chdir(folder)
    for name in ("AUTOML_RUNS", "MLFLOW_TRACKING_URI"):
        os.environ.pop(name, None)
    os.environ.update({"AUTOML_CACHE": "off"} | env)  # every run decodes its images
    stream = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for number in (1, 2):
        os.dup2(stream, number)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", buffering=1) for number in (1, 2))
    sys.argv = ["automl", *arguments]
    if fault is not None:
        sys.addaudithook(_planted(fault, mark))
    from automl.cli import main

    try:
        main()
    finally:
        os.utime(said)  # the time of the end


def _planted(fault: Fault, mark: Path):
    left, me = fault.moment.count, os.getpid()
    looking = False  # at the frames, which are events themselves

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal left, looking
        if not left or looking or not fnmatch(event, fault.moment.event):
            return
        if arguments and not fnmatch(str(arguments[0]), fault.moment.path):
            return
        looking = True
        inside = _inside(sys._getframe(), fault.moment.within)
        looking = False
        if not inside:
            return
        left -= 1
        if left:
            return
        os.close(os.open(mark, os.O_CREAT | os.O_WRONLY))
        send = os.killpg if fault.group else os.kill
        with suppress(KeyboardInterrupt) if fault.stuck else nullcontext():
            send(me, fault.signal)
        if fault.stuck:
            with suppress(KeyboardInterrupt):
                hashlib.pbkdf2_hmac("sha256", b"", b"", 500_000_000)

    return hook


def _inside(frame: FrameType | None, within: str) -> bool:
    file, _, function = within.partition(":")
    while frame is not None:
        code = frame.f_code
        if code.co_filename.endswith(file) and function in ("", code.co_name):
            return True
        frame = frame.f_back
    return False
