"""What `yolo_classify.py` trains with; a module of its own, since Ultralytics pickles its model."""

import argparse
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from course import Course, hits, images
from loop import net_of
from PIL import Image
from torch import nn
from ultralytics.data.augment import classify_transforms
from ultralytics.models.yolo.classify import ClassificationTrainer
from ultralytics.nn.tasks import ClassificationModel


class Same(nn.Module):
    """The net of all peers as the only layer of theirs."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.net = net_of(os.environ["PEER_NET"], Path(os.environ["PEER_WEIGHTS"]), classes)
        self.f, self.i = -1, 0

    def forward(self, x: Any) -> Any:
        """Logits; for prediction probabilities as well, as their own last layer has it."""
        found = self.net((x - 0.5) / 0.5)
        return found if self.training else (found.softmax(1), found)


class Model(ClassificationModel):
    """Their model, whose layers give way to the one above."""

    def __init__(self, classes: int) -> None:
        super().__init__("yolo11n-cls.yaml", nc=classes, verbose=False)
        self.model, self.save = nn.Sequential(Same(classes)), []


class Trainer(ClassificationTrainer):
    """Their trainer."""

    def get_model(self, cfg: Any = None, weights: Any = None, verbose: bool = True) -> Any:
        """Ours instead of the one of `cfg`."""
        return Model(self.data["nc"])


def judge(net: Any, rows: list[tuple[Path, int]], size: int) -> list[float]:
    """Hits on the images, by their own transforms of prediction."""
    look = classify_transforms(size=size)
    found: list[float] = []
    net.eval()
    with torch.inference_mode():
        for at in range(0, len(rows), 32):
            part = rows[at : at + 32]
            batch = torch.stack([look(Image.open(path).convert("RGB")) for path, _ in part])
            found += hits(net(batch)[0].numpy(), np.array([label for _, label in part]))
    return found


def train(given: argparse.Namespace, course: Course, scratch: Path) -> None:
    """Their defaults, but for what the comparison fixes."""
    rows = images(given.test)
    done: set[int] = set()

    def after_epoch(trainer: Any) -> None:
        if trainer.epoch < trainer.epochs and trainer.epoch not in done:  # once more at the end
            done.add(trainer.epoch)
            val = float(trainer.metrics["metrics/accuracy_top1"])
            going = course.epoch(val, lambda: judge(trainer.ema.ema, rows, given.size))
            trainer.stop |= not going

    overrides = {
        "model": "yolo11n-cls.yaml",
        "data": str(given.data),
        "epochs": given.epochs,
        "imgsz": given.size,
        "seed": given.seed,
        "workers": 0,
        "device": "cpu",
        "project": str(scratch),
        "plots": False,
        "pretrained": False,
    }
    trainer = Trainer(overrides=overrides)
    trainer.add_callback("on_train_start", lambda _: torch.set_num_threads(1))
    trainer.add_callback("on_fit_epoch_end", after_epoch)
    trainer.train()
    course.end()
