"""Augmentation policies as data: names and arguments of Albumentations 2.0.8 transforms.

`engines.policy_steps` does them itself, and knows no argument that is not here.

The geometry that brings an image to its training size (random resized crop, zoom, letterbox) is
the engine's; a policy holds what comes after it.
"""

import re
from typing import Any, Literal

from automl.dataset import Profile, Task
from automl.plan import Augment
from automl.planning.choice import Choice

Policy = Literal["none", "light", "medium", "heavy"]
Transforms = tuple[dict[str, dict[str, Any]], ...]

GREY = 114
"""What fills the canvas where a moved image has no pixels; the letterbox's grey."""
REFLECT = 4
"""OpenCV's number of the border that mirrors the image; it would double boxes and thin regions."""
IGNORE = 255
"""What fills a mask there: the loss does not look at it."""


def _mirror() -> dict[str, dict[str, Any]]:
    return {"HorizontalFlip": {"p": 0.5}}


def _colour(strength: float, p: float) -> dict[str, dict[str, Any]]:
    """Brightness, contrast, saturation by up to `strength`; hue by a tenth of it."""
    parts = {name: [1 - strength, 1 + strength] for name in ("brightness", "contrast")}
    return {
        "ColorJitter": {
            **parts,
            "saturation": [1 - strength, 1 + strength],
            "hue": [-strength / 10, strength / 10],
            "p": p,
        }
    }


def _move(
    scale: float, shift: float, degrees: float, p: float, border: int = 0
) -> dict[str, dict[str, Any]]:
    """Zoom around 1, shift as a share of the side, turn; OpenCV's `border`, 0 is one colour."""
    return {
        "Affine": {
            "scale": [1 - scale, 1 + scale],
            "translate_percent": [-shift, shift],
            "rotate": [-degrees, degrees],
            "keep_ratio": True,
            "balanced_scale": True,
            "border_mode": border,
            "fill": GREY,
            "fill_mask": IGNORE,
            "p": p,
        }
    }


def _soften(p: float) -> dict[str, dict[str, Any]]:
    return {"GaussianBlur": {"blur_limit": [3, 5], "p": p}}


def _noise(p: float) -> dict[str, dict[str, Any]]:
    return {"GaussNoise": {"std_range": [0.01, 0.06], "p": p}}


def _grey(p: float) -> dict[str, dict[str, Any]]:
    return {"ToGray": {"p": p}}


def _holes(p: float) -> dict[str, dict[str, Any]]:
    """One to four patches of up to a quarter of each side."""
    size = [0.08, 0.25]
    return {
        "CoarseDropout": {
            "num_holes_range": [1, 4],
            "hole_height_range": size,
            "hole_width_range": size,
            "fill": GREY,
            "p": p,
        }
    }


POLICIES: dict[Task, dict[str, Transforms]] = {
    "classification": {
        "none": (),
        "light": (_mirror(), _move(0.1, 0.06, 8, 0.7, REFLECT), _colour(0.15, 0.5)),
        "medium": (_mirror(), _move(0.1, 0.05, 12, 0.5, REFLECT), _colour(0.3, 0.8)),
        "heavy": (
            _mirror(),
            _move(0.15, 0.08, 20, 0.7, REFLECT),
            _colour(0.45, 0.9),
            _grey(0.1),
            _soften(0.15),
            _noise(0.15),
            _holes(0.3),
        ),
    },
    "segmentation": {
        "none": (),
        "light": (_mirror(), _colour(0.15, 0.5)),
        "medium": (_mirror(), _move(0.1, 0.03, 7, 0.4), _colour(0.3, 0.8)),
        "heavy": (
            _mirror(),
            _move(0.15, 0.05, 15, 0.6),
            _colour(0.4, 0.9),
            _grey(0.05),
            _soften(0.15),
            _noise(0.15),
        ),
    },
    # Turning a box makes it loose, so detection zooms and shifts instead.
    "detection": {
        "none": (),
        "light": (_mirror(), _move(0.15, 0.05, 0, 0.5), _colour(0.15, 0.5)),
        "medium": (_mirror(), _move(0.35, 0.1, 0, 0.7), _colour(0.3, 0.8)),
        "heavy": (
            _mirror(),
            _move(0.5, 0.2, 3, 0.9),
            _colour(0.4, 0.9),
            _grey(0.05),
            _soften(0.1),
            _noise(0.1),
        ),
    },
}

YOLO: dict[str, dict[str, float]] = {
    "none": {"hsv_h": 0.0, "hsv_s": 0.0, "hsv_v": 0.0, "translate": 0.0, "scale": 0.0},
    "light": {"hsv_h": 0.01, "hsv_s": 0.3, "hsv_v": 0.2, "translate": 0.05, "scale": 0.2},
    "medium": {"hsv_h": 0.015, "hsv_s": 0.5, "hsv_v": 0.3, "translate": 0.1, "scale": 0.4},
    "heavy": {"hsv_h": 0.015, "hsv_s": 0.7, "hsv_v": 0.4, "translate": 0.2, "scale": 0.6},
}
MOSAIC = {"none": 0.0, "light": 0.0, "medium": 0.5, "heavy": 1.0}
ALWAYS_OFF = ("shear", "perspective", "flipud", "mixup", "cutmix", "copy_paste", "erasing", "bgr")


def yolo_settings(policy: str, *, mirror: bool = True) -> dict[str, float]:
    """The policy in Ultralytics' own keys; a custom list is handed to it as transforms instead."""
    name = policy if policy in YOLO else "none"
    return {
        **YOLO[name],
        "degrees": 3.0 if name == "heavy" else 0.0,
        "fliplr": 0.5 if mirror and name != "none" else 0.0,
        "mosaic": MOSAIC[name],
        **dict.fromkeys(ALWAYS_OFF, 0.0),
    }


def mirrors(augment: Augment) -> bool:
    """Whether the training images are mirrored: what `yolo_settings` wants to know."""
    return any("HorizontalFlip" in step for step in augment.transforms)


CHARACTER = re.compile(
    r"\W*(?:[0-9]|[A-Za-z]|zero|one|two|three|four|five|six|seven|eight|nine)\W*"
)
SIDED = re.compile(r"(?:^|[\W_])(?:left|right)(?:$|[\W_])", re.IGNORECASE)


def mirror_is_safe(profile: Profile) -> Choice[bool]:
    """Whether a mirrored image still shows its class, judged by what the classes are called."""
    names = [name for name in profile.class_counts if name != "background"]
    characters = [n for n in names if CHARACTER.fullmatch(n.lower().removeprefix("digit"))]
    sided = [n for n in names if SIDED.search(n)]
    if len(characters) > len(names) / 2:
        shown = ", ".join(characters[:4])
        return Choice(False, f"not mirrored: classes {shown}, ... are characters")
    if sided:
        return Choice(False, f"not mirrored: class `{sided[0]}` has a side")
    return Choice(True, "mirrored: no class name speaks of a side or a character")


def without_mirror(transforms: Transforms) -> Transforms:
    """The transforms less every flip."""
    flips = {"HorizontalFlip", "VerticalFlip", "D4", "Transpose", "SquareSymmetry"}
    return tuple(step for step in transforms if not flips & step.keys())
