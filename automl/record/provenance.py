"""Where a run comes from: code, packages and machine in, one dictionary out. Never a secret."""

import platform
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import automl
from automl.files import read_object
from automl.record.git_state import Patch, git, git_state, top_of
from automl.record.machine import (
    all_packages_digest,
    machine,
    package_versions,
    process,
    program_digest,
)
from automl.record.secrets import without_secrets

__all__ = [
    "collect",
    "git_commit",
    "git_state",
    "now",
    "patched",
    "program",
    "weights_digest",
    "without_secrets",
]

FORMAT = 2


def collect(
    *,
    device: str,
    threads: int,
    seed: int,
    beside: Sequence[Path] = (),
    **facts: Any,
) -> dict[str, Any]:
    """Everything that made the run, ready for JSON; `facts` are added as they are."""
    here = Path.cwd()
    return {
        "format": FORMAT,
        "time": now(),
        "command": [without_secrets(word) for word in sys.argv],
        "git": git_state(here, beside),
        "program": program(here, beside),
        "python": platform.python_version(),
        "packages": package_versions(),
        "packages_digest": all_packages_digest(),
        "machine": machine(),
        "process": process(),
        "device": device,
        "threads": threads,
        "seed": seed,
        **facts,
    }


def program(here: Path, beside: Sequence[Path] = ()) -> dict[str, Any]:
    """Which automl ran: its version, its sources' digest, and their Git where they are in one.

    `git` is None where they are installed, `"workspace"` where the workspace is their checkout.
    """
    top = checkout()
    state: Any = None
    if top is not None:
        state = "workspace" if top == top_of(here) else git_state(top, beside)
    return {"version": automl.__version__, "digest": program_digest(), "git": state}


def checkout() -> Path | None:
    """The Git checkout that the running automl belongs to; None where it is installed."""
    package = Path(__file__).resolve().parents[1]
    if git(package, "ls-files", "--error-unmatch", "--", "__init__.py") is None:
        return None
    return top_of(package)


def patched(patch: Patch, file: Path) -> dict[str, Any] | None:
    """Writes a patch beside the run's files and describes it; None where there is nothing."""
    file.unlink(missing_ok=True)
    if patch.content:
        file.write_bytes(patch.content)
    if not patch.content and not patch.left_out:
        return None
    return {
        "file": file.name if patch.content else "",
        "bytes": len(patch.content),
        "sha256": sha256(patch.content).hexdigest() if patch.content else "",
        "left_out": list(patch.left_out),
    }


def weights_digest(bundle: Path) -> str:
    """SHA-256 of a bundle's weights, as its description has it."""
    weights = read_object(bundle / "model.json", "train").get("weights", {})
    return str(weights.get("sha256", ""))


def now() -> str:
    """The time of day in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def git_commit(provenance: Mapping[str, Any]) -> str:
    """The commit that a `provenance.json` names, with `+` where the tree was dirty."""
    git = provenance.get("git") or {}
    return f"{git.get('commit', '')}{'+' if git.get('dirty') else ''}"
