"""Tables for `dvc plots` out of a run folder: epochs, confusion, precision over recall, classes."""

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from automl.report.run_files import Material, gather
from automl.run_dir import RunDir


def write_plots(run: RunDir) -> list[Path]:
    """Writes each table that the run has something for; equal runs give equal bytes."""
    material = gather(run)
    tables = {
        "epochs.csv": _epochs(material),
        "confusion.csv": _confusion(material),
        "precision_recall.csv": _precision_recall(material),
        "classes.csv": _classes(material),
    }
    run.plots.mkdir(parents=True, exist_ok=True)
    written = []
    for name, rows in tables.items():
        path = run.plots / name
        if rows:
            _write(path, rows)
            written.append(path)
        else:
            path.unlink(missing_ok=True)
    return written


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    """Columns are those of all rows in the order of their first use; empty where unknown."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _epochs(material: Material) -> list[dict[str, Any]]:
    """Losses are `train_…` and metrics `val_…`, so that equal names do not collide.

    `train_loss` and `val_score` (the primary metric) are there for every task.
    """
    primary = material.evaluation.get("primary")
    return [
        {
            "epoch": event["epoch"],
            **{f"train_{name}": value for name, value in (event.get("losses") or {}).items()},
            **{f"val_{name}": value for name, value in (event.get("metrics") or {}).items()},
            "train_loss": sum((event.get("losses") or {}).values()),
            "val_score": (event.get("metrics") or {}).get(primary),
            "lr": event.get("lr"),
        }
        for event in material.epochs
    ]


def _confusion(material: Material) -> list[dict[str, Any]]:
    """One row per judged image, which is what the `confusion` template of DVC counts."""
    matrix = (material.evaluation.get("details") or {}).get("confusion")
    if material.task != "classification" or not matrix:
        return []
    names = material.names
    return [
        {"actual": names[actual], "predicted": names[predicted]}
        for actual, counts in enumerate(matrix)
        for predicted, count in enumerate(counts)
        for _ in range(int(count))
    ]


def _precision_recall(material: Material) -> list[dict[str, Any]]:
    curves = (material.evaluation.get("details") or {}).get("curves") or {}
    return [
        {"class": name, "recall": recall, "precision": precision}
        for name, curve in curves.items()
        for recall, precision in _points(curve)
    ]


def _points(curve: dict[str, Any]) -> Iterable[tuple[float, float]]:
    return zip(curve.get("recall", []), curve.get("precision", []), strict=True)


def _classes(material: Material) -> list[dict[str, Any]]:
    per_class = material.evaluation.get("per_class") or {}
    return [
        {"class": name, **{k: "" if v is None else v for k, v in row.items()}}
        for name, row in per_class.items()
    ]
