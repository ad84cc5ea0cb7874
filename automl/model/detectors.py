"""Detectors: a head on a backbone; normalised images in, losses or boxes with class indices out."""

from collections.abc import Mapping
from functools import partial
from math import gcd
from typing import Any

import torch
from torch import Tensor, nn

from automl.errors import RecipeError
from automl.planning.backbones import Backbone
from automl.planning.timm_nets import timm_net

STRIDES = (8, 16, 32)
CHANNELS = 96  # of the pyramid; 128 and more cost CPU time that more epochs repay better
HEAD_CONVS = 2
SMALL_IMAGE = 512  # up to here the level of stride 64 sees the whole image
FIRST_SIDE = 2.0  # strides from a point to each side of its box before training
NMS_IOU = 0.6
MOST_BOXES = 300
LEAST_SCORE = 0.02
SSD_SCALES = (0.06, 0.14, 0.3, 0.5, 0.75, 1.0)  # of the image side, for strides 8 to 128
FINAL_LAYERS = ("cls_logits", "box_predictor", "classification_head.module_list")
"""Parts of the key names of the layers whose shape follows from the number of classes."""


class Batch(nn.Module):
    """Stands where torchvision resizes and normalises: it only makes a batch of images."""

    def forward(self, images: list[Tensor], targets: Any = None) -> tuple[Any, Any]:
        """Images side by side in one tensor whose sides are multiples of 32, zeros beyond them."""
        from torchvision.models.detection.image_list import ImageList

        sizes = [(int(image.shape[-2]), int(image.shape[-1])) for image in images]
        height, width = (-(-max(size[axis] for size in sizes) // 32) * 32 for axis in (0, 1))
        if all(size == (height, width) for size in sizes):
            return ImageList(torch.stack(tuple(images)), sizes), targets
        batch = images[0].new_zeros((len(sizes), 3, height, width))
        for place, image in zip(batch, images, strict=True):
            place[:, : image.shape[-2], : image.shape[-1]].copy_(image)
        return ImageList(batch, sizes), targets

    def postprocess(self, result: Any, *_sizes: Any) -> Any:
        """Boxes are in pixels of the given images already."""
        return result


class Detector(nn.Module):
    """A torchvision detector that takes and gives class indices and computes boxes in float32."""

    def __init__(self, net: Any, background: int) -> None:
        """`background` is 1 where the net keeps label 0 for it."""
        super().__init__()
        self.net = net
        self.background = background
        net.transform = Batch()
        for name, module in net.named_modules():
            if name in ("backbone", "head", "rpn.head", "roi_heads.box_predictor"):
                module.register_forward_hook(_to_float32)

    def forward(self, images: list[Tensor], targets: list[dict[str, Tensor]] | None = None) -> Any:
        """Losses by name in training, else `boxes`, `scores` and `labels` per image."""
        if self.training:
            return self.net(images, [self._shifted(target) for target in targets or ()])
        found = self.net(images)
        return [{**one, "labels": one["labels"] - self.background} for one in found]

    def _shifted(self, target: dict[str, Tensor]) -> dict[str, Tensor]:
        """The target with its labels as the net counts them."""
        return {**target, "labels": target["labels"] + self.background}


def _to_float32(_module: nn.Module, _inputs: Any, output: Any) -> Any:
    """Under autocast, anchors and box arithmetic follow the type of these outputs."""
    if isinstance(output, Tensor):
        return output.float()
    if isinstance(output, Mapping):
        return {name: _to_float32(_module, (), one) for name, one in output.items()}
    return type(output)(_to_float32(_module, (), one) for one in output)


class LoneBatchNorm(nn.BatchNorm2d):
    """Batch norm that uses its running statistics where a batch has one value per channel."""

    def forward(self, values: Tensor) -> Tensor:
        """SSD's last map is one pixel, and a batch may be one image."""
        lone = values.numel() == values.shape[1]
        return nn.functional.batch_norm(
            values,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            training=self.training and not lone,
            momentum=self.momentum or 0.0,
            eps=self.eps,
        )


class Features(nn.Module):
    """A timm backbone that gives one map per stride of `STRIDES`."""

    def __init__(self, architecture: str) -> None:
        """Without weights."""
        super().__init__()
        self.body = timm_net(architecture, features_only=True)
        info = self.body.feature_info
        reductions = list(info.reduction())
        self.sources = [_nearest(reductions, stride) for stride in STRIDES]
        self.channels = [info.channels()[source] for source in self.sources]
        self.resized = [reductions[i] != s for i, s in zip(self.sources, STRIDES, strict=True)]
        self.channels_last = getattr(self.body, "output_fmt", None) == "NHWC"

    def forward(self, images: Tensor) -> list[Tensor]:
        """Maps at strides 8, 16, 32; resampled where the backbone has none of that stride."""
        found = self.body(images)
        maps = []
        for source, stride, resized in zip(self.sources, STRIDES, self.resized, strict=True):
            one = found[source]
            one = one.permute(0, 3, 1, 2).contiguous() if self.channels_last else one
            size = [-(-side // stride) for side in images.shape[-2:]]
            maps.append(nn.functional.interpolate(one, size) if resized else one)
        return maps


def _nearest(reductions: list[int], stride: int) -> int:
    """The last map whose stride is nearest to the one wanted."""
    return min(range(len(reductions)), key=lambda i: (abs(reductions[i] - stride), -i))


class Pyramid(nn.Module):
    """Feature pyramid on a timm backbone, with levels at strides 8 to 64 or 128."""

    def __init__(self, architecture: str, levels: int) -> None:
        """`levels` is 4 or 5."""
        from torchvision.ops.feature_pyramid_network import (
            FeaturePyramidNetwork,
            LastLevelMaxPool,
            LastLevelP6P7,
        )

        super().__init__()
        self.features = Features(architecture)
        more = LastLevelMaxPool() if levels == 4 else LastLevelP6P7(CHANNELS, CHANNELS)
        self.fpn = FeaturePyramidNetwork(self.features.channels, CHANNELS, extra_blocks=more)
        self.out_channels = CHANNELS

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """The levels by name, finest first."""
        maps = self.features(images)
        levels: dict[str, Tensor] = self.fpn({str(i): one for i, one in enumerate(maps)})
        return levels


class Steps(nn.Module):
    """The maps of a timm backbone and two smaller ones after them, for SSD."""

    def __init__(self, architecture: str) -> None:
        """Strides 8 to 128."""
        super().__init__()
        self.features = Features(architecture)
        deepest = self.features.channels[-1]
        self.extra = nn.ModuleList([_smaller(deepest, 256), _smaller(256, 128)])
        self.out_channels = [*self.features.channels, 256, 128]

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """The maps by name, finest first."""
        maps = self.features(images)
        for block in self.extra:
            maps.append(block(maps[-1]))
        return {str(i): one for i, one in enumerate(maps)}


def _smaller(inputs: int, outputs: int) -> nn.Module:
    """A depthwise separable step to half the size."""
    middle = outputs // 2
    return nn.Sequential(
        nn.Conv2d(inputs, middle, 1, bias=False),
        _group_norm(middle),
        nn.ReLU6(inplace=True),
        nn.Conv2d(middle, middle, 3, 2, 1, groups=middle, bias=False),
        _group_norm(middle),
        nn.ReLU6(inplace=True),
        nn.Conv2d(middle, outputs, 1, bias=False),
        _group_norm(outputs),
        nn.ReLU6(inplace=True),
    )


def build_detector(backbone: Backbone, classes: int, image_size: tuple[int, int]) -> Detector:
    """A detector without weights; images keep the size that they come in."""
    levels = 4 if max(image_size) <= SMALL_IMAGE else 5
    if backbone.source == "torchvision":
        return _torchvision(backbone, classes)
    match backbone.head:
        case "fcos":
            return Detector(_fcos(Pyramid(backbone.architecture, levels), classes, levels), 0)
        case "retinanet":
            return Detector(_retinanet(Pyramid(backbone.architecture, levels), classes, levels), 0)
        case "ssd":
            return Detector(_ssd(Steps(backbone.architecture), classes, image_size), 1)
    raise RecipeError(
        f"model `{backbone.name}` has an unknown detection head `{backbone.head}`",
        hint="heads on timm backbones are fcos, retinanet and ssd",
    )


def _limits() -> dict[str, Any]:
    return {
        "nms_thresh": NMS_IOU,
        "detections_per_img": MOST_BOXES,
        "score_thresh": LEAST_SCORE,
    }


def _fcos(pyramid: Pyramid, classes: int, levels: int) -> nn.Module:
    """FCOS: one point in the middle of each cell, centre sampling, GIoU, centreness."""
    from torchvision.models.detection.anchor_utils import AnchorGenerator
    from torchvision.models.detection.fcos import FCOS, FCOSHead

    strides = [8.0 * 2**level for level in range(levels)]
    points = AnchorGenerator(tuple((s,) for s in strides), ((1.0,),) * levels)
    points.cell_anchors = [torch.tensor([[0.0, 0.0, s, s]]) for s in strides]
    head = FCOSHead(CHANNELS, 1, classes, HEAD_CONVS)
    # Sides are ReLU outputs: from 0 they hardly learn (loss after an epoch 0.75 against 0.42).
    nn.init.constant_(head.regression_head.bbox_reg.bias, FIRST_SIDE)
    net: nn.Module = FCOS(
        pyramid, num_classes=classes, anchor_generator=points, head=head, **_limits()
    )
    return net


def _retinanet(pyramid: Pyramid, classes: int, levels: int) -> nn.Module:
    """RetinaNet: nine anchors per place, from 20 px at stride 8 on."""
    from torchvision.models.detection.anchor_utils import AnchorGenerator
    from torchvision.models.detection.retinanet import RetinaNet, RetinaNetHead

    octaves = (1.0, 2 ** (1 / 3), 2 ** (2 / 3))
    sizes = tuple(tuple(round(20 * 2**level * o) for o in octaves) for level in range(levels))
    head = RetinaNetHead(CHANNELS, 9, classes, norm_layer=_group_norm)
    for part in (head.classification_head, head.regression_head):
        part.conv = part.conv[:HEAD_CONVS]
    anchors = AnchorGenerator(sizes, ((0.5, 1.0, 2.0),) * levels)
    net: nn.Module = RetinaNet(
        pyramid, num_classes=classes, anchor_generator=anchors, head=head, **_limits()
    )
    return net


def _group_norm(channels: int) -> nn.Module:
    """It does not mind small batches."""
    return nn.GroupNorm(gcd(32, channels), channels)


def _ssd(steps: Steps, classes: int, image_size: tuple[int, int]) -> nn.Module:
    """SSD with the depthwise heads of SSDLite."""
    from torchvision.models.detection.anchor_utils import DefaultBoxGenerator
    from torchvision.models.detection.ssd import SSD
    from torchvision.models.detection.ssdlite import SSDLiteHead

    anchors = DefaultBoxGenerator([[2, 3]] * len(steps.out_channels), scales=list(SSD_SCALES))
    per_place = anchors.num_anchors_per_location()
    head = SSDLiteHead(steps.out_channels, per_place, classes + 1, _group_norm)
    net: nn.Module = SSD(steps, anchors, image_size, classes + 1, head=head, **_limits())
    return net


def _torchvision(backbone: Backbone, classes: int) -> Detector:
    """One of torchvision's own detectors."""
    from torchvision.models import get_model

    background = 0 if backbone.head in ("fcos", "retinanet") else 1
    limits = _limits()
    if backbone.head == "fasterrcnn":
        limits = {f"box_{name}": value for name, value in limits.items()}
    if backbone.architecture.startswith("ssdlite"):
        limits["norm_layer"] = partial(LoneBatchNorm, eps=0.001, momentum=0.03)  # as published
    net = get_model(
        backbone.architecture,
        weights=None,
        weights_backbone=None,
        num_classes=classes + background,
        **limits,
    )
    return Detector(net, background)
