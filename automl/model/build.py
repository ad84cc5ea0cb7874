"""Nets: a row of the model table in, a torch module with or without pretrained weights out."""

import re
from functools import partial
from math import gcd
from typing import Any

from torch import Tensor, nn

from automl.errors import MachineError, RecipeError
from automl.model import weights as pretrained
from automl.planning.backbones import Backbone
from automl.planning.timm_nets import any_size, first_that_builds, timm_net
from automl.weights import Weights

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
STAGES = 5  # a backbone halves its image about five times
HEAD_DEVIATION = 0.02  # as vision transformers are drawn
Three = tuple[float, float, float]


def build(backbone: Backbone, classes: int, image_size: tuple[int, int]) -> nn.Module:
    """The net without weights; `image_size` is height and width."""
    match backbone.task, backbone.source:
        case "classification", "timm":
            return _with_calm_head(timm_net(backbone.architecture, num_classes=classes))
        case "classification", "torchvision":
            return _torchvision_classifier(backbone.architecture, classes)
        case "segmentation", "smp":
            return _segmenter(backbone, classes)
        case "detection", "timm" | "torchvision":
            from automl.model.detectors import build_detector

            return build_detector(backbone, classes, image_size)
    raise RecipeError(f"model `{backbone.name}` is built by its own engine `{backbone.engine}`")


def _with_calm_head(net: Any) -> nn.Module:
    """Lets the new classifier start near equal probabilities.

    timm draws that of the EfficientNet and MobileNet families with a deviation of
    1 / sqrt(classes): for two classes the first loss is 2.5 instead of 0.7, and the backbone pays.
    """
    heads = net.get_classifier()
    for head in heads if isinstance(heads, tuple) else (heads,):
        if isinstance(head, nn.Linear):
            nn.init.trunc_normal_(head.weight, std=HEAD_DEVIATION)
            nn.init.zeros_(head.bias)
    kept: nn.Module = net
    return kept


def _torchvision_classifier(architecture: str, classes: int) -> nn.Module:
    from torchvision.models import get_model

    net: nn.Module = get_model(architecture, weights=None, num_classes=classes)
    return net


def _segmenter(backbone: Backbone, classes: int) -> nn.Module:
    import segmentation_models_pytorch as smp

    def attempt(**settings: Any) -> nn.Module:
        net: nn.Module = smp.create_model(
            backbone.head,
            encoder_name=f"tu-{backbone.encoder}",
            encoder_weights=None,
            classes=classes,
            **settings,
        )
        return net

    try:
        net: nn.Module = first_that_builds(
            [partial(attempt, **more) for more in any_size(backbone.encoder)]
        )
    except (ValueError, TypeError, RuntimeError, AttributeError, StopIteration) as error:
        raise RecipeError(
            f"encoder `{backbone.encoder}` cannot carry the decoder `{backbone.head}`: {error}",
            hint="take an encoder with maps at strides 4 to 32; `automl models` lists some",
        ) from error
    _normalise_single_pixels(net)
    return net


def _normalise_single_pixels(net: nn.Module) -> None:
    """Batch norm cannot train on the one pixel that global pooling leaves of a single image."""
    for branch in net.modules():
        first = next(branch.children(), None)
        if isinstance(first, nn.AdaptiveAvgPool2d) and first.output_size in (1, (1, 1)):
            for module in branch.modules():
                for name, child in module.named_children():
                    if isinstance(child, nn.BatchNorm2d):
                        channels = child.num_features
                        setattr(module, name, nn.GroupNorm(gcd(32, channels), channels))


