"""A finished model on other data than its run's: bundle + recipe -> scores, and a page of its own.

The run stays as it is: what is found is given back, and written to a folder where one is named.
"""

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from automl.data.decoders import end_workers
from automl.data.finding_messages import counted as told
from automl.data.finding_messages import refuse_fatal, warnings
from automl.data.other_set import Part, as_learnt, of_judged, seen
from automl.data.prepare import prepare
from automl.data.stream import images, judged
from automl.dataset import Dataset, Finding
from automl.engines.choose import engine
from automl.errors import DataError
from automl.files import write_json
from automl.finding_codes import OF_LEARNING
from automl.model import bundle as bundles
from automl.model.bundle import Bundle
from automl.planning.hardware import require_device
from automl.prediction import Prediction
from automl.recipe.schema import Recipe
from automl.record import dvc_cache
from automl.record.predictions import written
from automl.report.page import write as write_page
from automl.report.tables import write_plots
from automl.run_dir import RunDir
from automl.scoring.score import score
from automl.scoring.scores import Scores
from automl.talk import Talk, counted


def evaluate(
    model: Path,
    recipe: Recipe,
    talk: Talk,
    *,
    split: Part | None = None,
    out: RunDir | None = None,
    device: str | None = None,
) -> Scores:
    """Scores a bundle on the data of a recipe: on one split, or what the set has to judge by.

    `out` gets the index of the images, predictions, scores and a page. DataError where the data
    has fatal findings, or shows classes that the model does not know.
    """
    device = require_device(device)
    dvc_cache.check_bundle(model, talk)
    bundle = bundles.read(model)
    dataset, findings = _read(recipe, bundle, split, talk)
    _warn_of_seen(dataset, model, bundle, talk)
    total, part = len(dataset.samples), dataset.samples[0].split
    found = engine(bundle.engine).predict(model, images(dataset, part), device)
    shown: Iterable[Prediction] = counted(found, talk, f"evaluate on {part}", total)
    if out is not None:
        out.root.mkdir(parents=True, exist_ok=True)
        shown = written(shown, out.predictions)
    scores = score(bundle.task, part, bundle.names, judged(dataset, part, shown))
    if out is not None:
        _write(out, model, dataset, findings, scores)
        talk.say(f"report: {out.report}")
    talk.say(f"scores: {scores.primary} {scores.value:.4f} on {total} images")
    return scores


def _read(
    recipe: Recipe, bundle: Bundle, split: Part | None, talk: Talk
) -> tuple[Dataset, tuple[Finding, ...]]:
    """Prepared as for a training, without what matters to one only."""
    dvc_cache.check(Path(recipe.data.path), talk)
    read = prepare(recipe, talk)
    end_workers()  # predicting needs their memory
    refuse_fatal(f for f in read.findings if f.code not in OF_LEARNING)
    if read.dataset.multi_label != bundle.several_labels:
        one, several = "one class an image", "several classes an image"
        has, knows = (several, one) if read.dataset.multi_label else (one, several)
        raise DataError(
            f"the set has {has}, the model was trained for {knows}",
            where=recipe.data.path,
            hint="give it labels of the form that the model was trained on",
        )
    dataset = as_learnt(read.dataset, bundle.names, split)
    findings = of_judged(read.findings, read.dataset, dataset)
    counts = f"{len(dataset.samples)} {dataset.samples[0].split} images"
    talk.say(f"data: {dataset.format}, {counts}{told(findings)}")
    for line in warnings(findings):
        talk.say(line)
    return dataset, findings


def _warn_of_seen(dataset: Dataset, model: Path, bundle: Bundle, talk: Talk) -> None:
    """Where the run lies around its model, it is known what that has learned from."""
    around = RunDir(model.parent).dataset
    learnt = Dataset.read(around) if around.is_file() else None
    if learnt is None or learnt.digest != bundle.dataset_digest:
        return
    if known := seen(dataset, learnt):
        many = f"{known} of these {len(dataset.samples)} images"
        talk.say(f"warning: the model has learned from {many}: the scores are too good")


def _write(
    out: RunDir, model: Path, dataset: Dataset, findings: tuple[Finding, ...], scores: Scores
) -> None:
    """The files that an evaluation leaves in a run, by the same names."""
    dataset.write(out.dataset)
    write_json(out.findings, [asdict(f) for f in findings])
    scores.write(out.metrics, out.evaluation)
    write_plots(out)
    write_page(out, model)
