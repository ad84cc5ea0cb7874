"""Text and JSON files of a run: there whole or not at all, and found damaged in one line."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from automl.errors import DataError


def write_text(path: Path, text: str) -> None:
    r"""Writes UTF-8 beside the target and renames.

    Names of files that are not UTF-8 become escapes such as `\udcff`, which JSON reads back.

    A reader never sees half of it, and a file that is a link into a DVC cache is replaced instead
    of being written through.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        fresh.write_text(text, encoding="utf-8", errors="backslashreplace")
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """One JSON document in UTF-8 with stable layout; NaN is refused."""
    write_text(path, to_json(value))


def to_json(value: Any) -> str:
    """What `write_json` writes."""
    return json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def read_json(path: Path, stage: str) -> Any:
    """What the `stage` has written, or None where it has not; DataError where it is damaged."""
    if not path.is_file():
        return None
    with told_as_damage(path, stage):
        return json.loads(path.read_text(encoding="utf-8"))


def read_object(path: Path, stage: str) -> dict[str, Any]:
    """The same for a mapping; empty where there is none."""
    value = read_json(path, stage)
    return value if isinstance(value, dict) else {}


@contextmanager
def told_as_damage(path: Path, stage: str) -> Iterator[None]:
    """Turns what a broken file of a run makes Python raise into one line with its cure."""
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(
            f"`{path.name}` is damaged, or was not written by automl",
            where=str(path),
            hint=f"`automl {stage}` writes it anew",
        ) from error


def sync(path: Path) -> None:
    """Makes a file's bytes, or the names in a folder, survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
