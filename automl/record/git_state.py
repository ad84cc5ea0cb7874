"""A folder in Git in; its commit, branch, and all that differs from the commit, as a patch, out."""

import hashlib
import os
import re
import stat
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from automl.record.secrets import line_with_secret, without_secrets

CODE = (".py", ".yaml", ".yml", ".toml", ".cfg", ".j2", ".html", ".css")
"""Untracked files that a run may have used, so that they belong into its patch."""
LARGEST_FILE = 2**20
LARGEST_PATCH = 8 * 2**20
MOST_LISTED = 1000
MOST_HASHED = 64 * 2**20
"""Untracked files are listed and hashed up to these; a folder of images is no code."""


@dataclass(frozen=True)
class Patch:
    """`git apply` brings the commit to what ran; `left_out` says what is missing, and why."""

    content: bytes = b""
    left_out: tuple[dict[str, str], ...] = ()


@dataclass(frozen=True)
class Changes:
    """What differs from the commit: parts of the diff by path, and files that Git does not know."""

    parts: dict[str, bytes] = field(default_factory=dict)
    untracked: tuple[str, ...] = ()


def top_of(folder: Path) -> Path | None:
    """The top of the working tree that a folder lies in."""
    found = git(folder, "rev-parse", "--show-toplevel")
    return Path(found) if found else None


def git_state(folder: Path, beside: Sequence[Path] = ()) -> dict[str, Any] | None:
    """Commit, branch and what differs from the commit; None outside of a Git repository.

    `diff_digest` covers the changes of tracked files and the names and bytes of small untracked
    ones. What lies in the folders `beside` is not looked at.
    """
    commit = git(folder, "rev-parse", "HEAD")
    if commit is None and git(folder, "rev-parse", "--git-dir") is None:
        return None
    changes = changes_of(folder, beside)
    remote = git(folder, "config", "--get", "remote.origin.url") or ""
    listed = list(_listed(folder, changes.untracked))
    return {
        "commit": commit or "",
        "branch": git(folder, "rev-parse", "--abbrev-ref", "HEAD") or "",
        "remote": without_secrets(remote),
        "dirty": bool(changes.parts or changes.untracked),
        "untracked": len(changes.untracked),
        "untracked_files": listed,
        "diff_digest": _digest(changes, listed),
    }


def changes_of(folder: Path, beside: Sequence[Path] = ()) -> Changes:
    """The diff against the commit by path, and the untracked files, all from the tree's top."""
    top = top_of(folder)
    if top is None:
        return Changes()
    names = (git(top, "ls-files", "-z", "--others", "--exclude-standard") or "").split("\0")
    hidden = [path.resolve() for path in beside]
    untracked = [
        name
        for name in sorted(filter(None, names))
        if not any((top / name).is_relative_to(folder) for folder in hidden)
    ]
    return Changes(dict(_parts(_diff(top))), tuple(untracked))


def patch_of(folder: Path, beside: Sequence[Path] = ()) -> Patch:
    """Everything that differs from the commit and is code, without what holds a secret."""
    top, changes = top_of(folder), changes_of(folder, beside)
    if top is None:
        return Patch()
    parts, left_out = dict(changes.parts), []
    for name in changes.untracked:
        if name.endswith(CODE):
            content = _new_file(top, name)
            if content is None:
                left_out.append({"path": name, "why": "larger than 1 MiB, or no plain text file"})
            else:
                parts[name] = content
    kept, size = [], 0
    for name in sorted(parts):
        why = _refused(parts[name], size)
        if why:
            left_out.append({"path": name, "why": why})
        else:
            kept.append(parts[name])
            size += len(parts[name])
    return Patch(b"".join(kept), tuple(left_out))


def git(folder: Path, *words: str) -> str | None:
    """Output of a Git command that only reads; None where Git is missing or says no."""
    done = _run(folder, *words)
    return None if done is None else done.decode(errors="surrogateescape").strip()


