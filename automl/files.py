"""Text and JSON files of a run: there whole or not at all, and found damaged in one line."""

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from automl.errors import DataError, MachineError

_FULL = (errno.ENOSPC, errno.EDQUOT)
_CHUNK = 1 << 20

KINDS: dict[str, dict[str, Any]] = {
    "provenance.json": {
        **dict.fromkeys(("git", "program", "packages", "machine", "process", "weights"), dict),
        "restarts": list,
    },
    "metrics.json": {"primary": str, "split": str, "images": int},
    "evaluation.json": {
        **dict.fromkeys(("metrics", "intervals", "per_class", "details"), dict),
        **{"primary": str, "split": str, "per_image": list},
    },
    "profile.json": {"images": dict},
    "record.json": {"mlflow": dict, "dvc": dict},
    "model.json": {"weights": dict, "backbone": dict, "extra": dict},
}
"""Of the files that people look at, and tools like to rewrite: what their readers go by."""


def write_text(path: Path, text: str) -> None:
    r"""Writes UTF-8 beside the target and renames.

    Names of files that are not UTF-8 become escapes such as `\udcff`, which JSON reads back.

    A reader never sees half of it, and a file that is a link into a DVC cache is replaced instead
    of being written through.
    """
    write_parts(path, (text,))


def write_parts(path: Path, parts: Iterable[str]) -> None:
    """The same for a text that need not be in memory as a whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        with fresh.open("w", encoding="utf-8", errors="backslashreplace") as file:
            file.writelines(parts)
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
    if not isinstance(value, dict):
        return {}
    with told_as_damage(path, stage):
        for key, kind in KINDS.get(path.name, {}).items():
            if not isinstance(value.get(key), kind | None):
                raise TypeError(f"`{key}` is no {kind}")
    return value


def read_yaml(path: Path, stage: str) -> dict[str, Any]:
    """The same for YAML."""
    if not path.is_file():
        return {}
    import yaml

    with told_as_damage(path, stage):
        try:
            raw = yaml.safe_load(path.read_text(encoding="utf-8"))
        except yaml.YAMLError as error:
            raise ValueError(str(error)) from error
    return raw if isinstance(raw, dict) else {}


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


def write_synced(path: Path, parts: Iterable[bytes | memoryview]) -> tuple[int, str]:
    """Writes a new file that survives a power cut once this returns; its bytes and SHA-256."""
    digest, size = hashlib.sha256(), 0
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    try:
        for left in _gathered(parts):
            while left:
                written = os.write(descriptor, left)
                digest.update(left[:written])
                size, left = size + written, left[written:]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return size, digest.hexdigest()


def _gathered(parts: Iterable[bytes | memoryview]) -> Iterator[memoryview]:
    """The same bytes in fewer parts: thousands of small writes are slow."""
    small = bytearray()
    for part in parts:
        if len(small) + len(part) < _CHUNK:
            small += part
            continue
        yield memoryview(small)
        small = bytearray()
        yield memoryview(part)
    yield memoryview(small)


def cannot_write(what: str, path: Path, error: OSError, needed: int) -> MachineError:
    """The disk is full, read-only or broken; a full one is told with the bytes it takes."""
    if error.errno not in _FULL:
        return MachineError(
            f"cannot write {what}: {error.strerror or error}",
            where=str(path),
            hint="fix the disk or the permissions, then continue with `automl run --resume`",
        )
    return MachineError(
        f"the disk is full: {what} takes {needed:,} bytes, {free_bytes(path):,} are free",
        where=str(path),
        hint="make room, then continue with `automl run --resume`; what was saved before is intact",
    )


def free_bytes(path: Path) -> int:
    """What the disk of a path, which need not be there yet, has room for."""
    there = next((p for p in (path, *path.parents) if p.is_dir()), Path())
    return shutil.disk_usage(there).free
