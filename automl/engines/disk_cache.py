"""What costs seconds to compute and is small to keep, in the user's cache folder; bounded.

Each entry is one file: the SHA-256 of what follows, then the bytes. An entry that is damaged,
half written or gone is as good as none, and one that cannot be written is no matter.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from automl.data.scan_cache import folder

LARGEST = 1_000_000_000
"""Bytes of all entries; those that were not used for longest go first."""

HEAD = hashlib.sha256().digest_size


def find(key: str) -> bytearray | None:
    """The bytes kept under a key, or None."""
    path = _path(key)
    if path is None:
        return None
    try:
        raw = bytearray(path.read_bytes())
        if hashlib.sha256(memoryview(raw)[HEAD:]).digest() != raw[:HEAD]:
            return None
        os.utime(path)
    except OSError:
        return None
    del raw[:HEAD]
    return raw


def holds(key: str) -> bool:
    """Whether there is an entry under a key; it may be damaged."""
    path = _path(key)
    return path is not None and path.exists()


def keep(key: str, data: bytes) -> None:
    """Keeps bytes under a key; two processes that do so at once leave a whole entry."""
    path = _path(key)
    if path is None or len(data) > LARGEST:
        return
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with fresh.open("wb") as file:
            file.write(hashlib.sha256(data).digest())
            file.write(data)
        fresh.replace(path)
        _bound(path.parent)
    except OSError:
        with suppress(OSError):
            fresh.unlink(missing_ok=True)


def _path(key: str) -> Path | None:
    place = folder()
    name = hashlib.sha256(key.encode("utf-8", "backslashreplace")).hexdigest()[:40]
    return place / "instant" / name if place else None


def _bound(place: Path) -> None:
    """Removes entries until the rest fits."""
    left = LARGEST
    for used, size, path in sorted(_entries(place), reverse=True):
        left -= size
        if left < 0 and used:
            path.unlink(missing_ok=True)


def _entries(place: Path) -> Iterator[tuple[float, int, Path]]:
    for path in place.iterdir():
        with suppress(FileNotFoundError):  # another process may bound the same folder
            about = path.stat()
            yield about.st_mtime, about.st_size, path
