"""What Ultralytics is told: its environment before the import, its arguments from our plan."""

import importlib
import json
import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from automl.dataset import Sample
from automl.errors import MachineError
from automl.plan import Plan
from automl.planning.checks import NOT_OF_ULTRALYTICS

STRIDE = 32
"""Every YOLO 11 and 26 detector halves its input five times."""
SMALLEST = 64
"""Below this side a feature map has one cell, on which batch normalisation fails."""
ENVIRONMENT = {
    "YOLO_OFFLINE": "1",
    "YOLO_AUTOINSTALL": "0",
    "YOLO_VERBOSE": "0",
    "ULTRALYTICS_SAFE_LOAD": "1",
    "ULTRALYTICS_SKIP_REQUIREMENTS_CHECKS": "1",
    "NO_ALBUMENTATIONS_UPDATE": "1",
}
OFF = ("sync", "clearml", "comet", "dvc", "mlflow", "raytune", "tensorboard", "wandb", "vscode_msg")
"""Its own trackers, telemetry and advertisements."""
NOT_USED = (*NOT_OF_ULTRALYTICS, "label_smoothing", "crop")
"""Keys of `plan.train` that its trainer has no setting for; `backbone_lr: 0` does freeze."""


def load_ultralytics(folder: Path | None) -> str:
    """Imports Ultralytics offline and mute, its settings in `folder` or a passing one; its version.

    It reads its settings at the first import of a process; later calls change nothing.
    """
    if "ultralytics" in sys.modules:
        return str(sys.modules["ultralytics"].__version__)
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="automl-yolo-") as passing:
            return load_ultralytics(Path(passing))
    threads = os.environ.get("OMP_NUM_THREADS")
    os.environ.update(ENVIRONMENT, YOLO_CONFIG_DIR=str(folder.absolute()))
    settings = folder / "Ultralytics" / "settings.json"
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text(json.dumps(dict.fromkeys(OFF, False)), encoding="utf-8")
    from PIL import Image

    plain_open = Image.open
    try:
        ultralytics = importlib.import_module("ultralytics")
    except ModuleNotFoundError as error:
        raise MachineError(
            f"a YOLO model needs the package `{error.name}`, which is not installed",
            hint='pip install "automl-vision[yolo]" (AGPL-3.0)',
        ) from None
    Image.open = plain_open  # its own wants another package where a file is no image
    if threads is None:  # it sets this for itself, but our child processes would inherit it
        os.environ.pop("OMP_NUM_THREADS", None)
    ultralytics.settings.update(dict.fromkeys(OFF, False))
    logger = logging.getLogger("ultralytics")
    logger.handlers = [logging.NullHandler()]
    logger.setLevel(logging.INFO)
    return str(ultralytics.__version__)


@contextmanager
def logged(path: Path) -> Iterator[None]:
    """What Ultralytics says goes to a file while the block runs."""
    logger = logging.getLogger("ultralytics")
    handler = logging.FileHandler(path, encoding="utf-8")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        handler.close()


def arguments(plan: Plan, samples: list[Sample], folder: Path, backbone: int) -> dict[str, Any]:
    """Our plan in the words of Ultralytics' trainer; `backbone` counts the layers to freeze.

    `budget_s` is not its `time`: that one stretches training to fill the time, ours is a limit.
    """
    train = plan.train
    adamw, cosine = train.optimiser == "adamw", train.schedule == "cosine"
    augment = _augmentation(plan)
    return {
        "task": "detect",
        "mode": "train",
        "model": plan.model,
        "project": str(folder.absolute()),
        "name": "trainer",
        "exist_ok": True,
        "pretrained": False,  # the weights of the plan are loaded by us
        "epochs": train.epochs,
        "patience": train.patience,
        "batch": train.micro_batch,
        "nbs": train.batch_size,  # gradients add up to this many images
        "imgsz": side(plan),
        "rect": not augment["mosaic"] and _one_shape(plan, samples),
        "optimizer": "AdamW" if adamw else "SGD",
        "lr0": train.lr,
        "lrf": 0.01 if cosine else 1.0,
        "cos_lr": cosine,
        "momentum": 0.9 if adamw else 0.937,
        "weight_decay": train.weight_decay,
        "warmup_epochs": train.warmup_epochs,
        "warmup_bias_lr": 0.0,  # its 0.1 is meant for SGD at lr 0.01 and wrecks AdamW
        "freeze": backbone if train.backbone_lr == 0 else None,
        "cls_pw": 0.5 if train.class_weights == "balanced" else 0.0,  # root, as the native engine
        "amp": "bf16" if train.precision == "bf16" else False,
        "device": plan.device.removeprefix("cuda:"),
        "workers": train.workers,
        "seed": train.seed,
        "deterministic": True,
        "close_mosaic": min(10, train.epochs // 4),
        "max_det": 300,
        "val": True,
        "plots": False,
        "save_period": -1,
        "cache": False,
        "compile": False,
        "verbose": False,
        **augment,
    }


def side(plan: Plan) -> int:
    """The square that Ultralytics trains on: the longer side, in whole strides."""
    return max(SMALLEST, _strides(max(plan.train.image_size)))


def frame(plan: Plan, given: dict[str, Any]) -> tuple[int, int]:
    """Height and width that the trained net predicts at: the shape it was trained at."""
    if not given["rect"]:
        return side(plan), side(plan)
    height, width = plan.train.image_size
    return _strides(height), _strides(width)


def _one_shape(plan: Plan, samples: list[Sample]) -> bool:
    """Whether every image fills the plan's rectangle, so that batches need not be square."""
    wanted = (_strides(plan.train.image_size[0]), _strides(plan.train.image_size[1]))
    if wanted[0] == wanted[1] or min(wanted) < SMALLEST:
        return False
    scales = [(side(plan) / max(s.width, s.height), s) for s in samples]
    shapes = {(_strides(s.height * k), _strides(s.width * k)) for k, s in scales}
    return shapes == {wanted}


def _strides(pixels: float) -> int:
    return int(-(-pixels // STRIDE)) * STRIDE


def _augmentation(plan: Plan) -> dict[str, Any]:
    """A policy's own settings; a list of transforms goes in as it is, on top of nothing else.

    The list is never left out: without one Ultralytics adds a few rare transforms of its own.
    """
    from automl.engines.transform_list import build
    from automl.planning.augmentation import mirrors, yolo_settings

    if plan.augment.policy != "custom":
        named = yolo_settings(plan.augment.policy, mirror=mirrors(plan.augment))
        return {**named, "mosaic": plan.train.mosaic, "augmentations": []}
    mosaic = plan.train.mosaic
    return {**yolo_settings("none"), "mosaic": mosaic, "augmentations": build(plan.augment)}
