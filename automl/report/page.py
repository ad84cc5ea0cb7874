"""A run folder in, one self-contained HTML page out; stages that have not run are left out."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from automl.files import write_json, write_text
from automl.record import journal
from automl.record.taint import tainted
from automl.report import figures, formatting, headline, pictures, sections, suspect_labels
from automl.report.examples import ends
from automl.report.label_issues import Doubt
from automl.report.run_files import Material, gather
from automl.run_dir import RunDir
from automl.tasks.draw import is_tinted
from automl.tasks.palette import hexes

LEGEND = 40
"""More classes than this have no legend beside their masks."""

COUNTED = {
    "classification": "Images of the training split",
    "segmentation": "Labelled pixels of the training split",
    "detection": "Boxes of the training split",
}
EXAMPLES = {
    "classification": "Images sorted by the probability of their true class (p).",
    "segmentation": "Images sorted by their mean IoU; hatched areas are unlabelled and not scored.",
    "detection": "Images sorted by the F1 of their boxes, at the confidence threshold with the "
    "best F1 over all images; only boxes above that threshold are drawn.",
}
SUSPECTS = {
    "classification": "The model gives the label a low probability and another class a high one.",
    "segmentation": "Labelled regions that the model predicts almost entirely as another class; "
    "the numbers are shares of the region's pixels.",
    "detection": "Boxes for which the model confidently predicts another class or no object, and "
    "objects that it confidently finds where no box is; the number is its confidence.",
}
SCORED = {"classification": "p", "segmentation": "IoU", "detection": "F1"}
DIGESTS = ("Git commit", "Data digest", "Pretrained weights", "Trained weights", "Command")


def write(run: RunDir, model: Path | None = None) -> Path:
    """Writes `report.html` and `suspects.json`; equal run folders give equal bytes.

    `model` is the bundle that was judged, where the run has none of its own.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["marked"] = formatting.marked
    material = gather(run, model)
    doubts = suspect_labels.find_doubts(material)
    page = environment.get_template("page.html.j2").render(context(material, doubts))
    write_text(run.report, page)
    if material.dataset:
        told = suspect_labels.findings(material, doubts)
        write_json(run.suspects, [asdict(finding) for finding in told])
    return run.report


def context(material: Material, doubts: Sequence[Doubt] = ()) -> dict[str, Any]:
    """Everything the template shows; empty values leave their section out."""
    worst, best = ends(material)
    smoke = sections.is_smoke(material)
    return {
        "smoke": smoke,
        "run": material.run.id,
        "task": material.task,
        "headline": headline.headline(material),
        "tainted": tainted(journal.last_training(material.events)),
        "tiles": headline.tiles(material),
        "facts": headline.facts(material),
        "splits": sections.splits(material),
        "data_facts": sections.data_facts(material),
        "findings": _findings(material),
        "suspects": suspect_labels.suspects(material, doubts),
        "suspect_note": SUSPECTS.get(material.task, ""),
        "suspect_unit": {"segmentation": "share", "detection": "conf."}.get(material.task, "p"),
        "judged": material.evaluation.get("split", ""),
        "checked": material.run.findings.is_file(),
        "balance": _balance(material),
        "balance_name": COUNTED.get(material.task, ""),
        "balance_note": "of the whole set, before the smoke run took a part" if smoke else "",
        "choices": sections.choices(material),
        "candidates": sections.candidates(material),
        "times": sections.times(material),
        "curves": _curves(material),
        "curve_note": _curve_note(material),
        "classes": sections.classes(material),
        "score_figures": _score_figures(material),
        "confused": sections.confused(material),
        "worst": worst,
        "best": best,
        "example_note": EXAMPLES.get(material.task, ""),
        "score_name": SCORED.get(material.task, ""),
        "legend": _legend(material) if worst or best else [],
        "provenance": sections.provenance(material),
        "mono": DIGESTS,
        "packages": sorted((material.provenance.get("packages") or {}).items()),
        "recipe": material.recipe_text.strip(),
        "bundle": bool(material.model),
        "predictor": material.bundle.as_posix() if material.bundle else material.run.id,
    }


