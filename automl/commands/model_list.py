"""`automl models`: the table of backbones, and whether their pretrained weights are at hand."""

from dataclasses import asdict
from typing import Any

from automl.commands.terminal import table
from automl.dataset import Task
from automl.errors import RecipeError, UsageError
from automl.planning.backbones import TABLE, Backbone, find


def rows(task: Task | None) -> list[dict[str, Any]]:
    """Every row as facts; `weights` is where they are at hand, or null."""
    from automl.model.weights import at_hand

    found = []
    for row in TABLE:
        if (task is None or row.task == task) and not row.for_tests:
            weights = at_hand(row)
            at = asdict(weights) if weights else None
            found.append({**asdict(row), "weights": at})
    return found


def lines(task: Task | None) -> list[str]:
    """The table for a person."""
    header = ("name", "task", "size", "M params", "GFLOPs", "px", "licence", "weights at hand")
    listed = [
        (
            row["name"],
            row["task"],
            row["size"],
            f"{row['parameters']:.1f}",
            f"{row['gflops']:.2f}",
            row["image_size"],
            row["licence"],
            f"{row['weights']['source']} {row['weights']['name']}" if row["weights"] else "-",
        )
        for row in rows(task)
    ]
    return [
        *table(header, listed),
        "",
        "also: any timm name; unet-, unetplusplus-, fpn-, deeplabv3plus-, segformer-, upernet-,",
        "fcos-, retinanet- or ssd- before one; `--fetch NAME` downloads pretrained weights",
    ]


def fetch(name: str, task: Task | None) -> str:
    """Downloads a model's pretrained weights; says where they are."""
    from automl.model.weights import fetch as download
    from automl.model.weights import file_of

    model = _named(name, task)
    return str(file_of(model, download(model)))


def _named(name: str, task: Task | None) -> Backbone:
    tasks: tuple[Task, ...] = ("classification", "segmentation", "detection")
    wanted = (task,) if task else tasks
    for one in wanted:
        if any(row.name == name and row.task == one for row in TABLE):
            return find(name, one)
    faults = []
    for one in wanted:
        try:
            return find(name, one)
        except RecipeError as error:
            faults += [fault for fault in error.faults if "did you mean" in fault.hint]
            last = error
    if task:
        raise last
    hint = faults[0].hint if faults else "`automl models` lists them"
    raise UsageError(f"unknown model `{name}`", hint=hint)
