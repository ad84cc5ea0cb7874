"""Checkpoints: a folder of safetensors and JSON, complete when its manifest is there; no pickle.

`checkpoints/epoch-0007/` holds all that training goes on from after 7 epochs,
`epoch-0007-step-000014/` after 14 steps of the next. A folder is written under another name, each
file synced, then renamed. The one before is kept, for the day when the newest is found damaged.
"""

import hashlib
import json
import math
import re
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from automl import __version__
from automl.engines.tensor_file import Tensors as Tensors
from automl.engines.tensor_file import in_bytes
from automl.errors import MachineError, NumbersError, UsageError
from automl.files import cannot_write, sync, write_synced

FORMAT = 2
KEPT = 2
MANIFEST = "manifest.json"
_NAME = re.compile(r"epoch-(\d{4,})(?:-step-(\d{6,}))?")


@dataclass(frozen=True)
class Checkpoint:
    """Everything from which training goes on to the same bits.

    It was made after `epoch` finished epochs and `step` steps of the next one. `passed_over` says
    what is wrong with newer ones, which were not read.
    """

    epoch: int
    tensors: dict[str, Tensors]
    facts: dict[str, Any]
    step: int = 0
    passed_over: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The name of its folder."""
        return f"epoch-{self.epoch:04d}" + (f"-step-{self.step:06d}" if self.step else "")


def save(folder: Path, checkpoint: Checkpoint) -> None:
    """Writes it, then removes all but it and the one before; NumbersError where it holds NaN."""
    tensors = {name: _on_cpu(part) for name, part in checkpoint.tensors.items()}
    _refuse_what_is_no_number(checkpoint, tensors)
    final = folder / checkpoint.name
    fresh = folder / f".{final.name}.partial"
    needed = sum(t.nbytes for part in tensors.values() for t in part.values())
    try:
        _sweep(folder)
        fresh.mkdir(parents=True)
        _fill(fresh, checkpoint, tensors)
        _remove(final)  # the same position, damaged or of a run that was killed right after it
        fresh.rename(final)
        sync(folder)
        _forget_older(folder, final)
    except OSError as error:
        shutil.rmtree(fresh, ignore_errors=True)
        raise cannot_write("the checkpoint", final, error, needed) from error


def newest(folder: Path) -> Checkpoint | None:
    """The newest one whose bytes are those that were written, or None where there is none."""
    passed_over = []
    for path in reversed(_all(folder)):
        manifest, fault = _verified(path)
        if fault:
            passed_over.append(f"checkpoint {path.name} is damaged: {fault}")
            continue
        tensors = {Path(name).stem: load_file(path / name) for name in manifest["files"]}
        found = Checkpoint(manifest["epoch"], tensors, manifest["facts"], manifest["step"])
        return replace(found, passed_over=tuple(passed_over))
    if not passed_over:
        return None
    raise MachineError(
        f"no checkpoint is whole: {'; '.join(passed_over)}",
        where=str(folder),
        hint="bring it back from a backup, or remove that folder to train from the start",
    )


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
    """Puts back what `optimiser_tensors` took out, each laid out in memory like its parameter.

    A fused update walks through both side by side and does not look at strides.
    """
    owners = [p for group in optimiser.param_groups for p in group["params"]]
    state: dict[int, dict[str, Any]] = {}
    for name, tensor in tensors.items():
        index, key = name.split(".", 1)
        owner = owners[int(index)]
        laid = torch.empty_like(owner).copy_(tensor) if tensor.shape == owner.shape else tensor
        state.setdefault(int(index), {})[key] = laid
    groups = optimiser.state_dict()["param_groups"]
    optimiser.load_state_dict({"state": state, "param_groups": groups})


def finite(tensor: torch.Tensor) -> bool:
    """Whether it holds neither NaN nor infinity; a sum tells it fast where it is itself finite."""
    if not tensor.is_floating_point() or not tensor.numel():
        return True
    return math.isfinite(float(tensor.sum())) or bool(tensor.isfinite().all())


def _on_cpu(tensors: Tensors) -> Tensors:
    return {name: t.detach().cpu().contiguous() for name, t in tensors.items()}


def _refuse_what_is_no_number(checkpoint: Checkpoint, tensors: dict[str, Tensors]) -> None:
    for part, named in tensors.items():
        for name, tensor in named.items():
            if not finite(tensor):
                raise NumbersError(
                    f"`{name}` ({part}) is not a finite number after epoch {checkpoint.epoch}, "
                    f"step {checkpoint.step}; not saved",
                    hint="lower the learning rate, `--set train.lr=...`; the checkpoint before "
                    "it is as it was",
                )


def _fill(fresh: Path, checkpoint: Checkpoint, tensors: dict[str, Tensors]) -> None:
    """Every file and, last, the manifest; each is on the disk when this returns."""
    files = {}
    for part, named in tensors.items():
        size, digest = write_synced(fresh / f"{part}.safetensors", in_bytes(named))
        files[f"{part}.safetensors"] = {"bytes": size, "sha256": digest}
    manifest = {
        "format": FORMAT,
        "automl": __version__,
        "epoch": checkpoint.epoch,
        "step": checkpoint.step,
        "files": files,
        "facts": checkpoint.facts,
    }
    text = json.dumps({**manifest, "digest": _digest(manifest)}, indent=1)
    write_synced(fresh / MANIFEST, [text.encode()])
    sync(fresh)


def _digest(manifest: dict[str, Any]) -> str:
    """SHA-256 of the manifest less this entry: a flipped bit in it is seen in any format."""
    rest = {name: value for name, value in manifest.items() if name != "digest"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def _verified(path: Path) -> tuple[dict[str, Any], str]:
    """The manifest, and what is wrong with the folder; reads bytes and builds no tensor."""
    try:
        manifest = json.loads((path / MANIFEST).read_bytes())
        if manifest["digest"] != _digest(manifest):
            return {}, f"`{MANIFEST}` was changed"
        if manifest["format"] != FORMAT:
            raise _of_another_format(path, manifest)
        return manifest, _damage(path, manifest["files"])
    except FileNotFoundError:
        return {}, f"`{MANIFEST}` is missing"
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}, f"`{MANIFEST}` cannot be read"
    except OSError as error:
        return {}, str(error)


def _of_another_format(path: Path, manifest: dict[str, Any]) -> UsageError:
    return UsageError(
        f"the checkpoint has format {manifest['format']} of automl {manifest['automl']}, "
        f"this is automl {__version__}, which reads format {FORMAT}",
        where=str(path),
        hint="go on with the version that wrote it, or start a new run",
    )


def _damage(path: Path, files: dict[str, dict[str, Any]]) -> str:
    """What is wrong with the files beside the manifest; empty where nothing is."""
    there = {p.name for p in path.iterdir()} - {MANIFEST}
    if strange := sorted(there - files.keys()):
        return f"`{strange[0]}` does not belong there"
    for name, known in files.items():
        if name not in there:
            return f"`{name}` is missing"
        size = (path / name).stat().st_size
        if size != known["bytes"]:
            return f"`{name}` has {size} bytes instead of {known['bytes']}"
        with (path / name).open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != known["sha256"]:
                return f"`{name}` does not have its SHA-256"
    return ""


def _position(path: Path) -> tuple[int, int]:
    found = _NAME.fullmatch(path.name)
    return (int(found[1]), int(found[2] or 0)) if found else (-1, -1)


def _all(folder: Path) -> list[Path]:
    """Every complete folder, from the oldest position to the newest."""
    if not folder.is_dir():
        return []
    return sorted((p for p in folder.iterdir() if _NAME.fullmatch(p.name)), key=_position)


def _forget_older(folder: Path, final: Path) -> None:
    """Keeps `final` and the one before; one ahead of it was damaged and passed over."""
    here = _all(folder)
    before = [path for path in here if _position(path) < _position(final)]
    for path in here:
        if path != final and path not in before[1 - KEPT :]:
            _remove(path)


def _remove(path: Path) -> None:
    """Under another name first: a folder that is half removed would look damaged."""
    if path.is_dir():
        gone = path.with_name(f".{path.name}.gone")
        shutil.rmtree(gone, ignore_errors=True)
        path.rename(gone)
        shutil.rmtree(gone)


def _sweep(folder: Path) -> None:
    """Removes what a killed process left half done."""
    for left in folder.glob(".epoch-*"):
        shutil.rmtree(left, ignore_errors=True)
