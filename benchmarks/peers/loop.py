"""A plain training loop as the references of torchvision and timm have it, in one process."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from course import Course, hits, images
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset

BATCH = 16
"""What Ultralytics and our own plan take for so few images: running means need the steps."""


class Images(Dataset[tuple[torch.Tensor, int]]):
    """Pillow decodes, the transform does the rest, anew each time."""

    def __init__(self, folder: Path, transform: Callable[[Any], torch.Tensor]) -> None:
        self.rows, self.transform = images(folder), transform

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        path, label = self.rows[index]
        with Image.open(path) as image:
            return self.transform(image.convert("RGB")), label


def net_of(name: str, weights: Path, classes: int) -> nn.Module:
    """timm's net with the weights of a file and a new head, drawn as torch draws a layer.

    With `num_classes`, timm would draw it as for training from scratch: far larger, and worse here.
    """
    overlay = {"file": str(weights)}
    net = timm.create_model(name, pretrained=True, pretrained_cfg_overlay=overlay)
    net.reset_classifier(classes)
    return net


def judged(net: nn.Module, data: Images) -> list[float]:
    """Hits, one an image."""
    net.eval()
    found = []
    with torch.inference_mode():
        for batch, labels in DataLoader(data, batch_size=32):
            found += hits(net(batch).numpy(), labels.numpy())
    return found


def train(  # noqa: PLR0913  a loop has these parts
    net: nn.Module,
    sets: tuple[Images, Images, Images],
    optimiser: torch.optim.Optimizer,
    loss: nn.Module,
    epochs: int,
    course: Course,
) -> None:
    """Cosine to zero over all steps, validation and the best kept after each epoch."""
    learnt, val, test = sets
    loader = DataLoader(learnt, batch_size=BATCH, shuffle=True, drop_last=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs * len(loader))
    for _ in range(epochs):
        net.train()
        for batch, labels in loader:
            optimiser.zero_grad()
            loss(net(batch), labels).backward()
            optimiser.step()
            schedule.step()
        if not course.epoch(float(np.mean(judged(net, val))), lambda: judged(net, test)):
            break
    course.end()
