"""A run folder is held by one process: a lock of the operating system, which dies with its holder.

`.lock` in the folder says who that is. It is gone when the work is done; one that a kill has left
holds nobody up.
"""

import errno
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from automl.errors import LockedError, MachineError

NAME = ".lock"
_LOCKS_NOT = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)
"""What file systems answer that know no locks, such as some network ones."""
_LETS_NOT = (errno.EACCES, errno.EPERM, errno.EROFS)
PATIENCE_S = 0.5
"""Whoever only looks who holds the lock has it for an instant; a new holder needs one to sign."""
TURN_S = 0.2


@dataclass(frozen=True)
class Holder:
    """Who works in a folder; `started` in UTC."""

    pid: int
    host: str
    started: str
    command: str


@contextmanager
def locked(folder: Path, command: str) -> Iterator[str]:
    """Holds the folder while the block runs, or LockedError at once.

    Yields "", or one line for the person where this file system cannot lock. MachineError where
    nothing can be written to the folder: better now than after an epoch.
    """
    descriptor, note = _acquired(folder)
    try:
        _write(descriptor, command)
        with _closed_in_children(descriptor):
            yield note
    finally:
        if _is(descriptor, folder / NAME):
            (folder / NAME).unlink(missing_ok=True)
        os.close(descriptor)


def holder(folder: Path) -> Holder | None:
    """Who works in the folder at this moment; None if nobody does, or it cannot be known."""
    try:
        descriptor = os.open(folder / NAME, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read(folder) or Holder(0, "unknown", "", "")
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return None


@contextmanager
def turn(path: Path) -> Iterator[None]:
    """Waits until no other of our processes holds this file, then holds it; for short work.

    Where it cannot be locked there is no waiting.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError:
        yield
        return
    try:
        while not _free(descriptor):
            time.sleep(TURN_S)
        yield
    finally:
        os.close(descriptor)


def _free(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def _acquired(folder: Path) -> tuple[int, str]:
    """The open lock file, held, and the note."""
    until = time.monotonic() + PATIENCE_S
    while True:
        descriptor, note = _opened(folder), ""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            if time.monotonic() > until:
                raise _taken(folder) from None
            time.sleep(PATIENCE_S / 10)
            continue
        except OSError as error:
            if error.errno not in _LOCKS_NOT:
                os.close(descriptor)
                raise
            note = f"this file system has no locks: start no second process in {folder}"
        if _is(descriptor, folder / NAME):
            return descriptor, note
        os.close(descriptor)  # its last holder removed it in this very moment


def _probe(folder: Path) -> None:
    """An old lock can be opened where nothing new can be made, so something new is made."""
    probe = folder / f".{os.getpid()}.probe"
    os.close(os.open(probe, os.O_RDWR | os.O_CREAT, 0o666))
    probe.unlink()


def _opened(folder: Path) -> int:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _probe(folder)
        return os.open(folder / NAME, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        if error.errno not in _LETS_NOT:
            raise
        raise MachineError(
            f"cannot write to the run folder: {str(error.strerror).lower()}",
            where=str(folder),
            hint="change the permissions, or name another folder with `--run-dir`",
        ) from error


def _is(descriptor: int, path: Path) -> bool:
    """Whether the open file is still the one of this name."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except OSError:
        return False


def _write(descriptor: int, command: str) -> None:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    text = json.dumps(asdict(Holder(os.getpid(), socket.gethostname(), now, command))) + "\n"
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, text.encode(), 0)


def _read(folder: Path) -> Holder | None:
    try:
        return Holder(**json.loads((folder / NAME).read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def _taken(folder: Path) -> LockedError:
    """Says who is there. The file is empty for the instant between its lock and its text."""
    by = _read(folder)
    who = f"process {by.pid} on {by.host}, started {by.started}" if by else "another process"
    hint = "wait until it is done, or stop it"
    if by and by.host == socket.gethostname():
        hint += f": `kill {by.pid}`"
    return LockedError(f"the run is held by {who}", where=str(folder), hint=hint)


_held: set[int] = set()
_forks_are_followed = False


@contextmanager
def _closed_in_children(descriptor: int) -> Iterator[None]:
    """A forked worker would hold the lock for as long as it lives, even after its parent."""
    global _forks_are_followed
    if not _forks_are_followed:
        os.register_at_fork(after_in_child=_let_go)
        _forks_are_followed = True
    _held.add(descriptor)
    try:
        yield
    finally:
        _held.discard(descriptor)


def _let_go() -> None:
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()
