"""What the plain loops for boxes and masks share: files, the judge, one course of training."""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import nn

from automl.prediction import Prediction, Truth
from automl.scoring.score import PRIMARY, score


def arguments() -> argparse.Namespace:
    """`data` is a built-in sample, `weights` those of the backbone under timm's names."""
    parser = argparse.ArgumentParser()
    for name in ("data", "out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--net", default="tf_efficientnet_lite0")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--size", type=int, default=192)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--budget", type=float, default=180, help="CPU seconds")
    return parser.parse_args()


def rgb(path: Path) -> np.ndarray:
    """As OpenCV decodes it."""
    return cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)


def load(body: nn.Module, weights: Path) -> None:
    """ImageNet weights into what is there of timm's net; all of the body must be found."""
    from safetensors.torch import load_file

    given = load_file(weights)
    flat = {key.replace("blocks.", "blocks_", 1): value for key, value in given.items()}
    own = body.state_dict()
    found = {k: v for k, v in {**given, **flat}.items() if k in own and v.shape == own[k].shape}
    missing = [k for k in own if k not in found and not k.endswith("num_batches_tracked")]
    if missing:
        raise SystemExit(f"weights do not fit: {missing[:3]}")
    body.load_state_dict(found, strict=False)


def judged(task: str, pairs: Iterator[tuple[Truth, Prediction]], names: list[str]) -> float:
    """The primary metric by the same scorer for all."""
    scores = score(task, "val", names, pairs)  # type: ignore[arg-type]
    return scores.metrics[PRIMARY[task]]  # type: ignore[index]


def train(  # noqa: PLR0913  a loop has these parts
    net: nn.Module,
    batches: Callable[[], Iterator[Any]],
    steps: int,
    loss: Callable[[Any], torch.Tensor],
    judge: Callable[[], float],
    given: argparse.Namespace,
) -> None:
    """AdamW, warm-up of a twentieth, cosine to zero; CPU seconds and score after each epoch."""
    optimiser = torch.optim.AdamW(net.parameters(), lr=given.lr, weight_decay=0.01)
    total = given.epochs * steps
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, given.lr, total_steps=total + 1, pct_start=0.05
    )
    marks = []
    for _ in range(given.epochs):
        net.train()
        for batch in batches():
            optimiser.zero_grad()
            loss(batch).backward()
            optimiser.step()
            schedule.step()
        net.eval()
        with torch.inference_mode():
            value = judge()
        marks.append({"cpu": time.process_time(), "val": value})
        print(f"{marks[-1]['cpu']:.1f} CPU s: val {value:.4f}", flush=True)
        if marks[-1]["cpu"] > given.budget:
            break
    given.out.write_text(json.dumps({"marks": marks, "cpu": time.process_time()}))
