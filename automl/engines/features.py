"""What a frozen backbone sees in each image: a vector, computed once and kept.

The same bits come out whether they were kept or are computed: all that they depend on is in the
key, and batches are cut the same way each time.
"""

import hashlib
import json
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import torch
from torch import nn

from automl.data.ahead import ahead, decoded_bytes
from automl.data.decoding import read_bytes
from automl.data.images import image_from_bytes
from automl.dataset import Dataset, Sample, SplitName
from automl.engines import disk_cache
from automl.engines.network import normalised
from automl.engines.onnx_net import Forward, NotConverted, converted, outputs_of
from automl.engines.stop_reasons import is_out_of_memory, no_memory
from automl.model.build import build, classifier, load_backbone, normalisation
from automl.model.preprocess import Fit, Preprocess
from automl.planning.backbones import Backbone
from automl.weights import Weights

VERSION = 3
"""Raise it whenever an image may give other features."""

Runner = Literal["torch", "onnx"]
BATCH: dict[Runner, int] = {"torch": 16, "onnx": 2}
"""Images at once; what ONNX Runtime computes of a few stays in the processor's caches."""
CARD_BATCH = 64
"""The same on a card: a guess, no card has been tried."""
BLOCK = 2048
"""Images whose features are kept together: what a kill costs at most. Batches divide it."""
OnImages = Callable[[int, int], None]
"""Called before each batch with the images done, and all of them; may raise."""


def ignore_images(done: int, total: int) -> None:
    """Does nothing."""


@dataclass(frozen=True)
class FeatureOptions:
    """How features are computed, and of how many images at most, evenly spread over the split."""

    fit: Fit = "crop"
    runner: Runner = "onnx"
    threads: int = 1
    most: int | None = None
    device: str = "cpu"


@dataclass
class FrozenBackbone:
    """A backbone without its last layer, in evaluation mode; `name` tells it from all others."""

    name: str
    body: Callable[[], nn.Module]
    """Builds it: only where features are not kept."""
    preprocess: Preprocess
    runner: Runner
    threads: int
    device: torch.device = torch.device("cpu")
    computed_by: str = ""
    """Where the last features came from: `torch`, `onnx`, or `kept` in the cache."""
    why_torch: str = ""
    """Why ONNX Runtime did not, though it was asked for."""
    forward: tuple[str, Forward] | None = None
    """`torch` or `onnx`, and the function of uint8 images; built when it is first needed."""


def features(
    backbone: Backbone,
    weights: Weights,
    dataset: Dataset,
    split: SplitName,
    image_size: tuple[int, int],
    options: FeatureOptions | None = None,
) -> tuple[np.ndarray, list[str]]:
    """Features float32 [N, D] of a split by a pretrained classifier's backbone, and image paths.

    `backbone` is a classification row, `weights` those that `model.weights.at_hand` gives;
    `image_size` is (height, width). Features are kept in the user's cache: asking twice costs a
    read. ONNX Runtime computes them on the CPU where it agrees with torch. ValueError where the
    classifier's last layer is not linear.
    """
    options, (mean, std) = options or FeatureOptions(), normalisation(backbone)

    def body() -> nn.Module:
        net = build(backbone, len(dataset.classes), image_size)
        load_backbone(net, backbone, weights)
        return without_last_layer(net, backbone)

    from automl.model.weights import file_of, sha256

    digest = weights.sha256 or sha256(file_of(backbone, weights))
    preprocess = Preprocess(image_size, options.fit, mean, std)
    name = f"{backbone.architecture} {digest}"
    device = torch.device(options.device)
    frozen = FrozenBackbone(name, body, preprocess, options.runner, options.threads, device)
    samples = evenly_spread(dataset.split(split), options.most)
    return image_features(frozen, dataset, samples), [sample.path for sample in samples]


