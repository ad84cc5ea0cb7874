"""The bundle: a finished model as `weights.safetensors` and `model.json`. No pickle anywhere."""

import hashlib
import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from automl.data.frame import Frame
from automl.dataset import Class, Task
from automl.errors import AutomlError, UsageError
from automl.files import cannot_write, sync
from automl.folder_swap import beside, replace_folder
from automl.model.preprocess import Preprocess
from automl.planning.model_row import Backbone

if TYPE_CHECKING:
    from torch import Tensor

FORMAT = 1
WEIGHTS, DESCRIPTION = "weights.safetensors", "model.json"
_OWN_NAME = re.compile(r"[\w.-]+")
REBUILD = "run `automl train RUN` again, or copy the bundle from where it was made"


@dataclass(frozen=True)
class Bundle:
    """All that prediction needs besides the weights; `classes` are in the order of the outputs.

    `backbone` is the row of the model table; `extra` is the engine's own. `weights_sha256` is
    filled in by `save` and `read`.
    """

    task: Task
    engine: Literal["native", "yolo"]
    backbone: dict[str, Any]
    classes: tuple[Class, ...]
    preprocess: Preprocess
    licence: str
    run: str
    dataset_digest: str
    extra: dict[str, Any] = field(default_factory=dict)
    format: int = FORMAT
    weights_sha256: str = ""

    @property
    def names(self) -> list[str]:
        """Class names by index."""
        return [c.name for c in self.classes]

    @property
    def several_labels(self) -> bool:
        """Whether an image may show several classes: each has a probability of its own."""
        return self.extra.get("several_labels") is True

    @property
    def frame(self) -> Frame | None:
        """Which picture of files that hold several, as in training."""
        found = self.extra.get("frame")
        return found if found == "middle" or type(found) is int and found >= 0 else None


def save(folder: Path, bundle: Bundle, state: "dict[str, Tensor]") -> Bundle:
    """Writes the bundle so that `folder` never holds half of one; replaces an older one.

    MachineError where the disk is full or may not be written.
    """
    from safetensors.torch import save as to_bytes

    # clones, because safetensors refuses tensors that share memory; CPU, so that any machine reads
    data = to_bytes({k: v.detach().cpu().contiguous().clone() for k, v in state.items()})
    bundle = replace(bundle, weights_sha256=hashlib.sha256(data).hexdigest())
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = beside(folder)
    try:
        fresh.mkdir()
        _write(fresh / WEIGHTS, data)
        _write(fresh / DESCRIPTION, _described(bundle, len(data)))
        sync(fresh)
        replace_folder(fresh, folder)
        sync(folder.parent)
    except OSError as error:
        failed = cannot_write("the model", folder, error, len(data))
        shutil.rmtree(fresh, ignore_errors=True)
        raise failed from error
    return bundle


def read(folder: Path) -> Bundle:
    """Reads the description and checks that the weights lie beside it in their full size."""
    raw = _raw(folder)
    weights = folder / WEIGHTS
    try:
        if weights.stat().st_size != raw["weights"]["bytes"]:
            raise _damaged(folder, f"`{WEIGHTS}` does not have its size")
        return Bundle(
            task=_one_of(get_args(Task), raw["task"]),
            engine=_one_of(("native", "yolo"), raw["engine"]),
            backbone=dict(raw["backbone"]),
            classes=tuple(Class(int(c["id"]), str(c["name"])) for c in raw["classes"]),
            preprocess=Preprocess.from_dict(raw["preprocess"]),
            licence=raw["licence"],
            run=raw["run"],
            dataset_digest=raw["dataset_digest"],
            extra=dict(raw["extra"]),
            weights_sha256=raw["weights"]["sha256"],
        )
    except FileNotFoundError:
        raise _damaged(folder, f"`{WEIGHTS}` is missing") from None
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(folder, f"`{DESCRIPTION}` does not hold what it must: {error}") from None


def load_state(folder: Path) -> "dict[str, Tensor]":
    """The weights on the CPU, after their SHA-256 is found as recorded."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    bundle = read(folder)
    data = (folder / WEIGHTS).read_bytes()
    if hashlib.sha256(data).hexdigest() != bundle.weights_sha256:
        raise _damaged(folder, f"`{WEIGHTS}` does not have its SHA-256")
    try:
        state = load(data)
    except SafetensorError as error:
        raise _damaged(folder, f"`{WEIGHTS}` cannot be read: {error}") from None
    for name, tensor in state.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise _damaged(folder, f"`{name}` in `{WEIGHTS}` holds what is no number")
    return state


def row(bundle: Bundle) -> Backbone:
    """Its row of the model table; ValueError or TypeError where it describes no such model.

    Only a library's own names are built: another could name a folder or a page of a hub.
    """
    found = Backbone(**bundle.backbone)
    if (found.task, found.engine) != (bundle.task, bundle.engine):
        raise ValueError(f"`{found.name}` is a model for {found.task} in engine {found.engine}")
    if not _OWN_NAME.fullmatch(found.architecture):
        raise ValueError(f"`{found.architecture}` is no name of a library's own model")
    return found


@contextmanager
def buildable(folder: Path) -> Iterator[None]:
    """Turns whatever a net says that its bundle does not fit into one fault with its cure."""
    try:
        yield
    except AutomlError:
        raise
    except Exception as error:  # each library has errors of its own
        first = (str(error) or type(error).__name__).strip().splitlines()[0]
        raise _damaged(folder, f"its model cannot be built: {first}") from error


def _one_of(known: tuple[Any, ...], value: Any) -> Any:
    if value not in known:
        raise ValueError(f"`{value}` is not one of {', '.join(known)}")
    return value


def _described(bundle: Bundle, size: int) -> bytes:
    """`model.json` in bytes; equal bundles give equal bytes."""
    described = {
        "format": bundle.format,
        "task": bundle.task,
        "engine": bundle.engine,
        "backbone": bundle.backbone,
        "classes": [{"id": c.id, "name": c.name} for c in bundle.classes],
        "preprocess": bundle.preprocess.to_dict(),
        "licence": bundle.licence,
        "run": bundle.run,
        "dataset_digest": bundle.dataset_digest,
        "extra": bundle.extra,
        "weights": {"file": WEIGHTS, "bytes": size, "sha256": bundle.weights_sha256},
    }
    text = json.dumps(described, indent=1, ensure_ascii=False, allow_nan=False)
    return (text + "\n").encode()


def _raw(folder: Path) -> dict[str, Any]:
    """`model.json` parsed, of a format that this version knows."""
    path = folder / DESCRIPTION
    try:
        raw = json.loads(path.read_bytes())
        version = raw["format"]
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError(
            f"no model bundle: `{DESCRIPTION}` is missing",
            where=str(folder),
            hint="name a run, or the `model` folder that `automl train` leaves in it",
        ) from None
    except (ValueError, KeyError, TypeError, RecursionError):
        raise _damaged(folder, f"`{DESCRIPTION}` is not what `automl` writes") from None
    if not isinstance(version, int) or version > FORMAT:
        raise UsageError(
            f"the model bundle has format {version}, this version reads up to {FORMAT}",
            where=str(path),
            hint="install a newer version: `pip install --upgrade automl-vision`",
        )
    return dict(raw)


def _damaged(folder: Path, what: str) -> UsageError:
    return UsageError(f"the model bundle is damaged: {what}", where=str(folder), hint=REBUILD)


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    sync(path)
