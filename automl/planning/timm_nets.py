"""timm networks by name: built for images of any size where their family can, and tried out."""

from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any

PYRAMIDS = ((4, 8, 16, 32), (2, 4, 8, 16, 32), (1, 2, 4, 8, 16, 32))
"""Strides of the feature maps that the decoders of SMP know."""
TRIAL = (64, 96)
"""Height and width of an image that a pyramid is tried with: odd numbers of strides of 32."""


def timm_net(architecture: str, **settings: Any) -> Any:
    """A timm net without weights that takes images of any size, where its family can."""
    import timm

    return first_that_builds(
        [
            partial(timm.create_model, architecture, **settings, **more)
            for more in any_size(architecture)
        ]
    )


def any_size(architecture: str) -> list[dict[str, Any]]:
    """Settings that free a timm net from its native size, by family; the last asks for nothing."""
    import timm

    config = timm.get_pretrained_cfg(architecture)
    if config is None or not config.fixed_input_size:
        return [{}]
    vision_transformer = {"dynamic_img_size": True, "dynamic_img_pad": True}
    return [vision_transformer, {"strict_img_size": False}, {}]


def first_that_builds(attempts: Sequence[Callable[[], Any]]) -> Any:
    """Families differ in the settings that they know, and refuse others by a `TypeError`."""
    for attempt in attempts[:-1]:
        try:
            return attempt()
        except TypeError:
            continue
    return attempts[-1]()


@cache
def lack(architecture: str, head: str) -> str:
    """What a timm net is without, so that it cannot carry a decoder or detection head; or empty.

    Detectors resample where a stride is missing; a decoder takes what it knows.
    """
    strides, sizes = _tried(architecture)
    if not strides or sizes != [_smaller(stride) for stride in strides]:
        return "it gives no feature maps of images of any size"
    if head in ("fcos", "retinanet", "ssd"):
        return ""
    if strides not in PYRAMIDS:
        return "it gives no pyramid of feature maps"
    if head == "deeplabv3plus" and _tried(architecture, output_stride=16)[1][-1:] != [_smaller(16)]:
        return "its last stages cannot be dilated"
    return ""


def _smaller(stride: int) -> tuple[int, int]:
    return -(-TRIAL[0] // stride), -(-TRIAL[1] // stride)


def _tried(architecture: str, **settings: int) -> tuple[tuple[int, ...], list[tuple[int, int]]]:
    """Strides and sizes of the feature maps, none where the net refuses; a trial without memory."""
    import torch

    try:
        with torch.device("meta"), torch.no_grad():
            net = timm_net(architecture, features_only=True, **settings).eval()
            maps = net(torch.empty(1, 3, *TRIAL))
    except Exception:  # each family has its own way to refuse, assertions among them
        return (), []
    first = 1 if getattr(net, "output_fmt", None) == "NHWC" else 2
    sizes = [(int(m.shape[first]), int(m.shape[first + 1])) for m in maps]
    return tuple(net.feature_info.reduction()), sizes
