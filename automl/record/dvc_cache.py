"""Tracked paths in, the bytes of DVC's cache and of the workspace against their MD5s out.

DVC itself trusts a file of its cache that may not be written to, whatever the disk made of it. An
edit of one's own is no damage: there the cache is whole, and the workspace has another file.
"""

import hashlib
import json
import os
import shlex
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from automl.errors import DataError, Fault
from automl.record.dvc_config import cache_folder, open_secrets
from automl.record.dvc_files import DvcOut, tracked_by, tracked_in, workspace
from automl.talk import Talk

LABEL = "checking DVC's bytes"
MOST_FAULTS = 50
"""How many are told one by one; the rest is counted."""


@dataclass
class Checked:
    """What was found: faults, the user's own edits by path, and how many files were looked at.

    `spare` are faults of the cache alone: the file in the workspace is right.
    """

    faults: list[Fault] = field(default_factory=list)
    spare: list[Fault] = field(default_factory=list)
    edits: list[str] = field(default_factory=list)
    files: int = 0


def check(path: Path, talk: Talk) -> None:
    """DataError where DVC tracks the data at a path and its bytes are not what DVC's files say."""
    root = workspace(Path.cwd())
    if root is None:
        return
    for remote, option in open_secrets(root):
        talk.say(
            f"dvc: `.dvc/config`, which Git keeps, holds a secret of remote `{remote}`; "
            f"`dvc remote modify --local {remote} {option} ...` keeps it from Git; then remove it"
        )
    faults: list[Fault] = []
    for out in _outs(root, path):
        found = verify(root, out, talk)
        faults += found.faults + found.spare
        if found.edits:
            few = ", ".join(found.edits[:3]) + (", ..." if len(found.edits) > 3 else "")
            talk.say(f"dvc: {len(found.edits)} files are not as `{out.file}` has them: {few}")
    if faults:
        raise DataError(
            f"{len(faults)} files of DVC's are damaged",
            faults=_first(sorted(faults, key=lambda fault: fault.where)),
        )


def check_bundle(folder: Path, talk: Talk) -> None:
    """The same for a bundle that is to be used; one that has been trained anew is not DVC's yet."""
    root = workspace(folder)
    out = tracked_by(root, folder.resolve()) if root else None
    if root is None or out is None:
        return
    found = verify(root, out, talk)
    for fault in found.spare:
        talk.say(f"dvc: {fault.message}: {fault.where}; fix: {fault.hint}")
    if found.faults and not found.edits:
        raise DataError("the model is damaged", faults=found.faults)


def verify(root: Path, out: DvcOut, talk: Talk) -> Checked:
    """Compares every file of a tracked path, in the cache and in the workspace, with its MD5."""
    if not out.md5:
        return Checked()  # nothing is recorded of it yet
    if out.old:
        talk.say(f"dvc: `{out.path}` was added by DVC 2 and is not checked; `dvc add` it again")
        return Checked()
    return _Check(root, out, cache_folder(root), talk).whole()


