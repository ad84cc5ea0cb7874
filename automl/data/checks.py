"""A dataset to findings about the whole; faults of single files are found where they are read."""

from collections import Counter, defaultdict
from collections.abc import Sequence

from automl.data.images import ImageFacts
from automl.data.reading import fatal, warning
from automl.dataset import SPLITS, Dataset, Finding, Sample, SplitName

DARK = 65536 // 8
"""A set of 16-bit images that stays below keeps 5 of 8 bits or fewer: 12-bit cameras do."""


def check_brightness(facts: Sequence[ImageFacts]) -> list[Finding]:
    """16-bit images are scaled by their full range, so that a narrow one ends in black."""
    top = max((f.brightest for f in facts if f.bit_depth == 16), default=DARK)
    if top >= DARK:
        return []
    reason = f"16-bit images use 0 to {top} of 65535 only, and will be nearly black"
    return [warning("narrow_range", ".", reason, "stretch the values over the whole 16 bits")]


def check(dataset: Dataset, shown: dict[SplitName, Counter[int]]) -> list[Finding]:
    """All faults of the whole; `shown` counts per split the images that show each class index."""
    return [
        *_empty_splits(dataset),
        *_few_classes(dataset),
        *_nothing_to_learn(dataset, shown),
        *_missing_classes(dataset, shown),
        *_duplicates(dataset),
    ]


def _empty_splits(dataset: Dataset) -> list[Finding]:
    counts = dataset.counts()
    if not counts:
        return [fatal("no_images", ".", "no usable image was found", "mend the other findings")]
    cures = {
        "train": "add images to it, or remove the splits so that they are drawn",
        "val": "add images to it, or set `data.split.val` above 0",
    }
    return [
        fatal("empty_split", split, f"the split `{split}` holds no usable image", cure)
        for split, cure in cures.items()
        if split not in counts
    ]


def _nothing_to_learn(dataset: Dataset, shown: dict[SplitName, Counter[int]]) -> list[Finding]:
    """Images without objects are fine beside others; crowds are no targets."""
    train = dataset.split("train")
    if dataset.task == "detection":
        targets = any(not all(s.crowd) if s.crowd else s.boxes for s in train)
        what = "shows an object that can be learnt"
    else:
        targets, what = bool(shown["train"].total()), "has a pixel of any class"
    if targets or not train:
        return []
    reason = f"none of the {len(train)} images of `train` {what}"
    return [fatal("nothing_to_learn", "train", reason, "annotate them, or mend other findings")]


def _few_classes(dataset: Dataset) -> list[Finding]:
    least = 1 if dataset.task == "detection" else 2
    if len(dataset.classes) >= least:
        if dataset.task == "segmentation" and len(dataset.classes) > 255:
            reason = f"{len(dataset.classes)} classes: these look like instance masks"
            return [fatal("too_many_classes", ".", reason, "use masks whose values are class ids")]
        return _same_names(dataset)
    names = ", ".join(dataset.names) or "none"
    reason = f"{dataset.task} needs at least {least} classes, found: {names}"
    return [fatal("too_few_classes", ".", reason, "add a class, or name them in `data.classes`")]


def _same_names(dataset: Dataset) -> list[Finding]:
    return [
        fatal(
            "duplicate_class",
            name,
            f"{n} classes are called `{name}`",
            "rename one: `data.classes` takes a map from id to name",
        )
        for name, n in Counter(dataset.names).items()
        if n > 1
    ]


def _missing_classes(dataset: Dataset, shown: dict[SplitName, Counter[int]]) -> list[Finding]:
    findings = []
    for index, c in enumerate(dataset.classes):
        if shown["train"][index] or not dataset.counts():
            continue
        elsewhere = [s for s in SPLITS if s != "train" and shown[s][index]]
        where = f"only in {' and '.join(elsewhere)}" if elsewhere else "nowhere"
        reason = f"class `{c.name}` is {where}, not in `train`: it cannot be learnt"
        cure = "add examples to `train`, or take it off the list of classes"
        findings.append(warning("class_not_in_train", c.name, reason, cure))
    return findings


def _duplicates(dataset: Dataset) -> list[Finding]:
    same: dict[str, list[Sample]] = defaultdict(list)
    for sample in dataset.samples:
        same[sample.digest].append(sample)
    findings = []
    for group in same.values():
        first = min(group, key=lambda s: SPLITS.index(s.split))
        for other in group:
            if other.split != first.split:
                reason = f"same bytes as `{first.path}` in `{first.split}`: scores flatter"
                cure = "keep the image in one split"
                findings.append(warning("duplicate_across_splits", other.path, reason, cure))
        findings += _conflicts(group, dataset)
    return findings


def _conflicts(group: list[Sample], dataset: Dataset) -> list[Finding]:
    labels = {s.label for s in group if s.label is not None}
    if len(labels) < 2:
        return []
    names = " and ".join(sorted(f"`{dataset.classes[i].name}`" for i in labels))
    reason = f"same bytes as `{group[0].path}`, but the labels differ: {names}"
    return [warning("conflicting_labels", group[-1].path, reason, "keep the right one")]
