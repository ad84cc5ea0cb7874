"""Files to facts by child processes: one that dies costs one file, and is replaced."""

import atexit
import json
import os
import queue
import select
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import automl
from automl.data.fingerprint import Fingerprint
from automl.data.frame import Frame
from automl.data.images import ImageFacts, MaskFacts
from automl.data.pixels import Colours
from automl.errors import Fault

SILENCE_S = 60.0
"""Seconds without an answer after which a worker is given up: a disk that hangs, not a decoder."""

BATCH = 24
"""Files per request: a worker need not wait for its next one, and the rest is spread evenly."""

MOST_WORKERS = 32
_BOOT = "import sys; sys.path.append(sys.argv[1]); from automl.data.worker import serve; serve()"
"""What is asked for comes first in the path, the current folder not at all: it may be hostile."""

Facts = ImageFacts | MaskFacts


@dataclass(frozen=True, slots=True)
class Job:
    """One file to decode."""

    path: Path
    kind: str
    """`image`, `mask` or `object`."""
    colours: Colours = ()
    frame: Frame | None = None

    def asked(self) -> dict[str, Any]:
        """As a worker is told of it."""
        known = {name: getattr(self, name) for name in self.__slots__}
        return {**known, "path": str(self.path)}


@dataclass(frozen=True, slots=True)
class Answer:
    """Facts or a fault; `mark` is that of the very bytes that were decoded, if they stood still."""

    facts: Facts | None = None
    fault: Fault | None = None
    machine: bool = False
    """The fault is the machine's: a missing right or package."""
    mark: tuple[int, ...] | None = None


def decode_all(jobs: Sequence[Job]) -> Iterator[tuple[Job, Answer]]:
    """Every job with its answer, in the order of the jobs."""
    batches = [jobs[at : at + BATCH] for at in range(0, len(jobs), BATCH)]
    if not batches:
        return
    pool = ThreadPoolExecutor(min(len(batches), cores(), MOST_WORKERS))
    try:
        for answered in pool.map(_batch, batches):
            yield from answered
    finally:
        pool.shutdown(cancel_futures=True)


def cores() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def facts_of(raw: dict[str, Any]) -> Facts:
    """Facts as JSON has kept them."""
    if "counts" in raw:
        return MaskFacts(**{**raw, "counts": {int(i): n for i, n in raw["counts"].items()}})
    return ImageFacts(
        **{
            **raw,
            "stored": tuple(raw["stored"]),
            "look": Fingerprint(**raw["look"]) if raw["look"] else None,
            "notes": tuple((code, reason) for code, reason in raw["notes"]),
        }
    )


class _Worker:
    """One child process and the pipes to it."""

    def __init__(self) -> None:
        self.unread = b""
        package = str(Path(automl.__file__).resolve().parents[1])
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", _BOOT, package],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        )

    def ask(self, jobs: Sequence[Job]) -> Iterator[dict[str, Any]]:
        """Answers as they come; ends early where the process dies."""
        request = [j.asked() for j in jobs]
        stdin = self.process.stdin
        if stdin is None:
            return
        try:
            line = memoryview(json.dumps(request).encode("ascii") + b"\n")
            while line:
                line = line[stdin.write(line) or 0 :]
        except OSError:
            return
        for _ in jobs:
            answer = self._line()
            if not answer.endswith(b"\n"):
                return
            yield json.loads(answer)

    def _line(self) -> bytes:
        """The next line; without its end where there will be no more."""
        stdout = self.process.stdout
        while stdout is not None and b"\n" not in self.unread:
            if not select.select([stdout], [], [], SILENCE_S)[0]:
                break
            more = os.read(stdout.fileno(), 1 << 16)
            if not more:
                break
            self.unread += more
        line, end, self.unread = self.unread.partition(b"\n")
        return line + end

    def end(self) -> int:
        """Kills it; the exit status, below zero for a signal."""
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                with suppress(OSError):
                    pipe.close()
        if self.process.poll() is None:
            try:  # one that is dying by itself tells why
                self.process.wait(0.5)
            except subprocess.TimeoutExpired:
                self.process.kill()
        return self.process.wait()


_idle: "queue.SimpleQueue[_Worker]" = queue.SimpleQueue()
_lock = threading.Lock()


def _borrow() -> _Worker:
    while True:
        try:
            worker = _idle.get_nowait()
        except queue.Empty:
            with _lock:  # two at once would inherit each other's pipes
                return _Worker()
        if worker.process.poll() is None:
            return worker
        worker.end()


@atexit.register
def end_workers() -> None:
    """Ends those that wait for work."""
    while not _idle.empty():
        with suppress(queue.Empty):
            worker = _idle.get_nowait()
            worker.process.kill()
            worker.end()


def _batch(jobs: Sequence[Job]) -> list[tuple[Job, Answer]]:
    """Asks one worker; where it dies, with answers that it held back, the rest is asked singly."""
    answers: list[Answer] = []
    singly = ended = False
    while len(answers) < len(jobs):
        rest = jobs[len(answers) :]
        asked = rest[:1] if singly else rest
        worker = _borrow()
        told = [_answer(raw) for raw in worker.ask(asked)]
        answers += told
        if len(told) == len(asked):
            _idle.put(worker)
            continue
        status = worker.end()
        if singly and (status or ended):  # one that had nothing to do ends by itself: once
            answers.append(_died(status))
        ended = singly and not status
        singly = True
    return list(zip(jobs, answers, strict=True))


def _died(status: int) -> Answer:
    import signal

    if status == -signal.SIGPROF:
        reason, hint = "takes more than 10 s to decode", "remove it, or save it anew"
    elif status in (-signal.SIGKILL, 0, 1):
        reason, hint = "its decoding did not end, or took too much memory", "remove it"
    else:
        reason, hint = f"crashes its decoder (signal {-status})", "remove it, or save it anew"
    return Answer(fault=Fault(reason, hint=hint))


def _answer(raw: dict[str, Any]) -> Answer:
    if "fault" in raw:
        return Answer(fault=Fault(**raw["fault"]), machine=raw["exit"] == 3)
    mark = tuple(raw["mark"]) if raw["mark"] else None
    return Answer(facts=facts_of(raw["facts"]), mark=mark)