def evenly_spread(samples: list[Sample], most: int | None) -> list[Sample]:
    """At most so many, evenly spread."""
    if most is None or len(samples) <= most:
        return samples
    return [samples[i * len(samples) // most] for i in range(most)]


def image_features(
    frozen: FrozenBackbone,
    dataset: Dataset,
    samples: list[Sample],
    on_images: OnImages = ignore_images,
) -> np.ndarray:
    """Features float32 [N, D] of these images."""
    rows, computed_by = [], "kept"
    for number, block in enumerate(_blocks(samples)):

        def shown(done: int, _: int, before: int = number * BLOCK) -> None:
            on_images(before + done, len(samples))

        rows.append(_of_block(frozen, dataset, block, shown))
        computed_by = computed_by if frozen.computed_by == "kept" else frozen.computed_by
    frozen.computed_by = computed_by
    return np.concatenate(rows)


def are_kept(frozen: FrozenBackbone, dataset: Dataset, samples: list[Sample]) -> bool:
    """Whether the features of all these images are there, to be read."""
    return all(disk_cache.holds(_key(frozen, dataset, block)) for block in _blocks(samples))


def _blocks(samples: list[Sample]) -> list[list[Sample]]:
    return [samples[begin : begin + BLOCK] for begin in range(0, len(samples), BLOCK)]


def _of_block(
    frozen: FrozenBackbone, dataset: Dataset, samples: list[Sample], on_images: OnImages
) -> np.ndarray:
    """The features that are kept, or are computed now."""
    key = _key(frozen, dataset, samples)
    found = _read(disk_cache.find(key), len(samples))
    if found is not None:
        frozen.computed_by = "kept"
        return found
    computed, genuine = _computed(frozen, dataset, samples, on_images)
    if genuine:
        disk_cache.keep(key, computed.tobytes())
    return computed


def without_last_layer(net: nn.Module, backbone: Backbone) -> nn.Module:
    """A copy without the last layer; ValueError where that is not one linear layer."""
    name = classifier(net, backbone)
    if name is None:
        raise ValueError(f"the last layer of `{backbone.name}` is not one linear layer")
    copy = deepcopy(net).eval()
    parent, _, last = name.rpartition(".")
    setattr(copy.get_submodule(parent), last, nn.Identity())
    return copy


def _key(frozen: FrozenBackbone, dataset: Dataset, samples: list[Sample]) -> str:
    """Everything that decides about the bits."""
    images = hashlib.sha256("\n".join(sample.digest for sample in samples).encode()).hexdigest()
    machine: list[Any] = [frozen.device.type, torch.backends.cpu.get_cpu_capability()]
    if frozen.device.type == "cuda":
        machine.append(torch.cuda.get_device_name(frozen.device))
    about: dict[str, Any] = {
        "version": VERSION,
        "libraries": [torch.__version__, cv2.__version__, np.__version__, *_onnx(frozen)],
        "machine": machine,
        "frozen": frozen.name,
        "runner": [frozen.runner, frozen.threads],
        "preprocess": frozen.preprocess.to_dict(),
        "images": images,
        "frame": dataset.frame,
    }
    return json.dumps(about, sort_keys=True)


def _onnx(frozen: FrozenBackbone) -> list[str]:
    """The release of ONNX Runtime where it is asked for; empty where it is not installed."""
    try:
        return [version("onnxruntime")] if frozen.runner == "onnx" else []
    except PackageNotFoundError:
        return []


def _read(data: bytearray | None, count: int) -> np.ndarray | None:
    if data is None or not count or len(data) % (4 * count):
        return None
    return np.frombuffer(data, np.float32).reshape(count, -1)


def _computed(
    frozen: FrozenBackbone, dataset: Dataset, samples: list[Sample], on_images: OnImages
) -> tuple[np.ndarray, bool]:
    """Features, and whether all files still held what the data index knows, and the memory all of
    a batch: only those are kept.
    """
    frozen.forward = frozen.forward or build_forward(frozen)
    frozen.computed_by, forward = frozen.forward
    rows: list[np.ndarray] = []
    genuine = True
    size = BATCH[frozen.runner] if frozen.device.type == "cpu" else CARD_BATCH
    images = ahead(partial(_image, frozen, dataset), samples, decoded_bytes(samples))
    for begin in range(0, len(samples), size):
        on_images(begin, len(samples))
        read = list(islice(images, size))
        genuine &= all(known for _, known in read)
        found, whole = _of_all(forward, np.stack([image for image, _ in read]), frozen.device)
        rows.append(found)
        genuine &= whole
    on_images(len(samples), len(samples))
    return np.concatenate(rows), genuine


def _image(frozen: FrozenBackbone, dataset: Dataset, sample: Sample) -> tuple[np.ndarray, bool]:
    """The image as the model sees it at prediction, and whether it is the one of the index."""
    path = Path(dataset.root) / sample.path
    data = read_bytes(path)
    image, _ = frozen.preprocess.apply(image_from_bytes(data, path, dataset.frame))
    return image, hashlib.sha256(data).hexdigest() == sample.digest


def _of_all(forward: Forward, images: np.ndarray, device: torch.device) -> tuple[np.ndarray, bool]:
    """Features, and whether of all at once: of half at a time where the memory does not suffice."""
    try:
        return forward(images)[0], True
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        if len(images) == 1:
            raise no_memory(str(device)) from error
    half = len(images) // 2
    parts = [_of_all(forward, part, device)[0] for part in (images[:half], images[half:])]
    return np.concatenate(parts), False


def _normalised(frozen: FrozenBackbone, images: np.ndarray) -> np.ndarray:
    """uint8 [B, H, W, 3] -> float32 [B, 3, H, W] as ONNX Runtime takes it."""
    pixels = torch.from_numpy(images.transpose(0, 3, 1, 2))
    return normalised(pixels, frozen.preprocess).contiguous().numpy()


def build_forward(frozen: FrozenBackbone) -> tuple[str, Forward]:
    """Takes uint8 [B, H, W, 3]; by ONNX Runtime where that is asked for and agrees, else torch."""
    body = frozen.body()
    if frozen.runner == "onnx" and frozen.device.type == "cpu":
        try:
            found = converted(body.float(), frozen.preprocess.size, frozen.threads, frozen.name)
        except NotConverted as error:
            frozen.why_torch = str(error)
        else:
            return "onnx", lambda images: found(_normalised(frozen, images))
    body.to(frozen.device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(images: np.ndarray) -> list[np.ndarray]:
        given = normalised(
            torch.from_numpy(images.transpose(0, 3, 1, 2)).to(frozen.device), frozen.preprocess
        )
        with torch.inference_mode():
            return [one.float().cpu().numpy() for one in outputs_of(body(given))]

    return "torch", forward
