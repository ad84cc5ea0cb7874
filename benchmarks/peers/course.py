"""What every peer's script shares: its arguments, the images, and the course of its scores."""

import argparse
import json
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np


def arguments() -> argparse.Namespace:
    """`data` holds train/ and val/, `test` class folders as well; `weights` those of the net."""
    parser = argparse.ArgumentParser()
    for name in ("data", "test", "out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--net", default="tf_efficientnet_lite0")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--budget", type=float, default=180, help="CPU seconds")
    parser.add_argument("--train", type=json.loads, default={}, help="settings of automl's recipe")
    return parser.parse_args()


def images(folder: Path) -> list[tuple[Path, int]]:
    """The images of class folders with the place of their class, sorted."""
    classes = sorted(p for p in folder.iterdir() if p.is_dir())
    return [(path, i) for i, c in enumerate(classes) for path in sorted(c.iterdir())]


class Course:
    """Scores over CPU seconds: those of this process and its children, since it was started.

    What the test set is judged with is not charged: only a comparison needs it.
    """

    def __init__(self, given: argparse.Namespace) -> None:
        self.out, self.budget = given.out, given.budget
        self.free, self.best = 0.0, -1.0
        self.marks: list[dict[str, Any]] = []

    def spent(self) -> float:
        """CPU seconds so far."""
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return time.process_time() + used.ru_utime + used.ru_stime - self.free

    def epoch(self, val: float, judge: Callable[[], list[float]]) -> bool:
        """Notes a new best model by its own validation; False where the budget is spent."""
        spent = self.spent()
        if val > self.best:
            self.best = val
            began = time.process_time()
            self.marks.append({"cpu": spent, "val": val, "test": judge()})
            self.free += time.process_time() - began
        print(f"{spent:.1f} CPU s: val {val:.4f}", flush=True)
        return spent < self.budget

    def end(self) -> None:
        """Writes it all."""
        self.out.write_text(json.dumps({"marks": self.marks, "cpu": self.spent()}))


def hits(scores: np.ndarray, labels: np.ndarray) -> list[float]:
    """1 for each image whose class has the highest score."""
    return (scores.argmax(1) == labels).astype(float).tolist()
