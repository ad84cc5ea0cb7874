"""Checkpoints: a folder of safetensors and JSON, complete when its manifest is there; no pickle.

`checkpoints/epoch-0007/` holds all that training goes on from. A folder is written under another
name, synced and renamed; only then is its predecessor removed.
"""

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from automl.errors import MachineError
from automl.files import sync

Tensors = dict[str, torch.Tensor]
_NAME = re.compile(r"epoch-(\d{4,})")


@dataclass(frozen=True)
class Checkpoint:
    """Everything from which training goes on to the same bits after `epoch` finished epochs."""

    epoch: int
    tensors: dict[str, Tensors]
    facts: dict[str, Any]


def save(folder: Path, checkpoint: Checkpoint) -> None:
    """Writes `epoch-NNNN`, then removes older ones."""
    final = folder / f"epoch-{checkpoint.epoch:04d}"
    temporary = folder / f".{final.name}.partial"
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        for name, tensors in checkpoint.tensors.items():
            save_file(_detached(tensors), temporary / f"{name}.safetensors")
        sizes = {p.name: p.stat().st_size for p in temporary.iterdir()}
        manifest = {"epoch": checkpoint.epoch, "files": sizes, "facts": checkpoint.facts}
        (temporary / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
        for path in [*temporary.iterdir(), temporary]:
            sync(path)
        shutil.rmtree(final, ignore_errors=True)
        temporary.rename(final)
        sync(folder)
    except OSError as error:
        raise MachineError(
            f"cannot write the checkpoint: {error.strerror or error}",
            where=str(temporary),
            hint="free some space or fix the permission, then run again with `--resume`",
        ) from error
    for other in folder.iterdir():
        if _NAME.fullmatch(other.name) and other != final:
            shutil.rmtree(other)


def newest(folder: Path) -> Checkpoint | None:
    """The newest complete checkpoint, or None."""
    found = [p for p in folder.glob("epoch-*") if _complete(p)] if folder.is_dir() else []
    if not found:
        return None
    path = max(found, key=lambda p: p.name)
    manifest = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
    tensors = {Path(name).stem: load_file(path / name) for name in manifest["files"]}
    return Checkpoint(manifest["epoch"], tensors, manifest["facts"])


def optimiser_tensors(optimiser: torch.optim.Optimizer) -> Tensors:
    """The optimiser's state as tensors named `<parameter>.<key>`; scalars become tensors."""
    state = optimiser.state_dict()["state"]
    return {
        f"{index}.{key}": torch.as_tensor(value)
        for index, values in state.items()
        for key, value in values.items()
        if value is not None
    }


def restore_optimiser(optimiser: torch.optim.Optimizer, tensors: Tensors) -> None:
    """Puts back what `optimiser_tensors` took out."""
    state: dict[int, dict[str, Any]] = {}
    for name, tensor in tensors.items():
        index, key = name.split(".", 1)
        state.setdefault(int(index), {})[key] = tensor
    groups = optimiser.state_dict()["param_groups"]
    optimiser.load_state_dict({"state": state, "param_groups": groups})


def _detached(tensors: Tensors) -> Tensors:
    return {name: t.detach().cpu().contiguous() for name, t in tensors.items()}


def _complete(path: Path) -> bool:
    manifest = path / "manifest.json"
    if not manifest.is_file():
        return False
    files = json.loads(manifest.read_text(encoding="utf-8"))["files"]
    return all((path / n).is_file() and (path / n).stat().st_size == s for n, s in files.items())