def _run(folder: Path, *words: str) -> bytes | None:
    command = ["git", "-c", "core.quotepath=off", "-C", str(folder), *words]
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}
    try:
        done = subprocess.run(  # noqa: S603
            command, capture_output=True, check=True, timeout=60, env=environment
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout


def _diff(top: Path) -> bytes:
    """In the form that `git apply` reads, whatever the user's own settings are."""
    plain = ("--no-ext-diff", "--no-textconv", "--no-color", "--no-renames", "--no-relative")
    form = ("--binary", "--full-index", "-U3", "--src-prefix=a/", "--dst-prefix=b/")
    return _run(top, "diff", "HEAD", "--submodule=short", *plain, *form) or b""


def _parts(diff: bytes) -> Iterator[tuple[str, bytes]]:
    """The diff by file; no line of a change begins with `diff --git`."""
    for part in re.split(rb"^(?=diff --git )", diff, flags=re.MULTILINE):
        if part:
            head = part.partition(b"\n")[0].decode(errors="surrogateescape")
            yield head.rpartition(" b/")[2].rstrip('"'), part


def _new_file(top: Path, name: str) -> bytes | None:
    """The part of a patch that makes an untracked file; None for what is too large or no text."""
    path = top / name
    try:
        facts = path.lstat()
        if not stat.S_ISREG(facts.st_mode) or facts.st_size > LARGEST_FILE:
            return None
        content = path.read_bytes()
    except OSError:
        return None
    if b"\0" in content or not name.isprintable() or any(c in name for c in '"\\'):
        return None
    at = name.encode(errors="surrogateescape")
    mode = b"100755" if facts.st_mode & stat.S_IXUSR else b"100644"
    head = b"diff --git a/%s b/%s\nnew file mode %s\n" % (at, at, mode)
    if not content:
        return head + b"index " + b"0" * 40 + b"..e69de29bb2d1d6434b8b29ae775ad8c2e48c5391\n"
    lines = content.split(b"\n")
    ends = not lines[-1]
    body = b"".join(b"+" + line + b"\n" for line in (lines[:-1] if ends else lines))
    count = len(lines) - ends
    tab = b"\t" if b" " in at else b""
    return b"%s--- /dev/null\n+++ b/%s%s\n@@ -0,0 +1,%d @@\n%s%s" % (
        head, at, tab, count, body, b"" if ends else b"\\ No newline at end of file\n",
    )  # fmt: skip


def _refused(part: bytes, size: int) -> str:
    """Why a part is left out of the patch; empty where it is not."""
    if len(part) > 2 * LARGEST_FILE:
        return "its change is larger than 2 MiB"
    if size + len(part) > LARGEST_PATCH:
        return "the patch would be larger than 8 MiB"
    line = line_with_secret(part.decode(errors="replace"))
    return f"line {line} of its change looks like a secret" if line else ""


def _listed(folder: Path, untracked: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Name, size and, of small ones, SHA-256 of the first untracked files."""
    top, hashed = top_of(folder) or folder, 0
    for name in untracked[:MOST_LISTED]:
        entry: dict[str, Any] = {"path": _printable(name)}
        try:
            facts = (top / name).lstat()
            entry["bytes"] = facts.st_size
            small = stat.S_ISREG(facts.st_mode) and facts.st_size <= LARGEST_FILE
            if small and hashed + facts.st_size <= MOST_HASHED:
                hashed += facts.st_size
                entry["sha256"] = hashlib.sha256((top / name).read_bytes()).hexdigest()
        except OSError:
            entry["note"] = "cannot be read"
        yield entry


def _digest(changes: Changes, listed: list[dict[str, Any]]) -> str:
    if not changes.parts and not changes.untracked:
        return ""
    digest = hashlib.sha256(b"".join(changes.parts.values()))
    for name in changes.untracked:
        digest.update(name.encode(errors="surrogateescape") + b"\0")
    for entry in listed:
        digest.update(f"{entry.get('bytes')} {entry.get('sha256')}\n".encode())
    return digest.hexdigest()


def _printable(name: str) -> str:
    """A name that JSON can hold."""
    return name.encode(errors="surrogateescape").decode(errors="replace")
