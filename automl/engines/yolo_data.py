"""Training images as Ultralytics' own loader gives them: what it reads, how an epoch begins."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from automl.engines.randomness import seed_for
from automl.prediction import Truth

Item = tuple[np.ndarray, Truth]
PARTNERS = 16
"""Images that the first mosaics of an epoch choose from; later ones take those seen by then."""


def description(images: Path, names: list[str]) -> dict[str, Any]:
    """Our layout in the words of a data YAML. It must name a validation set, but reads none."""
    return {
        "path": images.parent,
        "train": str(images),
        "val": str(images),
        "nc": len(names),
        "names": dict(enumerate(names)),
        "channels": 3,
    }


def begin_epoch(loader: Any, seed: int, epoch: int) -> None:
    """All that the loader draws in an epoch depends on the seed and the epoch alone."""
    drawn = seed_for(seed, "epoch", epoch)
    random.seed(drawn)
    np.random.seed(drawn)
    torch.manual_seed(drawn)
    loader.reset()
    loader.generator.manual_seed(drawn)
    samples = loader.dataset
    for index in samples.buffer:  # images that mosaics would take from the epoch before
        samples.ims[index] = samples.im_hw0[index] = samples.im_hw[index] = None
    # With none to choose from, the first mosaic of an epoch would show one image four times.
    partners = max(0, min(PARTNERS, samples.max_buffer_length - 1))
    samples.buffer = random.sample(range(samples.ni), partners)


def first_epoch(settings: Any, data: dict[str, Any], seed: int) -> Iterator[Item]:
    """RGB images and boxes of epoch 0 in their order; a truth's path is that of the layout."""
    from ultralytics.data import build_dataloader, build_yolo_dataset

    samples = build_yolo_dataset(settings, data["train"], settings.batch, data)
    loader = build_dataloader(samples, settings.batch, workers=0, device="cpu")
    begin_epoch(loader, seed, 0)
    for batch in loader:
        for place, path in enumerate(batch["im_file"]):
            image = np.ascontiguousarray(batch["img"][place].permute(1, 2, 0).numpy())
            here = batch["batch_idx"] == place
            labels = batch["cls"][here].flatten().numpy().astype(np.int64)
            yield image, Truth(path, boxes=_corners(batch["bboxes"][here], image), labels=labels)


def _corners(shares: torch.Tensor, image: np.ndarray) -> np.ndarray:
    """Middle and size as shares of the image -> x0, y0, x1, y1 in pixels."""
    middle, half = shares[:, :2].numpy(), shares[:, 2:].numpy() / 2
    height, width = image.shape[:2]
    corners = np.concatenate([middle - half, middle + half], axis=1)
    return np.asarray(corners * (width, height, width, height), np.float32)
