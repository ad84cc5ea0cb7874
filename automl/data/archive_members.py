"""ZIP and TAR files to a list of members that can be read; what is no harmless file is a fault."""

import gzip
import os
import stat
import struct
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from automl.errors import DataError

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz")
_NESTED = (*SUFFIXES, ".tar.bz2", ".tar.xz", ".tar.zst", ".tbz2", ".txz", ".7z", ".rar")

MOST_ENTRIES = 500_000
LONGEST_NAME = 255
"""Bytes of each part of a name."""

RATIO = 500
"""Unpacked to packed bytes; images come near 1, and text to 50."""

SMALL = 1 << 20
"""Bytes up to which a member or an archive may be packed as tightly as it likes."""

_LARGEST_READ = 64 * 2**20


@dataclass(frozen=True)
class Member:
    """One entry as the archive names it; `fault` is why it cannot be unpacked."""

    name: str
    size: int
    is_folder: bool
    fault: str
    source: Any

    @property
    def shown(self) -> str:
        """The name on one line."""
        return self.name[:120].encode("unicode_escape").decode("ascii")


@dataclass(frozen=True)
class Packed:
    """An archive that is open."""

    path: Path
    members: Callable[[], list[Member]]
    open: Callable[[Member], IO[bytes]]

    def broken(self, why: str) -> DataError:
        """The archive as a whole cannot be used."""
        return DataError(f"broken archive: {why}", where=str(self.path), hint="fetch it again")


def suffix_of(name: str) -> str:
    """The ending that says archive; empty where there is none."""
    return next((s for s in SUFFIXES if name.lower().endswith(s)), "")


@contextmanager
def opened_for_reading(path: Path) -> Iterator[Packed]:
    """Opens an archive; whatever its reader raises on broken bytes becomes a DataError."""
    try:
        with (_zip if suffix_of(path.name) == ".zip" else _tar)(path) as packed:
            yield packed
    except DataError:
        raise
    except (
        *(zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, struct.error),
        *(EOFError, ValueError, NotImplementedError, RuntimeError, OverflowError, KeyError),
    ) as error:
        message = f"broken archive: {str(error) or type(error).__name__}"
        raise DataError(message, where=str(path), hint="fetch it again") from None


def faults(members: Iterable[Member]) -> list[str]:
    """Why an archive is refused: every member that is no plain file or folder of its own."""
    found: list[str] = []
    taken: dict[str, tuple[str, bool]] = {}
    for member in members:
        why = member.fault or _name_fault(member.name) or _nested_fault(member)
        why = why or _clash(member, taken)
        if why:
            found.append(f"`{member.shown}` {why}")
    return found


def _name_fault(name: str) -> str:
    if not name or "\0" in name or "\\" in name:
        return "has a name that is no path"
    if name.startswith("/") or (len(name) > 1 and name[1] == ":"):
        return "has an absolute path"
    parts = name.split("/")
    if ".." in parts:
        return "points out of the archive"
    if any(len(os.fsencode(part)) > LONGEST_NAME for part in parts) or len(parts) > 64:
        return "has a name that is too long"
    return ""


def _nested_fault(member: Member) -> str:
    nested = not member.is_folder and member.name.lower().endswith(_NESTED)
    return "is an archive inside the archive" if nested else ""


def _clash(member: Member, taken: dict[str, tuple[str, bool]]) -> str:
    """Two names that some systems take for one, or one name for two files."""
    parts = [p for p in member.name.split("/") if p not in ("", ".")]
    for end in range(1, len(parts) + 1):
        name, is_folder = "/".join(parts[:end]), end < len(parts) or member.is_folder
        key = unicodedata.normalize("NFC", name).casefold()
        known = taken.get(key)
        if known and known[0] != name:
            return f"differs from `{known[0]}` in case only"
        if known and not (known[1] and is_folder):
            return "is there twice"
        taken[key] = (name, is_folder)
    return ""


@contextmanager
def _zip(path: Path) -> Iterator[Packed]:
    _count_first(path)
    with zipfile.ZipFile(path) as archive:
        whole = path.stat().st_size

        def members() -> list[Member]:
            infos = archive.infolist()
            if len(infos) > MOST_ENTRIES:
                raise _too_many(len(infos), path)
            if sum(i.compress_size for i in infos) > whole:
                raise DataError("archive refused: its entries overlap", where=str(path))
            return [_zip_member(info) for info in infos]

        yield Packed(path, members, lambda member: archive.open(member.source))