def _findings(material: Material) -> list[dict[str, Any]]:
    """Kinds of findings with pictures of the images that they name."""
    groups = sections.findings(material)
    pictures.beside(material, groups)
    return groups


def _balance(material: Material) -> Any:
    """Bars of the training split's counts by class."""
    if material.profile is None:
        return ""
    counts, title = material.profile.class_counts, COUNTED[material.profile.task]
    return _safe(figures.bars(counts, title, counts=True))


def _curves(material: Material) -> list[dict[str, str]]:
    """Loss, validation metric and learning rate over the epochs."""
    epochs = material.epochs
    numbers = [e["epoch"] for e in epochs]
    best = material.event("trained").get("best_epoch")
    lr = {"lr": [e.get("lr") for e in epochs]}
    drawn = (
        ("Loss", _series(epochs, "losses"), "of the training split, mean of each epoch"),
        ("Validation", _validation(material), "after each epoch"),
        ("Learning rate", lr, "at the end of each epoch"),
    )
    made = [
        {
            "name": name,
            "note": note,
            "svg": _safe(figures.learning_curve(numbers, series, name, best=best)),
        }
        for name, series, note in drawn
    ]
    return [figure for figure in made if figure["svg"]]


def _curve_note(material: Material) -> str:
    """What the point before the first epoch is, where there is one."""
    if not any(e["epoch"] == 0 for e in material.epochs):
        return ""
    return (
        "Epoch 0 is the model before fine-tuning: the pretrained backbone is frozen, and only the "
        "layers on top of it are fitted to its features."
    )


def _series(epochs: list[dict[str, Any]], key: str) -> dict[str, list[float | None]]:
    """One list per name that any epoch has; None where an epoch lacks it."""
    names = dict.fromkeys(name for e in epochs for name in e.get(key) or {})
    return {name: [(e.get(key) or {}).get(name) for e in epochs] for name in names}


def _validation(material: Material) -> dict[str, list[float | None]]:
    """The primary metric first, then what is most worth comparing with it."""
    series = _series(material.epochs, "metrics")
    told = ("accuracy", "mean_ap", "macro_f1", "miou", "dice", "map", "map50")
    kept = [name for name in told if name in series] or list(series)[:3]
    return {name: series[name] for name in kept}


def _score_figures(material: Material) -> list[dict[str, str]]:
    """Per class, then confusion or curves, then calibration."""
    details = material.evaluation.get("details") or {}
    main = sections.main_column(material)
    values = {n: r.get(main) for n, r in (material.evaluation.get("per_class") or {}).items()}
    matrix = details.get("confusion") or []
    drawn = [
        (
            "Confusion matrix",
            _confusion_note(matrix, material.task),
            figures.confusion(matrix, material.names),
        ),
        (
            "Precision over recall",
            "At an IoU of 0.5; the number in the legend is the area under the curve.",
            figures.precision_recall(details.get("curves") or {}),
        ),
        (
            f"{formatting.metric(main)} by class",
            "Undefined values are left out." if None in values.values() else "",
            figures.bars(values, formatting.metric(main)),
        ),
        (
            "Calibration",
            "On the dashed line, confidence equals accuracy.",
            figures.calibration(details.get("calibration") or {}),
        ),
    ]
    return [{"name": n, "note": note, "svg": _safe(svg)} for n, note, svg in drawn if svg]


def _confusion_note(matrix: list[list[float]], task: str) -> str:
    """What the numbers in the cells are."""
    said = "Rows: true class; columns: predicted class; shade: share of the row"
    if len(matrix) > figures.NUMBERED:
        return said + "."
    counted = figures.are_counts(matrix)
    unit = "pixels" if task == "segmentation" else "images"
    return f"{said}; number: {unit if counted else f'percentage of its {unit}'}."


def _legend(material: Material) -> list[tuple[str, str]]:
    """Class names with their colours, for masks and boxes."""
    names = material.names
    if material.task == "classification" or len(names) > LEGEND:
        return []
    pairs = zip(names, hexes(len(names)), strict=True)
    return [pair for pair in pairs if material.task == "detection" or is_tinted(pair[0])]


def _safe(svg: str) -> Any:
    """Our own SVG, whose text is escaped already."""
    from markupsafe import Markup

    return Markup(svg)  # noqa: S704
