"""A child process that decodes files for its parent: a request is a line of JSON, so is an answer.

Bad bytes can crash a decoder, make it eat memory or never end. Here that costs this process alone:
its memory and the processor time of each file are limited, and the parent starts another one.
"""

import json
import os
import resource
import select
import signal
import sys
import time
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any

MEMORY = 1_250_000_000
"""With its libraries, its parent and a worker beside it, the tree stays below 1.5 GB."""

SECONDS = 10.0
"""Processor time for one file; time spent waiting for others does not count."""

TOGETHER_S = 0.1
"""Answers wait so long for the next ones."""

IDLE_S = 20.0
"""A worker that nobody asks for so long ends by itself."""


def serve() -> None:
    """Answers until the parent is gone or silent."""
    _limit()
    import cv2

    cv2.setNumThreads(1)
    warnings.simplefilter("ignore")
    requests = sys.stdin.buffer
    while select.select([requests], [], [], IDLE_S)[0]:
        line = requests.readline()
        if not line:
            return
        _batch(json.loads(line))


def _batch(jobs: list[dict[str, Any]]) -> None:
    """Tells answers together: to wake the parent for each would cost as much as hashing a file."""
    told, since = [], time.monotonic()
    for number, job in enumerate(jobs, start=1):
        signal.setitimer(signal.ITIMER_PROF, SECONDS)  # ends the process, in C code as well
        told.append(json.dumps(_answer(job)) + "\n")
        signal.setitimer(signal.ITIMER_PROF, 0)
        if number == len(jobs) or time.monotonic() - since > TOGETHER_S:
            sys.stdout.buffer.write("".join(told).encode("ascii"))
            sys.stdout.buffer.flush()
            told, since = [], time.monotonic()


def _limit() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides when to end
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    most = MEMORY if hard == resource.RLIM_INFINITY else min(MEMORY, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (most, hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.environ["OMP_NUM_THREADS"] = "1"


def _answer(job: dict[str, Any]) -> dict[str, Any]:
    """Facts with the file's own marks, or the fault and its kind."""
    from automl.data.images import ImageFacts, MaskFacts, image_facts, mask_facts, raw
    from automl.data.mask_per_object import object_facts
    from automl.errors import AutomlError

    path = Path(job["path"])
    try:
        before = mark(path)
        colours = tuple(tuple(colour) for colour in job["colours"])
        kind, frame = job["kind"], job["frame"]
        found: ImageFacts | MaskFacts
        if kind == "image":
            found = image_facts(path, frame)
        else:
            found = (
                object_facts(path, frame) if kind == "object" else mask_facts(path, colours, frame)
            )
        same = before is not None and before == mark(path)
        return {"facts": raw(found), "mark": before if same else None}
    except AutomlError as error:
        fault = error.faults[0]
        return {"fault": asdict(fault), "exit": error.exit_code}
    except MemoryError:
        fault_ = {"message": "takes too much memory", "where": "", "hint": "cut it into tiles"}
        return {"fault": fault_, "exit": 2}


def mark(path: Path) -> list[int] | None:
    """What changes when a file is written to: size, times, and which file it is."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    times = [found.st_mtime_ns, found.st_ctime_ns]
    return [found.st_size, *times, found.st_ino, found.st_dev]
