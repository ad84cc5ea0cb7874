"""An archive, or Parquet tables with images inside, to a folder of files in the user's cache.

Everything is looked at before a byte is written: an archive with anything that a data set has no
use for is refused whole. The folder is named after the archive's bytes and appears complete.
"""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from automl.data import parquet_images
from automl.data.archive_members import (
    SUFFIXES,
    Member,
    Packed,
    faults,
    opened_for_reading,
    suffix_of,
)
from automl.data.files import is_there
from automl.data.scan_cache import folder as cache_folder
from automl.errors import DataError, MachineError
from automl.files import sync

MOST_BYTES = 2**41
"""Of all files together, unpacked."""

PACKED = (".zip", ".tar", ".gz", ".tgz", ".7z", ".rar")
"""Last endings of archives; the last two are not read."""
_CHUNK = 1 << 20
_RESERVE = 64 * 2**20
"""Bytes of the disk that stay free."""

_LAYOUT = ("images", "annotations", "labels", "masks", "train", "val", "test", "valid")


def is_archive(path: Path) -> bool:
    """Whether the name says archive."""
    return bool(suffix_of(path.name)) and path.is_file()


def is_packed(path: Path) -> bool:
    """The same, with archives that are not read."""
    return is_archive(path) or (path.suffix.lower() in PACKED[-2:] and path.is_file())


def opened(path: Path) -> Path:
    """The folder with the data: of an archive, of a folder that holds one alone, of tables."""
    if archive := _the_archive(path):
        return _inner(unpacked(archive))
    if sources := parquet_images.tables(path):
        return unpacked(*sources)
    return path


def unpacked(*sources: Path) -> Path:
    """The folder in the cache with the files of an archive, or of tables that hold images."""
    place = cache_folder()
    if place is None:
        hint = "name a folder in AUTOML_CACHE, or unpack it yourself"
        where = str(sources[0])
        raise MachineError("an archive is unpacked into the cache", where=where, hint=hint)
    target = place / "archives" / _digest(*sources)[:32]
    if target.is_dir():
        return target
    with _alone(target):
        if not target.is_dir():  # another process may have been quicker
            _unpack(sources, target)
    return target


def _the_archive(path: Path) -> Path | None:
    if is_archive(path):
        return path
    if not path.is_dir():
        return None
    try:
        with os.scandir(path) as entries:
            seen = (e.name for e in entries if not e.name.startswith((".", "__MACOSX")))
            names = list(islice(seen, 2))
    except PermissionError:  # said by whoever reads it
        return None
    only = path / names[0] if len(names) == 1 else None
    return only if only and is_archive(only) else None


def _inner(folder: Path) -> Path:
    """Archives often hold one folder with everything in it."""
    inside = [p for p in folder.iterdir() if not p.name.startswith((".", "__MACOSX"))]
    only = inside[0] if len(inside) == 1 else None
    return only if only and only.is_dir() and only.name.lower() not in _LAYOUT else folder


def _digest(*sources: Path) -> str:
    """Of one file its SHA-256; of several that of theirs and their names, which say the split."""
    found = [_digest_of(source) for source in sources]
    if len(found) == 1:
        return found[0]
    lines = [f"{d} {s.parent.name}/{s.name}" for d, s in zip(found, sources, strict=True)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _digest_of(source: Path) -> str:
    try:
        with source.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except PermissionError:
        hint = f"`chmod u+r {source.name}`"
        raise MachineError("may not be read", where=str(source), hint=hint) from None
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", where=str(source)) from None


@contextmanager
def _alone(target: Path) -> Iterator[None]:
    """One process at a time unpacks an archive; the lock of one that died is free."""
    lock = target.with_name(f"{target.name}.lock")
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        file = lock.open("w")
    except OSError as error:
        raise _no_place(target, error) from None
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _unpack(sources: tuple[Path, ...], target: Path) -> None:
    part = target.with_name(f".{target.name}.part")
    shutil.rmtree(part, ignore_errors=True)  # of a process that was killed
    try:
        if is_archive(sources[0]):
            _unpack_archive(sources[0], part)
        else:
            _room(parquet_images.size_of(list(sources)), part)
            part.mkdir()
            parquet_images.write(list(sources), part)
        sync(part)
        part.rename(target)
    except OSError as error:
        raise _no_place(target, error) from None
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _unpack_archive(archive: Path, part: Path) -> None:
    with opened_for_reading(archive) as packed:
        members = packed.members()
        _refuse(members, archive)
        _room(sum(m.size for m in members), part)
        part.mkdir()
        for member in members:
            _write(packed, member, part)


def _refuse(members: list[Member], archive: Path) -> None:
    if sum(m.size for m in members) > MOST_BYTES:
        found = [f"{sum(m.size for m in members)} bytes when unpacked"]
    else:
        found = faults(members)
    if found:
        more = f" and {len(found) - 3} more" if len(found) > 3 else ""
        raise DataError(
            f"archive refused: {'; '.join(found[:3])}{more}",
            where=str(archive),
            hint="unpack it yourself where you trust it, and name the folder as `data.path`",
        )


def _room(need: int, target: Path) -> None:
    free = shutil.disk_usage(target.parent).free
    if need + _RESERVE > free:
        raise MachineError(
            f"no room to unpack: {need} bytes are needed, {free} are free",
            where=str(target.parent),
            hint="make room, or name another folder in AUTOML_CACHE",
        )


def _write(packed: Packed, member: Member, part: Path) -> None:
    place = part / member.name
    if member.is_folder:
        place.mkdir(parents=True, exist_ok=True)
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    left = member.size
    with packed.open(member) as source, place.open("xb") as file:
        while data := source.read(min(_CHUNK, left + 1)):
            left -= len(data)
            if left < 0:
                raise packed.broken(f"`{member.shown}` is larger than it says")
            file.write(data)
    if left:
        raise packed.broken(f"`{member.shown}` is shorter than it says")


def _no_place(target: Path, error: OSError) -> MachineError:
    free = ""
    if is_there(target.parent):
        free = f"; {shutil.disk_usage(target.parent).free} bytes are free"
    return MachineError(
        f"the archive cannot be unpacked: {error.strerror or error}{free}",
        where=str(target.parent),
        hint="make room or name another folder in AUTOML_CACHE",
    )


__all__ = ["SUFFIXES", "is_archive", "opened", "unpacked"]
