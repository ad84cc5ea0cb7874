"""A commit and a patch in; the program's sources as they were, in a worktree of their own, out."""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from automl.errors import UsageError
from automl.record.git_state import git


def has(top: Path, commit: str) -> bool:
    """Whether the repository knows a commit."""
    return git(top, "cat-file", "-e", f"{commit}^{{commit}}") is not None


@contextmanager
def checked_out(top: Path, commit: str, patch: Path | None) -> Iterator[Path]:
    """The commit with the patch applied, while the block runs; nothing of it stays."""
    with tempfile.TemporaryDirectory(prefix="automl-code-") as folder:
        place = Path(folder) / "code"
        try:
            _git(top, "worktree", "add", "--quiet", "--detach", str(place), commit)
            if patch is not None:
                _git(place, "apply", "--whitespace=nowarn", str(patch.absolute()))
            yield place
        finally:
            git(top, "worktree", "remove", "--force", str(place))
            git(top, "worktree", "prune")


def _git(folder: Path, *words: str) -> None:
    """A Git command that must work; hooks of the repository are not run."""
    command = ["git", "-c", "core.hooksPath=/dev/null", "-C", str(folder), *words]
    done = subprocess.run(  # noqa: S603
        command, capture_output=True, text=True, errors="replace", check=False
    )
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["no reason"])[-1]
        raise UsageError(
            f"the code of the run cannot be restored: {said}",
            where=str(folder),
            hint="`--here` repeats the run with the current code",
        )
