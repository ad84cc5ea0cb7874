"""The journal: events in, one JSON line each, never rewritten. It is the truth of a run."""

import json
import os
from datetime import UTC, datetime
from io import RawIOBase
from pathlib import Path
from typing import Any

from automl.errors import DataError
from automl.files import cannot_write

EVENTS = (
    *("start", "resume", "checkpoint", "memory", "compile", "pace", "instant", "epoch", "enough"),
    *("tainted", "trained", "scores", "end"),
)
"""What a run writes. `start` comes with every process that trains, `resume` where it goes on from a
checkpoint, `checkpoint` where a damaged one was passed over, `memory` where memory ran out,
`compile` where the net could not be compiled, `pace` where a budget decides on the number of steps,
`tainted` where the data was changed meanwhile.
`instant` follows epoch 0, a head on frozen features; `enough` comes where training ends with it."""


class Journal:
    """Appends events to one file; a line is on the disk before `write` returns, or not at all."""

    def __init__(self, path: Path) -> None:
        """The file is made with the first event."""
        self.path = path

    def write(self, event: str, **fields: Any) -> None:
        """Appends one event with the time of day in UTC."""
        stamp = datetime.now(UTC).isoformat(timespec="milliseconds")
        text = json.dumps({"time": stamp, "event": event, **fields}, ensure_ascii=False)
        line = text.encode() + b"\n"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._append(line)
        except OSError as error:
            raise cannot_write("a line of the journal", self.path, error, len(line)) from error

    def _append(self, line: bytes) -> None:
        """Without a buffer, whose rest would be written when the file is closed."""
        with self.path.open("ab", buffering=0) as file:
            size = file.tell()
            if size and not _ends_with_newline(self.path):
                line = b"\n" + line  # a line that a crash cut short must not swallow this one
            try:
                _write_all(file, line)
                os.fsync(file.fileno())
            except OSError:
                file.truncate(size)
                raise


def read(path: Path) -> list[dict[str, Any]]:
    """All events in their order; a line that a crash cut short is left out."""
    if not path.is_file():
        return []
    events = []
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        event = _event(line)
        if event is not None:
            events.append(event)
        elif line.startswith(b"{") or not line:
            continue
        else:
            raise DataError(
                "not a journal: a line is no JSON object",
                where=f"{path}:{number}",
                hint="restore the file or remove the run",
            )
    return events


def milliseconds(event: dict[str, Any]) -> int:
    """When it happened, in milliseconds since 1970."""
    return round(datetime.fromisoformat(event["time"]).timestamp() * 1000)


def last_training(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The events of the training that made the model that is there now.

    Stages that are run one by one may train again in the same folder, each time with a `start`.
    A `start` that is not `anew`, or whose first epoch is not the first of all, goes on with the
    training before it.
    """
    first_epochs: list[tuple[int, int]] = []
    begun = 0
    for position, event in enumerate(events):
        if event["event"] == "start":
            begun = position
        elif event["event"] == "epoch" and (not first_epochs or first_epochs[-1][0] != begun):
            first_epochs.append((begun, event["epoch"]))
    for begun, number in reversed(first_epochs):
        if number <= 1 and not _goes_on(events, begun):
            return events[begun:]
    return events


def _goes_on(events: list[dict[str, Any]], begun: int) -> bool:
    """Whether a start says that it goes on and its training has left an epoch before it."""
    if events[begun].get("anew") is not False:
        return False
    for event in reversed(events[:begun]):
        if event["event"] == "epoch" or event.get("anew"):
            return bool(event["event"] == "epoch")
    return False


def epochs(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One event per epoch in order; after a resume the later one counts."""
    by_number = {e["epoch"]: e for e in events if e["event"] == "epoch"}
    return [by_number[number] for number in sorted(by_number)]


def told_epochs(events: list[dict[str, Any]]) -> set[int]:
    """The epochs that have a line since a training last began anew."""
    begun = [i for i, event in enumerate(events) if event["event"] == "start" and event.get("anew")]
    return {e["epoch"] for e in events[begun[-1] if begun else 0 :] if e["event"] == "epoch"}


def _write_all(file: RawIOBase, data: bytes) -> None:
    while data:
        data = data[file.write(data) or 0 :]


def _event(line: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if is_event(value) else None


def is_event(value: Any) -> bool:
    """Whether it has what every reader of events goes by."""
    if not isinstance(value, dict) or not isinstance(value.get("event"), str):
        return False
    try:
        datetime.fromisoformat(value["time"])
    except (KeyError, TypeError, ValueError):
        return False
    return value["event"] != "epoch" or isinstance(value.get("epoch"), int)


def _ends_with_newline(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
