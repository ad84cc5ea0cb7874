"""Scores: what `evaluate` found, as a value and as two files."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from automl.dataset import Task
from automl.files import write_json

Number = float | int | None


@dataclass(frozen=True)
class Scores:
    """Metrics of one split. All are "higher is better" unless their name ends in `_loss`.

    `details` holds what is drawn and not compared: `confusion` (rows = truth), `curves`
    (precision over recall by class), and whatever a task adds. `per_image` pairs a path with a
    score in [0, 1] that sorts images from worst to best. `intervals` are 95 %.
    """

    task: Task
    split: str
    images: int
    primary: str
    metrics: dict[str, float]
    per_class: dict[str, dict[str, Number]]
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)
    per_image: list[tuple[str, float]] = field(default_factory=list)

    @property
    def value(self) -> float:
        """The primary metric."""
        return self.metrics[self.primary]

    @property
    def head(self) -> dict[str, Any]:
        """What the metrics are of."""
        return {
            "task": self.task,
            "split": self.split,
            "images": self.images,
            "primary": self.primary,
        }

    def write(self, metrics: Path, evaluation: Path) -> None:
        """Writes the small file, one number a metric, and the full one with the classes."""
        head = self.head
        write_json(metrics, {**head, **self.metrics})
        write_json(
            evaluation,
            {
                **head,
                "metrics": self.metrics,
                "per_class": self.per_class,
                "intervals": self.intervals,
                "details": self.details,
                "per_image": self.per_image,
            },
        )
