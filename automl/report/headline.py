"""The top of the page: what was trained on what, its score, its goal, and the run at a glance."""

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from automl.record.promise import promise
from automl.report import formatting
from automl.report.run_files import Material
from automl.report.sections import is_smoke

Fact = tuple[str, str]
_DONE = {
    "classification": "Classification",
    "segmentation": "Segmentation",
    "detection": "Detection",
}


def headline(material: Material) -> dict[str, Any]:
    """What was trained on what, the primary score, and whether the goal is met."""
    task = _DONE.get(material.task, "Run")
    data = data_name(material)
    return {
        "title": f"{task} of {data}" if data else task,
        "model": model_name(material),
        "deck": _deck(material),
        "score": _primary(material),
        "goal": _goal(material),
    }


def data_name(material: Material) -> str:
    """The last part of the data's path that says something."""
    given = material.recipe.get("data")
    path = given.get("path", "") if isinstance(given, dict) else given or ""
    path = path or (material.dataset.root if material.dataset else "")
    return PurePath(str(path)).stem


def model_name(material: Material) -> str:
    """The name of the row in the model table."""
    return str((material.model.get("backbone") or {}).get("name") or material.plan.get("model", ""))


def _deck(material: Material) -> str:
    """The sentence under the title, after the model's name."""
    dataset = material.dataset
    said = _origin(material.plan.get("weights") or {})
    if dataset is not None:
        judged, counts = material.bundle is not None, dataset.counts()
        number = sum(counts.values()) if judged else counts.get("train", 0)
        classes = formatting.plural(len(dataset.names), "class")
        images = formatting.plural(number, "image")
        said += f"{' judged' if judged else ''} on {images} of {classes}"
    return said.strip()


def _origin(weights: Mapping[str, Any]) -> str:
    source = weights.get("source", "")
    if not source:
        return ""
    return "trained from scratch" if source == "none" else "fine-tuned from pretrained weights"


def _primary(material: Material) -> dict[str, Any] | None:
    """The number at the top, with the ends of its interval as percentages of the bar."""
    evaluation = material.evaluation
    name = evaluation.get("primary", "")
    value = (evaluation.get("metrics") or {}).get(name)
    if value is None:
        return None
    interval = (evaluation.get("intervals") or {}).get(name)
    return {
        "name": formatting.metric(name),
        "value": formatting.number(float(value)),
        "at": round(100 * min(max(float(value), 0), 1), 2),
        "interval": [formatting.number(float(v)) for v in interval] if interval else None,
        "from": round(100 * float(interval[0]), 2) if interval else None,
        "wide": round(100 * float(interval[1] - interval[0]), 2) if interval else None,
        "split": evaluation.get("split", ""),
        "images": formatting.plural(int(evaluation.get("images", 0)), "image"),
    }


def _goal(material: Material) -> dict[str, Any] | None:
    """The gate of the plan and whether it is met; None where there is no goal."""
    goal = material.plan.get("goal") or {}
    if not goal:
        return None
    value = (material.evaluation.get("metrics") or {}).get(goal["metric"])
    name, least = formatting.metric(goal["metric"]), f"{goal['at_least']:g}"
    if value is None or is_smoke(material):
        word = "Goal not judged yet" if value is None else "Goal not judged in a smoke run"
        return {"state": "open", "word": word, "text": f"{name} ≥ {least}"}
    if value >= goal["at_least"]:
        return {"state": "met", "word": "Goal met", "text": f"{name} {value:.3f} ≥ {least}"}
    return {"state": "missed", "word": "Goal not met", "text": f"{name} {value:.3f} < {least}"}


def tiles(material: Material, most: int = 12) -> list[dict[str, Any]]:
    """The other metrics, with their intervals where there are any."""
    intervals = material.evaluation.get("intervals") or {}
    metrics = material.evaluation.get("metrics") or {}
    kept = [name for name in metrics if name != material.evaluation.get("primary")]
    return [
        {
            "name": formatting.metric(name),
            "value": formatting.number(metrics[name]),
            "interval": " – ".join(formatting.number(float(v)) for v in intervals[name])
            if name in intervals
            else "",
        }
        for name in kept[:most]
        if isinstance(metrics[name], int | float)
    ]


def facts(material: Material) -> list[Fact]:
    """The run at a glance; only what is known."""
    plan, trained = material.plan, material.event("trained")
    train = plan.get("train") or {}
    backbone = material.model.get("backbone") or {}
    weights = plan.get("weights") or {}
    size = f", {backbone['parameters']:g} M parameters" if backbone.get("parameters") else ""
    counts = material.dataset.counts() if material.dataset else {}
    found = [
        ("Model", model_name(material) + size),
        ("Weights", _weights(weights)),
        ("Licence", str(material.model.get("licence") or backbone.get("licence") or "")),
        ("Images", ", ".join(f"{formatting.number(n)} {name}" for name, n in counts.items())),
        ("Classes", formatting.number(len(material.names)) if material.names else ""),
        ("Image size", formatting.setting(train["image_size"]) if "image_size" in train else ""),
        ("Epochs", _epochs(material)),
        ("Time", _time(material)),
        ("Training time", formatting.seconds(trained["seconds"]) if "seconds" in trained else ""),
        ("Device", str(plan.get("device", ""))),
        ("Run", material.run.id),
    ]
    return [(term, value) for term, value in found if value]


def _time(material: Material) -> str:
    """Spent against promised, up to where this page was written; empty without a budget."""
    found = promise(material.run)
    if found.promised is None or not found.spent:
        return ""
    spent, promised = formatting.seconds(found.total), formatting.seconds(found.promised)
    return f"{spent} of the promised {promised} up to this page"


def _weights(weights: Mapping[str, Any]) -> str:
    source, name = weights.get("source", ""), weights.get("name", "")
    if source == "none":
        return "none, from scratch"
    return f"{name} ({source})" if name else str(source)


def _epochs(material: Material) -> str:
    """`14 of 40, best 9, stopped early, resumed twice`."""
    epochs, trained = material.epochs, material.event("trained")
    if not epochs:
        return ""
    planned = (material.plan.get("train") or {}).get("epochs") or epochs[-1].get("total")
    said = [f"{epochs[-1]['epoch']} of {planned}" if planned else str(epochs[-1]["epoch"])]
    if trained.get("best_epoch") is not None:
        said.append(f"best {trained['best_epoch']}")
    if trained.get("stopped_early"):
        said.append("stopped early")
    resumed = sum(e["event"] == "resume" for e in material.events)
    if resumed:
        said.append("resumed once" if resumed == 1 else f"resumed {resumed} times")
    return ", ".join(said)