def md5_of(path: Path) -> str | None:
    """MD5 of a file's bytes, or None where there is no file."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, _md5).hexdigest()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None


def listing(content: bytes) -> dict[str, str]:
    """Path and MD5 of each file, from the bytes of a `.dir` file."""
    return {str(entry["relpath"]): str(entry["md5"]) for entry in json.loads(content)}


def place_of(cache: Path, md5: str) -> Path:
    """Where the cache has the bytes of this digest."""
    return cache / md5[:2] / md5[2:]


def _md5() -> "hashlib._Hash":
    return hashlib.md5(usedforsecurity=False)


def _outs(root: Path, path: Path) -> list[DvcOut]:
    """What DVC tracks of the data: the path, what holds it, and what lies in it or beside it."""
    path = path.absolute()
    path = path.parent.resolve() / path.name
    outs = [tracked_by(root, path)]
    area = path if path.is_dir() else path.parent
    if outs[0] is None and area.is_relative_to(root) and area != root:
        outs += tracked_in(root, area)
    return list({out.path: out for out in outs if out is not None}.values())


def _first(faults: list[Fault]) -> list[Fault]:
    left = len(faults) - MOST_FAULTS
    if left <= 0:
        return faults
    return [*faults[:MOST_FAULTS], Fault(f"and {left} more", hint="fix these, then run again")]


@dataclass(frozen=True)
class _Check:
    """One tracked path that is compared."""

    root: Path
    out: DvcOut
    cache: Path
    talk: Talk

    def whole(self) -> Checked:
        """All files, where they are listed; else what can be said without the list."""
        if not self.out.md5.endswith(".dir"):
            return self._judged({"": self.out.md5})
        place = place_of(self.cache, self.out.md5)
        real = md5_of(place)
        if real == self.out.md5.removesuffix(".dir"):
            return self._judged(listing(place.read_bytes()))
        here = self._hashes(self._files())
        if real is None and not any(place_of(self.cache, h).exists() for h in here.values()):
            return self._uncommitted(here)
        state = "is missing" if real is None else f"holds other bytes: MD5 {real}"
        message = f"the list of files in `{self.out.path}` {state}, expected {self.out.md5}"
        right = _tree_md5(here) == self.out.md5
        fault = Fault(message, self._shown(place), self._cure([place], self.root / self.out.path))
        return Checked(spare=[self._from_here(fault)]) if right else Checked([fault])

    def _uncommitted(self, here: dict[str, str]) -> Checked:
        """Nothing of it is in the cache: data that came by another way than DVC."""
        if not here:
            return Checked([self._gone()])
        same = _tree_md5(here) == self.out.md5
        return Checked(edits=[] if same else [self.out.path], files=len(here))

    def _judged(self, listed: dict[str, str]) -> Checked:
        """Each file in the cache, then each in the workspace."""
        path = self.root / self.out.path
        if not os.path.lexists(path):
            return Checked([self._gone()])
        digests = sorted(set(listed.values()))
        cached = dict(zip(digests, self._all(digests, self._cached), strict=True))
        linked = {name for name, md5 in listed.items() if self._is_link(name, md5)}
        other = [name for name in {*self._files(), *listed} if name not in linked]
        here: dict[str, str | None] = {name: cached[listed[name]] for name in linked}
        here.update(self._hashes(other))
        found = Checked(files=len(listed))
        moved = {md5 for name, md5 in here.items() if name not in listed}
        for name, md5 in listed.items():
            if cached[md5] != md5:
                kind = found.spare if here.get(name) == md5 else found.faults
                kind.append(self._damaged(name, md5, cached[md5], here.get(name)))
            elif here.get(name) is None and md5 not in moved:
                found.faults.append(self._lost(name, md5))
            elif here.get(name) != md5:
                found.edits.append(self._named(name))
        found.edits += [self._named(name) for name in sorted({*here} - {*listed})]
        if len(found.spare) == 1 and not found.faults and not found.edits:
            found.spare = [self._from_here(found.spare[0])]
        return found

    def _damaged(self, name: str, md5: str, real: str | None, here: str | None) -> Fault:
        place, file = place_of(self.cache, md5), self.root / self.out.path / name
        state = "is missing from DVC's cache" if real is None else f"has MD5 {real} in DVC's cache"
        where = f"{self._named(name)} ({self._shown(place)})"
        bad = [place] if here == md5 else [place, file]
        return Fault(f"a tracked file {state}, expected {md5}", where, self._cure(bad, file))

    def _from_here(self, fault: Fault) -> Fault:
        """The same cured without a remote: the workspace has all bytes right, so DVC takes them."""
        removed = fault.hint.removeprefix("`").partition(" && ")[0]
        command = f"`{removed} && dvc commit --force {shlex.quote(self._owner)}`"
        return replace(fault, hint=f"{command} takes the file in the workspace, which is right")

    def _lost(self, name: str, md5: str) -> Fault:
        named, owner = self._named(name), shlex.quote(self._owner)
        return Fault(
            f"a tracked file is gone, expected MD5 {md5}",
            named,
            f"`dvc checkout {shlex.quote(named)}` brings it back; if it is to be gone, "
            f"`dvc commit --force {owner}` says so",
        )

    def _gone(self) -> Fault:
        return Fault(
            f"`{self.out.path}` is not there, but tracked by DVC",
            self._shown(self.root / self.out.file),
            f"`dvc pull {shlex.quote(self._target)}` fetches it",
        )

    def _cure(self, bad: list[Path], target: Path) -> str:
        """DVC trusts a file that it has once seen, so what is bad has to go first."""
        removed = " ".join(shlex.quote(self._shown(path)) for path in bad)
        return f"`rm -f {removed} && dvc pull {shlex.quote(self._shown(target))}` fetches it anew"

    @property
    def _target(self) -> str:
        """What `dvc pull` and `dvc checkout` are told."""
        return self._shown(self.root / (self.out.path if self.out.stage else self.out.file))

    @property
    def _owner(self) -> str:
        """What `dvc commit` is told."""
        return self.out.stage or self._target

    def _files(self) -> list[str]:
        """The visible files in the workspace, relative to the tracked path."""
        top = self.root / self.out.path
        if not top.is_dir():
            return [""] if top.exists() else []
        found = []
        for folder, folders, files in os.walk(top):
            folders[:] = [name for name in folders if not name.startswith(".")]
            at = Path(folder).relative_to(top)
            found += [(at / name).as_posix() for name in files if not name.startswith(".")]
        return found

    def _hashes(self, names: Iterable[str]) -> dict[str, str]:
        """MD5 of each of these files that is there."""
        wanted = sorted(names)
        top = self.root / self.out.path
        hashed = self._all(wanted, lambda name: md5_of(top / name))
        return {name: md5 for name, md5 in zip(wanted, hashed, strict=True) if md5}

    def _cached(self, md5: str) -> str | None:
        return md5_of(place_of(self.cache, md5))

    def _is_link(self, name: str, md5: str) -> bool:
        """Whether a file and that of the cache are one, so that it need not be read twice."""
        try:
            return (self.root / self.out.path / name).samefile(place_of(self.cache, md5))
        except OSError:
            return False

    def _all(self, items: list[str], work: "Callable[[str], str | None]") -> list[str | None]:
        results = []
        with ThreadPoolExecutor(min(32, (os.cpu_count() or 1) + 1)) as pool:
            for done, result in enumerate(pool.map(work, items), start=1):
                results.append(result)
                self.talk.progress(LABEL, done, len(items))
        return results

    def _named(self, name: str) -> str:
        return self._shown(self.root / self.out.path / name)

    def _shown(self, path: Path) -> str:
        """From where the person is, as a command of theirs needs it."""
        return os.path.relpath(path) if path.is_relative_to(self.root) else str(path)


def _tree_md5(hashes: dict[str, str]) -> str:
    """The digest that DVC gives a folder of these files."""
    entries = [{"md5": md5, "relpath": name} for name, md5 in hashes.items()]
    entries.sort(key=lambda entry: tuple(entry["relpath"].split("/")))
    digest = _md5()
    digest.update(json.dumps(entries, sort_keys=True).encode())
    return f"{digest.hexdigest()}.dir"
