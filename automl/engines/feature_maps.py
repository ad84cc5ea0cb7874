"""What the frozen backbone of a segmenter or a detector sees in training images, kept in memory.

A backbone gives maps at several strides; what stands behind them, a decoder or a pyramid with its
heads, learns from kept maps without a pass through the backbone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import nn

from automl.data.ahead import ahead, decoded_bytes
from automl.engines.features import FrozenBackbone, OnImages, build_forward
from automl.engines.frames import Frame, Frames
from automl.engines.network import Network
from automl.model.detectors import Features

BATCH = 8
"""Images of a pass through the backbone."""
LARGEST = 1_000_000_000
"""Bytes of all maps; where those of all images would take more, fewer images do."""

Window = tuple[slice, slice]


class ReplayedBackbone(nn.Module):
    """Stands in for the backbone and returns `maps`, its kept outputs for the current batch."""

    def __init__(self, body: nn.Module, *, with_images: bool) -> None:
        """`with_images`: the images themselves come first."""
        super().__init__()
        self.output_stride = getattr(body, "output_stride", 32)
        self.with_images = with_images
        self.maps: list[torch.Tensor] = []

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        """The kept maps, whatever the images."""
        return [images, *self.maps] if self.with_images else list(self.maps)


class BackboneMaps(nn.Module):
    """A backbone whose feature maps come as a tuple, without the images that some put first."""

    def __init__(self, body: nn.Module, *, with_images: bool) -> None:
        """Shares the backbone."""
        super().__init__()
        self.body, self.first = body, int(with_images)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Normalised images in."""
        return tuple(self.body(images)[self.first :])


@dataclass(frozen=True)
class BackboneSlot:
    """Where the backbone is in a net: the module that holds it, and its attribute there."""

    holder: nn.Module
    name: str
    with_images: bool

    @property
    def backbone(self) -> nn.Module:
        """The module that is there now."""
        found: nn.Module = getattr(self.holder, self.name)
        return found

    def replay(self) -> ReplayedBackbone:
        """Puts a stand-in for the backbone there."""
        stand_in = ReplayedBackbone(self.backbone, with_images=self.with_images)
        setattr(self.holder, self.name, stand_in)
        return stand_in


def find_backbone(network: Network) -> BackboneSlot | None:
    """Where a net has its backbone; None where that is not known."""
    if network.task == "segmentation":
        return BackboneSlot(network.net, "encoder", with_images=True)
    holder: Any = getattr(getattr(network.net, "net", None), "backbone", None)
    if isinstance(getattr(holder, "features", None), Features):
        return BackboneSlot(holder, "features", with_images=False)
    return None


@dataclass(frozen=True)
class FeatureMaps:
    """Maps float16 [N, C, h, w] by stride, of the frames at `indices`."""

    maps: list[torch.Tensor]
    indices: list[int]

    @property
    def finite(self) -> bool:
        """Whether none holds NaN or what float16 has no number for."""
        return all(bool(one.isfinite().all()) for one in self.maps)

    def batch(
        self, rows: np.ndarray, window: Window, size: tuple[int, int], device: torch.device
    ) -> list[torch.Tensor]:
        """The maps of some images as floats, cut to a window of the image of `size`."""
        chosen = torch.from_numpy(rows)
        found = []
        for one in self.maps:
            across = [side // part for side, part in zip(size, one.shape[2:], strict=True)]
            cut = [slice(w.start // n, w.stop // n) for w, n in zip(window, across, strict=True)]
            part = one[chosen][:, :, cut[0], cut[1]].to(device, torch.float32)
            found.append(part.contiguous(memory_format=torch.channels_last))
        return found


def compute_maps(
    frozen: FrozenBackbone, frames: Frames, most: int, on_images: OnImages
) -> FeatureMaps:
    """Of at most so many frames, evenly spread."""
    frozen.computed_by, forward = build_forward(frozen)

    def seen(shown: Sequence[Frame]) -> list[np.ndarray]:
        return forward(np.stack([frame.image for frame in shown]))

    bytes_each = sum(one.size for one in seen([frames[0]])) * torch.float16.itemsize
    count = min(len(frames), most, max(1, LARGEST // max(1, bytes_each)))
    indices = [number * len(frames) // count for number in range(count)]
    read = ahead(frames.__getitem__, indices, decoded_bytes([frames.samples[i] for i in indices]))
    maps: list[torch.Tensor] = []
    for at in range(0, count, BATCH):
        on_images(at, count)
        found = seen(list(islice(read, BATCH)))
        maps = maps or [torch.empty(count, *o.shape[1:], dtype=torch.float16) for o in found]
        for whole, part in zip(maps, found, strict=True):
            whole[at : at + len(part)] = torch.from_numpy(part)
    on_images(count, count)
    return FeatureMaps(maps, indices)