def _zip_member(info: zipfile.ZipInfo) -> Member:
    mode = info.external_attr >> 16
    kind = stat.S_IFMT(mode)
    fault = ""
    if info.flag_bits & 0x1:
        fault = "is encrypted"
    elif kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        fault = "is a link" if kind == stat.S_IFLNK else "is no plain file"
    elif mode & (stat.S_ISUID | stat.S_ISGID):
        fault = "would run with the rights of another (setuid)"
    elif info.file_size > SMALL and info.file_size > RATIO * info.compress_size:
        fault = f"is packed {info.file_size // max(1, info.compress_size)}:1, as bombs are"
    # what zipfile makes of a name has lost its NUL and its backslashes
    name = info.orig_filename
    return Member(name.rstrip("/"), info.file_size, name.endswith("/"), fault, info)


def _count_first(path: Path) -> None:
    """The number of entries, and the size of their list, from the end of the file."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 65557))
        tail = file.read()
        at = tail.rfind(b"PK\x05\x06")
        if at < 0 or len(tail) < at + 22:
            raise DataError("broken archive: it has no end", where=str(path), hint="fetch it again")
        count, length = struct.unpack("<HI", tail[at + 10 : at + 16])
        wide = tail.rfind(b"PK\x06\x06")
        if wide >= 0 and len(tail) >= wide + 48:
            count, length = struct.unpack("<QQ", tail[wide + 32 : wide + 48])
    if count > MOST_ENTRIES or length > MOST_ENTRIES * 400:
        raise _too_many(count, path)


@contextmanager
def _tar(path: Path) -> Iterator[Packed]:
    """Read from the front to the end twice: to look at everything, then to unpack."""
    zipped = suffix_of(path.name) != ".tar"
    raw: Any = gzip.open(path, "rb") if zipped else path.open("rb")  # noqa: SIM115
    most = SMALL + RATIO * path.stat().st_size
    with raw, tarfile.TarFile(fileobj=_Counted(raw, most, path)) as archive:  # type: ignore[arg-type]

        def members() -> list[Member]:
            found: list[Member] = []
            for info in archive:
                found.append(_tar_member(info))
                if len(found) > MOST_ENTRIES:
                    raise _too_many(len(found), path)
            return found

        def content(member: Member) -> IO[bytes]:
            source = archive.extractfile(member.source)
            if source is None:
                raise DataError("broken archive: no such member", where=str(path))
            return source

        yield Packed(path, members, content)


def _tar_member(info: tarfile.TarInfo) -> Member:
    fault = ""
    if info.issym() or info.islnk():
        fault = "is a link"
    elif info.issparse() or not (info.isreg() or info.isdir()):
        fault = "is no plain file"
    elif info.mode & (stat.S_ISUID | stat.S_ISGID):
        fault = "would run with the rights of another (setuid)"
    return Member(info.name, info.size if info.isreg() else 0, info.isdir(), fault, info)


class _Counted:
    """A stream that ends where an archive turns out to be a bomb."""

    def __init__(self, raw: Any, most: int, path: Path) -> None:
        self._raw, self._most, self._path = raw, most, path

    def read(self, size: int = -1) -> bytes:
        """Reads so many bytes; not more than memory has room for."""
        if not 0 <= size <= _LARGEST_READ:
            raise ValueError(f"an entry of {size} bytes where a name belongs")
        data: bytes = self._raw.read(size)
        self._look()
        return data

    def seek(self, place: int, whence: int = 0) -> int:
        """Goes to a place."""
        if place > self._most:
            raise self._bomb()
        found: int = self._raw.seek(place, whence)
        return found

    def tell(self) -> int:
        """The place."""
        found: int = self._raw.tell()
        return found

    def _look(self) -> None:
        if self.tell() > self._most:
            raise self._bomb()

    def _bomb(self) -> DataError:
        message = f"archive refused: packed more than {RATIO}:1, as bombs are"
        hint = "unpack it yourself where you trust it, and name the folder as `data.path`"
        return DataError(message, where=str(self._path), hint=hint)


def _too_many(count: int, path: Path) -> DataError:
    message = f"archive refused: {count} entries, more than {MOST_ENTRIES}"
    return DataError(message, where=str(path), hint="unpack it yourself, or split it")
