"""Another set as a trained model sees it: its classes found by name, the images to judge chosen."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Literal

from automl.data.digest import digest_of
from automl.dataset import Class, Dataset, Finding, Sample, SplitName
from automl.errors import DataError, UsageError
from automl.finding_codes import OF_LEARNING
from automl.prediction import IGNORE

Part = SplitName | Literal["all"]


def of_judged(findings: Iterable[Finding], whole: Dataset, judged: Dataset) -> tuple[Finding, ...]:
    """Without those of images that are not judged, or that matter only to who learns or splits."""
    left_out = {s.path for s in whole.samples} - {s.path for s in judged.samples}
    return tuple(f for f in findings if f.code not in OF_LEARNING and f.file not in left_out)


def as_learnt(dataset: Dataset, names: list[str], asked: Part | None) -> Dataset:
    """The images to judge, all in one split, with classes in the model's order.

    Without `asked`: the test split that the set brings, or else its val, or else all images, which
    are a test split then. DataError where it shows classes that the model does not know.
    """
    part = _part(dataset, asked)
    chosen = [
        s if part == s.split else replace(s, split="test")
        for s in dataset.samples
        if part in ("all", s.split)
    ]
    place = {name: index for index, name in enumerate(names)}
    index = {old: place.get(c.name, -1) for old, c in enumerate(dataset.classes)}
    _refuse_unknown(dataset, chosen, index, names)
    samples = tuple(_renumbered(s, index) for s in chosen)
    only = tuple({sample.split for sample in samples})
    classes = _classes(dataset, names)
    judged = replace(dataset, classes=classes, samples=samples, brought_splits=only)
    return replace(judged, digest=digest_of(judged))


def seen(dataset: Dataset, learnt: Dataset) -> int:
    """How many of the images to judge are among those that the model learned from."""
    known = {sample.digest for sample in learnt.split("train")}
    return sum(sample.digest in known for sample in dataset.samples)


def _part(dataset: Dataset, asked: Part | None) -> Part:
    brought = dataset.brought_splits
    if asked is None:
        return "test" if "test" in brought else "val" if "val" in brought else "all"
    if asked != "all" and asked not in brought:
        has = f"it has {', '.join(brought)}" if brought else "it has none"
        raise UsageError(
            f"the set brings no split `{asked}`: {has}",
            where=dataset.root,
            hint="without `--split`, its test images are scored, or its val, or else all",
        )
    return asked


def _refuse_unknown(
    dataset: Dataset, chosen: list[Sample], index: dict[int, int], names: list[str]
) -> None:
    """Classes that only stand in a list do no harm; which ones a mask shows is not known here."""
    if any(sample.mask for sample in chosen):
        shown = set(index)
    else:
        shown = {label for sample in chosen for label in _shown(sample)}
    strange = [dataset.names[old] for old in sorted(shown) if index[old] < 0]
    if strange:
        few = ", ".join(strange[:8]) + (", ..." if len(strange) > 8 else "")
        known = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
        raise DataError(
            f"the set shows classes that the model does not know: {few}",
            where=dataset.root,
            hint=f"leave them out, or name them as the model does: {known}",
        )


def _shown(sample: Sample) -> set[int]:
    regions = {region.label for region in sample.regions} - {IGNORE}
    own = set() if sample.label is None else {sample.label}
    return own | set(sample.labels) | regions


def _classes(dataset: Dataset, names: list[str]) -> tuple[Class, ...]:
    """In the model's order with the set's own ids; those that it lacks get ids that it has not."""
    ids = {c.name: c.id for c in dataset.classes}
    free = max([*ids.values(), *dataset.ignore, IGNORE]) + 1
    return tuple(Class(ids.get(name, free + i), name) for i, name in enumerate(names))


def _renumbered(sample: Sample, index: dict[int, int]) -> Sample:
    regions = tuple(
        r if r.label == IGNORE else replace(r, label=index[r.label]) for r in sample.regions
    )
    return replace(
        sample,
        label=None if sample.label is None else index[sample.label],
        labels=tuple(index[label] for label in sample.labels),
        regions=regions,
    )
