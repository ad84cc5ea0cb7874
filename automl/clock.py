"""The seconds of a run by stage: from the start of its command, over every attempt at it.

The time between a kill and the next attempt does not count. What is known is in `times.json` of
the run folder, renewed now and then, so that a kill loses no more than `BEAT_S`.
"""

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from automl.files import write_text

STAGES = ("start", "prepare", "plan", "train", "evaluate", "report", "record")
"""In their order; `start` is all before the first: the interpreter, imports, the recipe."""
BEAT_S = 5.0


class Clock:
    """Counts for one stage at a time; without a file it forgets."""

    def __init__(
        self,
        file: Path | None = None,
        *,
        age: float = 0.0,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Goes on from what the file says; `age` is how long the command has run by now.

        `setup_s`: what a training of this process took before its first step was done, without the
        `instant_s` of an instant answer, which depend on the images.
        """
        self._file, self._now = file, now
        self._stage, self._since = STAGES[0], now() - age
        self._kept = self._since + age
        self.seconds = _read(file)
        self.resumed = bool(self.seconds)
        self.setup_s: float | None = None
        self.instant_s = 0.0

    @property
    def spent(self) -> float:
        """Of all stages and attempts."""
        return sum(self.seconds.values()) + self._now() - self._since

    def now(self) -> float:
        """What this clock calls the time."""
        return self._now()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """What passes from here on is this one's, also after the block until the next stage."""
        self._count()
        self._stage = name
        try:
            yield
        finally:
            self.keep()

    def forget(self, stage: str) -> None:
        """A stage begins anew: what it and those behind it took before is of another run."""
        self._count()
        for name in STAGES[STAGES.index(stage) :]:
            self.seconds.pop(name, None)

    def passed(self) -> dict[str, float]:
        """Seconds by stage up to now."""
        self._count()
        return dict(self.seconds)

    def beat(self) -> None:
        """Keeps the count where that was not done for a while."""
        if self._now() - self._kept >= BEAT_S:
            self.keep()

    def keep(self) -> None:
        """Writes the file; where the disk is full, the run has other worries."""
        self._count()
        self._kept = self._since
        if self._file is not None and self._file.parent.is_dir():
            rounded = {name: round(value, 3) for name, value in self.seconds.items()}
            with suppress(OSError):
                write_text(self._file, json.dumps(rounded) + "\n")

    def _count(self) -> None:
        now = self._now()
        self.seconds[self._stage] = self.seconds.get(self._stage, 0.0) + now - self._since
        self._since = now


@contextmanager
def timed(file: Path, stage: str, clock: Clock | None) -> Iterator[Clock]:
    """A stage on the clock of the whole line; alone, on one that goes on from the stage before.

    A training may go on with one that was stopped, so it decides by itself what counts.
    """
    running = clock or Clock(file)
    if clock is None and stage != "train":
        running.forget(stage)
    with running.stage(stage):
        yield running


def process_age() -> float:
    """Seconds since this process was started; since this call where the system does not say it."""
    try:
        words = Path("/proc/self/stat").read_text(encoding="ascii", errors="replace")
        ticks = int(words.rpartition(")")[2].split()[19])
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, AttributeError):
        return 0.0
    return max(0.0, age)


def read(file: Path) -> dict[str, float]:
    """Seconds by stage, as far as they are kept."""
    return _read(file)


def _read(file: Path | None) -> dict[str, float]:
    """A damaged file counts for nothing: it is a measure, not a result."""
    try:
        raw = json.loads(file.read_text(encoding="utf-8")) if file else {}
    except (OSError, ValueError):
        return {}
    if not isinstance(raw, dict):
        return {}
    return {
        name: float(raw[name])
        for name in STAGES
        if isinstance(raw.get(name), int | float) and 0 <= raw[name] < 1e12
    }
