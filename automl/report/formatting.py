"""How values are said on the page: numbers, times, metrics and settings as short text."""

import re
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup, escape

_DIGEST = re.compile("[0-9a-f]{40,}")
_METRICS = {
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "macro_f1": "Macro F1",
    "micro_f1": "Micro F1",
    "mean_ap": "Mean AP",
    "exact_match": "Exact match",
    "auc": "AUC",
    "log_loss": "Log loss",
    "calibration_loss": "Calibration error",
    "miou": "mIoU",
    "iou": "IoU",
    "dice": "Dice",
    "map": "mAP 50:95",
    "map50": "mAP 50",
    "map75": "mAP 75",
    "map_small": "mAP small",
    "map_medium": "mAP medium",
    "map_large": "mAP large",
    "ar100": "AR 100",
    "ar_small": "AR small",
    "ar_medium": "AR medium",
    "ar_large": "AR large",
    "ap": "AP 50:95",
    "ap50": "AP 50",
    "f1": "F1",
    "boxes": "True boxes",
    "found": "Predicted boxes",
    "bbox_regression": "Box regression",
    "bbox_ctrness": "Centreness",
    "lr": "Learning rate",
}


def marked(text: Any) -> Markup:
    """Text with what stands between backticks set as code."""
    parts = str(text).split("`")
    if len(parts) % 2 == 0:  # a backtick without its partner is one
        return escape(text)
    code = Markup("<code>{}</code>")
    return Markup().join(code.format(p) if i % 2 else escape(p) for i, p in enumerate(parts))


def metric(name: str) -> str:
    """`map50` as `mAP 50`; an unknown name without its underscores."""
    return _METRICS.get(name) or (name[:1].upper() + name[1:]).replace("_", " ")


def number(value: Any) -> str:
    """Whole numbers with thin groups, others to three digits; a dash for nothing."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}".replace(",", "\u202f")
    if value == 0 or 1e-3 <= abs(value) < 1e4:
        return f"{value:.3f}" if abs(value) < 100 else f"{value:.1f}"
    return f"{value:.2e}"


def share(value: float) -> str:
    """`0.123` as `12.3 %`."""
    return f"{value * 100:.1f}\u202f%"


def seconds(value: float | None) -> str:
    """A duration in its two largest units."""
    if value is None:
        return "–"
    if value < 10:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    parts = ((hours, "h"), (minutes, "min"), (rest if not hours else 0, "s"))
    return " ".join(f"{amount} {unit}" for amount, unit in parts if amount)


def moment(stamp: str) -> str:
    """An ISO time to the minute."""
    return stamp[:16].replace("T", " ") + (" UTC" if stamp[10:11] == "T" else "")


def setting(value: Any) -> str:
    """A value of the plan: sizes as `224 × 224`, transforms by name, numbers without noise."""
    match value:
        case _ if value is None or value in ("", [], (), {}):
            return "–"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:g}"
        case [int() as height, int() as width]:
            return f"{height} × {width} px"
        case list() | tuple():
            return ", ".join(setting(v) for v in value)
        case Mapping():
            return ", ".join(_pair(k, v) for k, v in value.items())
        case str() if _DIGEST.fullmatch(value):
            return value[:12] + "…"
        case _:
            return str(value)


def _pair(key: Any, value: Any) -> str:
    """`HorizontalFlip (p 0.5)`; settings of settings only as far as they are short."""
    if isinstance(value, Mapping):
        inner = ", ".join(f"{k} {setting(v)}" for k, v in value.items())
        return f"{key} ({inner})" if inner else str(key)
    return f"{key} {setting(value)}"


def plural(count: int, noun: str) -> str:
    """`1 image`, `2 images`, `2 classes`."""
    many = noun + ("es" if noun.endswith("s") else "s")
    return f"{number(count)} {noun if count == 1 else many}"
