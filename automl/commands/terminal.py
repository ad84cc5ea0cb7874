"""The person at the terminal: talk and progress to stderr, results to stdout, faults as lines."""

import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TextIO

from automl.errors import AutomlError
from automl.signals import check
from automl.talk import Silent, Talk

REWRITE_S = 0.1
PLAIN_S = 30.0
"""How often a progress line moves on a terminal, and how often one is written elsewhere."""


class Terminal:
    """Talk on stderr: a progress line that rewrites itself, or a plain line now and then."""

    def __init__(
        self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Writes to stderr unless told otherwise."""
        self._stream = stream or sys.stderr
        self._clock = clock
        self._rewrites = self._stream.isatty()
        self._shown = 0
        self._label = ""
        self._began = self._last = 0.0

    def say(self, text: str) -> None:
        """One line, after the progress line is wiped."""
        from automl.record.secrets import without_secrets

        check()
        self._wipe()
        print(without_secrets(text), file=self._stream, flush=True)

    def progress(self, label: str, done: int, total: int, note: str = "") -> None:
        """Shows how far `label` is and how long the rest will take; stops if somebody asked to."""
        check()
        now = self._clock()
        if label != self._label:
            self._label, self._began = label, now
            self._last = -PLAIN_S if self._rewrites else now  # quick work leaves no plain line
        if done < total and now - self._last < (REWRITE_S if self._rewrites else PLAIN_S):
            return
        self._last = now
        line = _progress_line(label, done, total, note, now - self._began)
        if not self._rewrites:
            if done < total:
                print(line, file=self._stream, flush=True)
            return
        self._wipe()
        if done < total:
            self._shown = len(line)
            print(line, end="", file=self._stream, flush=True)

    def _wipe(self) -> None:
        if self._shown:
            print("\r\033[K", end="", file=self._stream)
            self._shown = 0


def _progress_line(label: str, done: int, total: int, note: str, seconds: float) -> str:
    left = seconds / done * (total - done) if done else 0.0
    parts = [f"{done}/{total}", note, f"{duration(left)} left" if left >= 1 else ""]
    return f"{label}: {', '.join(part for part in parts if part)}"[:110]


def duration(seconds: float) -> str:
    """`8 s`, `3 min 20 s`, `2 h 5 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def talk() -> Talk:
    """The terminal; silent in the processes that only help `torchrun`'s first one."""
    return Terminal() if leads() else Silent()


def leads() -> bool:
    """Whether this is the only process or the first of several."""
    return os.environ.get("RANK", "0") == "0"


def out(*lines: str) -> None:
    """Results for the person, or for a pipe."""
    for line in lines:
        print(line)


def out_json(value: Any) -> None:
    """Exactly one JSON document."""
    print(json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False, default=str))


def show_faults(error: AutomlError) -> None:
    """All faults of an error, each with its place and cure."""
    from automl.record.secrets import without_secrets

    for fault in error.faults:
        print(without_secrets("\n".join(fault.lines())), file=sys.stderr)


def show_fault(message: str, hint: str = "") -> None:
    """One fault that is no AutomlError."""
    show_faults(AutomlError(message, hint=hint))


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """Columns of text; numbers stand right, the last column may be as wide as it is."""
    body = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(line[i]) for line in [list(header), *body]) for i in range(len(header))]
    right = [bool(body) and all(_is_number(line[i]) for line in body) for i in range(len(header))]
    return [_aligned(line, widths, right) for line in [list(header), *body]]


def _aligned(line: list[str], widths: list[int], right: list[bool]) -> str:
    cells = zip(line, widths, right, strict=True)
    return "  ".join(c.rjust(w) if r else c.ljust(w) for c, w, r in cells).rstrip()


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).replace("-", "", 1).isdigit() or text in ("", "-")
