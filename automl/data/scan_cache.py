"""What earlier scans found, kept outside of the data: an unchanged file is not decoded again.

A file counts as unchanged while its path, size, times of change (of content and of inode), inode
and device are the same; the SHA-256 of its bytes is part of what is kept. A file that was changed
in the last two seconds before a scan is not kept: a clock may not tell two writes apart that
follow each other so closely. One file per set, replaced as a whole: two scans at once do no harm.
"""

import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import PIL

from automl.data.decoders import Answer, Job, facts_of
from automl.data.images import raw
from automl.data.worker import mark

VERSION = 6
"""Raise it whenever the facts of a file may come out differently."""

LARGEST = 1_000_000_000
"""Bytes of all that is kept; the oldest goes first."""

CLOSE_NS = 2_000_000_000


def folder() -> Path | None:
    """`AUTOML_CACHE`, or the user's own place; None where it is `off` or there is no such place."""
    named = os.environ.get("AUTOML_CACHE", "")
    if named:
        return None if named == "off" else Path(named)
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "automl"
    except RuntimeError:  # nobody's home
        return None


class ScanCache:
    """The kept facts of one set."""

    def __init__(self, root: Path) -> None:
        """Reads what is kept; what is damaged or of another version is as good as nothing."""
        self._began = time.time_ns()
        self._head = {"version": VERSION, "pillow": PIL.__version__, "root": str(root)}
        name = hashlib.sha256(str(root).encode("utf-8", "backslashreplace")).hexdigest()[:32]
        place = folder()
        self._path = place / "scan" / f"{name}.jsonl" if place else None
        self._known = _read(self._path, self._head) if self._path else {}

    def find(self, job: Job) -> Answer | None:
        """The facts of a file that has not changed since."""
        known = self._known.get(_key(job))
        if known is None or known.mark != _mark(job.path):
            return None
        return known

    def keep(self, answers: Mapping[Job, Answer]) -> None:
        """Writes the facts of this scan in place of those before; a full disk is no matter."""
        if self._path is None or all(self._known.get(_key(job)) for job in answers):
            return
        fresh = self._path.with_suffix(f".{os.getpid()}.new")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with fresh.open("w", encoding="ascii") as file:
                file.writelines(self._lines(answers))
            fresh.replace(self._path)
            _bound(self._path.parent)
        except OSError:
            with suppress(OSError):
                fresh.unlink(missing_ok=True)

    def _lines(self, answers: Mapping[Job, Answer]) -> Iterator[str]:
        yield json.dumps(self._head) + "\n"
        for job, answer in answers.items():
            if answer.facts and answer.mark and answer.mark[2] < self._began - CLOSE_NS:
                yield json.dumps([_key(job), answer.mark, raw(answer.facts)]) + "\n"


def _key(job: Job) -> str:
    return json.dumps([str(job.path), job.kind, job.colours, job.frame])


def _mark(path: Path) -> tuple[int, ...] | None:
    found = mark(path)
    return tuple(found) if found else None


def _read(path: Path, head: dict[str, Any]) -> dict[str, Answer]:
    """Facts are made of each line at once: the raw values of all would take twice the room."""
    try:
        with path.open(encoding="ascii") as file:
            if json.loads(file.readline()) != head:
                return {}
            return dict(map(_known, file))
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}


def _known(line: str) -> tuple[str, Answer]:
    key, seen, facts = json.loads(line)
    return key, Answer(facts_of(facts), mark=tuple(seen))


def _bound(place: Path) -> None:
    """Removes the sets that were scanned longest ago until the rest fits."""
    left = LARGEST
    found = [(p, p.stat()) for p in place.glob("*.jsonl")]
    for path, about in sorted(found, key=lambda pair: -pair[1].st_mtime_ns):
        left -= about.st_size
        if left < 0:
            path.unlink(missing_ok=True)
