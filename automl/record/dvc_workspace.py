"""A run's data and bundle in, DVC-tracked files out: by the `dvc` command and by links, not copies.

Nothing is committed: `.dvc` files and ignore lines are left for the user's own `git add`.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from automl.dataset import Dataset
from automl.lock import turn
from automl.recipe.schema import Recipe
from automl.record.dvc_config import system_config
from automl.record.dvc_files import DvcOut, tracked_by, workspace
from automl.record.dvc_unchanged import unchanged
from automl.run_dir import RunDir

LINKS = "hardlink,reflink,copy"
"""How DVC is asked to put a tracked file back into its place, best first."""

HEAVY = ("/checkpoints", "/engine", "/predictions", "/.lock")
"""Folders of a run that Git must not pick up beside the tracked bundle."""


@dataclass(frozen=True)
class DvcRecord:
    """What DVC knows of a run; `note` is one line for the person at the terminal."""

    data: DvcOut | None = None
    model: DvcOut | None = None
    note: str = ""

    def tags(self) -> dict[str, str]:
        """Paths and digests as MLflow tags."""
        known = {"data": self.data, "model": self.model}
        return {
            f"dvc.{name}.{key}": value
            for name, out in known.items()
            if out is not None
            for key, value in (("path", out.path), ("md5", out.md5))
        }


def track(run: RunDir, dataset: Dataset, recipe: Recipe) -> DvcRecord | None:
    """Has DVC track the data and the bundle; None where the recipe says `off`.

    Inside of a DVC stage nothing is added, for its outputs are tracked by `dvc.yaml`.
    """
    if recipe.track.dvc == "off":
        return None
    root = workspace(Path.cwd())
    command = dvc_command()
    if root is None:
        return DvcRecord(
            note="not a DVC workspace: data and model stay untracked; "
            "`git init && dvc init` makes one"
        )
    if command is None:
        return DvcRecord(
            note="no `dvc` command: data and model stay untracked; `pip install dvc` brings it"
        )
    if "DVC_STAGE" in os.environ:
        data, model = _targets(run, dataset)
        return DvcRecord(tracked_by(root, data), tracked_by(root, model))
    return _track(root, command, run, dataset)


def dvc_command() -> str | None:
    """The `dvc` beside this Python, or else that of the PATH."""
    beside = Path(sys.executable).with_name("dvc")
    return str(beside) if beside.is_file() else shutil.which("dvc")


def _targets(run: RunDir, dataset: Dataset) -> tuple[Path, Path]:
    return Path(dataset.root).resolve(), run.model.resolve()


def _track(root: Path, command: str, run: RunDir, dataset: Dataset) -> DvcRecord:
    data, model = _targets(run, dataset)
    # DVC gives up where another one works; two runs of one workspace take turns instead
    with turn(root / ".dvc" / "tmp" / "automl.lock"), environment() as variables:
        workspace = _Workspace(root, command, variables)
        notes, refused = workspace.add({"the data": data, "the model": model}, run.root)
        outs = [
            None if path in refused else workspace.settled(path, notes) for path in (data, model)
        ]
    return DvcRecord(outs[0], outs[1], "; ".join([*_tracked(outs), *notes]))


def _tracked(outs: list[DvcOut | None]) -> list[str]:
    """What is left for the person to do, where anything was tracked."""
    files = sorted({f"`{out.file}`" for out in outs if out and not out.owned})
    if not files:
        return []
    these = "this file" if len(files) == 1 else "these files"
    return [f"tracked by {' and '.join(files)}; commit {these}, then `dvc push`"]


@dataclass(frozen=True)
class _Workspace:
    """A DVC workspace and the command that works in it."""

    root: Path
    command: str
    environment: dict[str, str]

    def add(self, wanted: dict[str, Path], run: Path) -> tuple[list[str], list[Path]]:
        """Adds what can be added, in one command if possible; notes and paths of what cannot."""
        notes: list[str] = []
        refused = []
        targets = self._to_add(wanted, notes)
        if run in {path.parent for path in targets.values()}:
            _ignore_heavy(run)
        if targets and self._run("add", "--", *map(str, targets.values())).returncode != 0:
            for name, path in targets.items():
                done = self._run("add", "--", str(path))
                if done.returncode != 0:
                    notes.append(f"{name} is not tracked as it is: {reason(done.stderr)}")
                    refused.append(wanted[name])
        return notes, refused

    def _to_add(self, wanted: dict[str, Path], notes: list[str]) -> dict[str, Path]:
        """What DVC does not know, or not as it is now; notes say what it cannot be told."""
        targets = {}
        for name, path in wanted.items():
            known = tracked_by(self.root, path)
            obstacle = self._obstacle(path)
            if obstacle:
                notes.append(f"{name} {obstacle}")
            elif known is None or not (known.owned or unchanged(self.root, known)):
                targets[name] = self.root / known.path if known else path
        return targets

    def settled(self, path: Path, notes: list[str]) -> DvcOut | None:
        """What DVC knows of a path; not what a stage once made where the files differ now."""
        known = tracked_by(self.root, path)
        if known is None:
            return None
        if self._hides(known.file):
            notes.append(f"DVC does not see `{known.file}`: {_rules(known.file)}")
            return None
        if not known.owned:
            return known
        done = self._run("status", "--json", "--", str(self.root / known.path))
        if done.returncode == 0 and f'"{known.path}": "' not in done.stdout:
            return known
        notes.append(
            f"`{known.path}` differs from what `{known.file}` says; "
            "`dvc repro` or `dvc commit` brings them together"
        )
        return None

    def _obstacle(self, path: Path) -> str:
        if not path.is_relative_to(self.root) or not path.exists():
            return "is outside of the DVC workspace and stays untracked"
        if self.root.is_relative_to(path):
            return "is the whole DVC workspace and stays untracked; give it a folder of its own"
        return ""

    def _hides(self, file: str) -> bool:
        """Whether Git ignores a folder on the way to a file."""
        folders = [f"{folder}/" for folder in PurePosixPath(file).parents if folder.name]
        git = shutil.which("git")
        if not folders or git is None:
            return False
        words = [git, "check-ignore", "--quiet", "--stdin"]
        asked = subprocess.run(  # noqa: S603
            words,
            cwd=self.root,
            input="\n".join(folders),
            capture_output=True,
            text=True,
            check=False,
        )
        return asked.returncode == 0

    def _run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603
            [self.command, *words],
            cwd=self.root,
            env=self.environment,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )


def reason(stderr: str) -> str:
    """The first error of DVC's talk, with a cure where Git ignores the place of a `.dvc` file."""
    found = re.search(r"ERROR:\s*(.+)", stderr)
    line = found.group(1).strip() if found else (stderr.strip().splitlines() or ["no reason"])[-1]
    if "git-ignored" in line:
        return f"{line} Let Git see it: {_rules('runs/*/model.dvc')}"
    return line


