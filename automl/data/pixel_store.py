"""Decoded pixels on disk, shared between epochs, runs and trials: one file per set and geometry.

A file has a fixed place for each image of a set, and a check sum that says whether the place is
filled. What belongs there follows from the image's content alone, so it does not matter who writes
it, how often, or who is killed meanwhile: whatever does not fit its check sum is as good as absent.
Files are written by calls that can fail, never through the mapping, which a full disk would end.
"""

import hashlib
import json
import mmap
import os
import platform
import weakref
import zlib
from collections.abc import Sequence
from contextlib import suppress
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from automl.data.scan_cache import folder
from automl.files import free_bytes

VERSION = 1
"""Raise it whenever an image may come out differently."""

LARGEST = 20_000_000_000
"""Bytes of all files together; whole files go, those first that were opened longest ago."""

FREE_SHARE = 0.25
"""Of the free disk that one file may take; a training has two, for its two splits."""

LEFT_FREE = 5_000_000_000
"""Bytes of the disk that are never taken: the run needs room for its checkpoints."""

_FILLED = 1 << 32
_ENTRY = 8
_PAGE = 4096


class PixelStore:
    """The places of one set. `limit`: as many are filled as the disk has room for."""

    def __init__(self, path: Path, sizes: Sequence[int], limit: int) -> None:
        """Opens or makes the file; OSError where that cannot be done."""
        self.sizes = sizes
        self.starts = [0, *accumulate(sizes)]
        self.limit = limit
        self._head = -(-_ENTRY * len(sizes) // _PAGE) * _PAGE
        self._file = _opened(path, self._head + self.starts[-1])
        weakref.finalize(self, os.close, self._file)
        self._map = mmap.mmap(self._file, 0, access=mmap.ACCESS_READ)
        self._entries = np.frombuffer(self._map, np.uint64, len(sizes))
        self._pixels = np.frombuffer(self._map, np.uint8, offset=self._head)
        # Shared with forked workers: a place is looked at once, the disk is found full once.
        self._shared = np.frombuffer(mmap.mmap(-1, len(sizes) + 1), np.uint8)

    def get(self, place: int) -> np.ndarray | None:
        """The bytes of a place, `uint8 [N]`, read-only; None where it is not filled."""
        start = self.starts[place]
        found = self._pixels[start : start + self.sizes[place]]
        if not self._shared[place]:
            if int(self._entries[place]) != _FILLED | zlib.crc32(found.data):
                return None
            self._shared[place] = 1
        return found

    def put(self, place: int, *parts: np.ndarray) -> None:
        """Fills a place; where the disk is full, nothing is kept from here on."""
        if place >= self.limit or self.full:
            return
        data = b"".join(np.ascontiguousarray(part).data for part in parts)
        if len(data) != self.sizes[place]:
            return
        entry = np.uint64(_FILLED | zlib.crc32(data)).tobytes()
        try:
            _write(self._file, data, self._head + self.starts[place])
            _write(self._file, entry, _ENTRY * place)
        except OSError:
            self._shared[-1] = 1

    @property
    def full(self) -> bool:
        """Whether writing has failed, in this process or in a worker of it."""
        return bool(self._shared[-1])

    @property
    def filled(self) -> int:
        """Places that say they are filled."""
        return int(np.count_nonzero(self._entries))


def open_store(key: Any, sizes: Sequence[int]) -> PixelStore | None:
    """The store of what `key` (as JSON has it) determines; None where nothing can be kept."""
    place = folder()
    if place is None or not sizes:
        return None
    place = place / "pixels"
    name = hashlib.sha256(json.dumps([_machine(), key, list(sizes)]).encode()).hexdigest()[:32]
    path = place / f"{name}.bin"
    try:
        place.mkdir(parents=True, exist_ok=True)
        free = free_bytes(place)
        spare = max(0, min(int(FREE_SHARE * free), free - LEFT_FREE))
        room = min(LARGEST, _taken(path) + spare)
        ends = np.cumsum(np.asarray(sizes, np.int64)) + _ENTRY * len(sizes)
        limit = int(np.searchsorted(ends, room, side="right"))
        store = PixelStore(path, sizes, limit)
        os.utime(path)
        _bound(place, path, LARGEST - int(ends[limit - 1] if limit else 0))
    except (OSError, ValueError):
        return None
    return store


def _machine() -> list[Any]:
    """What else decides the bits: decoders and the processor that they run on."""
    import cv2
    import PIL
    from PIL import features

    jpeg = features.version_feature("libjpeg_turbo") or ""
    processor = f"{platform.machine()} {cv2.getCPUFeaturesLine()}"
    return [VERSION, PIL.__version__, jpeg, cv2.__version__, processor]


def _opened(path: Path, size: int) -> int:
    """The file with this length, made where it is not there; what is longer is not ours."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        if os.fstat(descriptor).st_size > size:
            raise OSError("longer than it should be")
        os.ftruncate(descriptor, size)  # holes: they take no room until they are filled
    except OSError:
        os.close(descriptor)
        with suppress(OSError):
            path.unlink()
        raise
    return descriptor


def _write(descriptor: int, data: bytes, at: int) -> None:
    left = memoryview(data)
    while left:
        written = os.pwrite(descriptor, left, at)
        left, at = left[written:], at + written


def _taken(path: Path) -> int:
    """Bytes that a file takes on the disk."""
    try:
        return path.stat().st_blocks * 512
    except OSError:
        return 0


def _bound(place: Path, own: Path, left: int) -> None:
    """Removes the files that were opened longest ago until the rest fits; readers keep theirs."""
    others = [(path, path.stat()) for path in place.glob("*.bin") if path != own]
    for path, about in sorted(others, key=lambda pair: -pair[1].st_mtime_ns):
        left -= about.st_blocks * 512
        if left < 0:
            path.unlink(missing_ok=True)