def normalisation(backbone: Backbone) -> tuple[Three, Three]:
    """Mean and deviation of the images, in 0..1 RGB, that the pretrained weights have seen."""
    if backbone.source == "ultralytics":
        return (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    if backbone.source == "torchvision":
        half = (0.5, 0.5, 0.5)
        return (half, half) if backbone.architecture.startswith("ssdlite") else IMAGENET
    import timm

    config = timm.get_pretrained_cfg(backbone.encoder)
    return (tuple(config.mean), tuple(config.std)) if config else IMAGENET


def load_backbone(net: nn.Module, backbone: Backbone, weights: Weights) -> int:
    """Puts pretrained tensors into the net and says how many; each that belongs there must fit."""
    given = pretrained.load_state(backbone, weights)
    own = net.state_dict()
    wanted = _covered(net, backbone, weights)
    chosen, unfit = {}, []
    for key, name in wanted.items():
        tensor = _pick(given, name)
        if tensor is not None and tensor.shape == own[key].shape:
            chosen[key] = tensor
        elif not key.endswith("num_batches_tracked"):  # a counter that old files lack
            unfit.append(name)
    if unfit or not chosen:
        shown = ", ".join(f"`{name}`" for name in unfit[:3]) or "everything"
        raise MachineError(
            f"weights `{weights.name}` do not fit model `{backbone.name}`: {len(unfit)} of "
            f"{len(wanted)} tensors are missing or have another shape: {shown}",
            hint="take the file that `automl models --fetch` brings, or set `weights: none`",
        )
    net.load_state_dict(chosen, strict=False)
    return len(chosen)


def _covered(net: nn.Module, backbone: Backbone, weights: Weights) -> dict[str, str]:
    """The keys of the net that pretrained weights hold, and their names in them."""
    if weights.covers == "all":
        from automl.model.detectors import FINAL_LAYERS

        keys = [k for k in net.state_dict() if not any(part in k for part in FINAL_LAYERS)]
        return {key: key.removeprefix("net.") for key in keys}
    heads, prefix = _heads(net, backbone), _prefix(net, backbone)
    keys = [k for k in net.state_dict() if k.startswith(prefix) and not k.startswith(heads)]
    return {key: key.removeprefix(prefix) for key in keys}


def _pick(given: dict[str, Tensor], name: str) -> Tensor | None:
    """The tensor of a name; timm's feature extractors flatten `stages.0` to `stages_0`."""
    for alias in (name, re.sub(r"^([a-z_]+?)_(\d+)\.", r"\1.\2.", name)):
        if alias in given:
            return given[alias]
    return None


def _prefix(net: nn.Module, backbone: Backbone) -> str:
    """What the keys of the backbone begin with."""
    match backbone.task:
        case "classification":
            return ""
        case "segmentation":
            prefix = "encoder.model."
        case "detection" if backbone.source == "torchvision" and backbone.head == "ssd":
            prefix = "net.backbone.features."
        case "detection" if backbone.source == "torchvision":
            prefix = "net.backbone.body."
        case _:
            prefix = "net.backbone.features.body."
    inner = f"{prefix}model."  # timm wraps some nets once more to read features from them
    wrapped = any(key.startswith(inner) for key in net.state_dict())
    return inner if wrapped else prefix


def _heads(net: Any, backbone: Backbone) -> tuple[str, ...]:
    """What the keys of a classifier's last layer begin with."""
    if backbone.task != "classification":
        return ()
    if backbone.source == "timm":
        named = net.pretrained_cfg["classifier"]
        names = (named,) if isinstance(named, str) else tuple(named)
    else:
        names = ([n for n, m in net.named_modules() if isinstance(m, nn.Linear)][-1],)
    return tuple(f"{name}." for name in names)


def classifier(net: nn.Module, backbone: Backbone) -> str | None:
    """The name of a classifier's last layer; None where that is not one linear layer."""
    heads = _heads(net, backbone)
    name = heads[0].removesuffix(".") if len(heads) == 1 else ""
    return name if name and isinstance(net.get_submodule(name), nn.Linear) else None


def stages(net: nn.Module, backbone: Backbone) -> dict[str, int]:
    """Stage of every parameter: 0 what is new, 1 the deepest fifth of the backbone, up to 5."""
    heads, prefix = _heads(net, backbone), _prefix(net, backbone)
    blocks: dict[str, int] = {}
    block_of: dict[str, int] = {}
    for name, _parameter in net.named_parameters():
        if name.startswith(prefix) and not name.startswith(heads):
            block = _block(name.removeprefix(prefix))
            block_of[name] = blocks.setdefault(block, len(blocks))
    return {
        name: STAGES - block_of[name] * STAGES // len(blocks) if name in block_of else 0
        for name, _parameter in net.named_parameters()
    }


def _block(name: str) -> str:
    """The block that a parameter belongs to: its name up to the second number."""
    parts = name.split(".")[:-1]
    numbers = [i for i, part in enumerate(parts) if part.isdigit()]
    end = numbers[min(1, len(numbers) - 1)] + 1 if numbers else 1
    return ".".join(parts[:end])