def _rules(file: str) -> str:
    """What hides files from Git and not their `.dvc` file from DVC.

    DVC skips a folder that Git ignores, and a rule such as `/data/*` means the folder as well.
    """
    place = PurePosixPath(file).parent
    folder = place.with_name("*") if file.endswith("/model.dvc") else place
    return f"in `.gitignore` write `/{folder}/?*` and `!/{folder}/*.dvc`"


def _ignore_heavy(folder: Path) -> None:
    """Keeps Git from picking up checkpoints; DVC adds its own lines to the same file."""
    ignore = folder / ".gitignore"
    if not ignore.exists():
        ignore.write_text("\n".join(HEAVY) + "\n", encoding="utf-8")


@contextmanager
def environment() -> Iterator[dict[str, str]]:
    """DVC's environment, in which links are the default and nothing calls home.

    The settings stand in for the system's configuration, the weakest level: whatever the user has
    set for the machine, the account or the repository wins, and no file of theirs is touched.
    """
    with tempfile.TemporaryDirectory() as folder:
        config = system_config()
        for section, option, value in (
            ("cache", "type", LINKS),
            ("core", "check_update", "false"),
            ("core", "analytics", "false"),
        ):
            if not config.has_section(section):
                config.add_section(section)
            if not config.has_option(section, option):
                config.set(section, option, value)
        with (Path(folder) / "config").open("w", encoding="utf-8") as file:
            config.write(file)
        yield {**os.environ, "DVC_SYSTEM_CONFIG_DIR": folder, "DVC_NO_ANALYTICS": "1"}
