"""A dataset to findings about the whole; faults of single files are found where they are read."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from automl.data.images import ImageFacts
from automl.data.reading import fatal, warning
from automl.dataset import SPLITS, Dataset, Finding, Sample, SplitName

DARK = 65536 // 8
"""A set of 16-bit images that stays below keeps 5 of 8 bits or fewer: 12-bit cameras do."""

ENOUGH = 4
"""Images of a split per class from which on every class can be expected in it."""

UNBALANCED = 50
"""Times more often than a class must the commonest be shown before it is said."""

"""Fatal findings that an error lists before it counts the rest."""


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
        *_alike(dataset),
        *_nothing_to_learn(dataset, shown),
        *_missing_classes(dataset, shown),
        *_imbalance(dataset, shown),
        *_torn_groups(dataset),
    ]


def _empty_splits(dataset: Dataset) -> list[Finding]:
    counts = dataset.counts()
    if not counts:
        return [fatal("no_images", ".", "no usable image was found", "fix the other findings")]
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
    many = "2 classes" if least > 1 else "1 class"
    reason = f"{dataset.task} needs at least {many}, found: {names}"
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


def _alike(dataset: Dataset) -> list[Finding]:
    """Two spellings of one class are learnt as two."""
    spelt: dict[str, list[str]] = defaultdict(list)
    for name in dict.fromkeys(dataset.names):
        spelt[re.sub(r"[\s_-]+", " ", name.strip().casefold())].append(name)
    cure = "write it in one way, or rename one if they are two"
    return [
        warning(
            "similar_classes", names[1], f"classes `{'` and `'.join(names)}` look like one", cure
        )
        for names in spelt.values()
        if len(names) > 1
    ]


def _missing_classes(dataset: Dataset, shown: dict[SplitName, Counter[int]]) -> list[Finding]:
    findings = []
    for index, c in enumerate(dataset.classes):
        if shown["train"][index] or "train" not in dataset.counts():
            continue
        elsewhere = [s for s in SPLITS if s != "train" and shown[s][index]]
        where = f"only in {' and '.join(elsewhere)}" if elsewhere else "nowhere"
        reason = f"class `{c.name}` is {where}, not in `train`: it cannot be learnt"
        cure = "add examples to `train`, or take it off the list of classes"
        told = fatal if elsewhere else warning
        code = "class_not_in_train" if elsewhere else "class_unused"
        findings.append(told(code, c.name, reason, cure))
    return [*findings, *_not_judged(dataset, shown)]


def _not_judged(dataset: Dataset, shown: dict[SplitName, Counter[int]]) -> list[Finding]:
    """Nothing is said about a split that is too small to show every class."""
    if dataset.counts().get("val", 0) < ENOUGH * len(dataset.classes):
        return []
    cure = "add examples to `val`, or let it be drawn"
    return [
        warning("class_not_in_val", c.name, f"class `{c.name}` is not in `val`: not judged", cure)
        for index, c in enumerate(dataset.classes)
        if shown["train"][index] and not shown["val"][index]
    ]


def _imbalance(dataset: Dataset, shown: dict[SplitName, Counter[int]]) -> list[Finding]:
    counts = {c.name: shown["train"][i] for i, c in enumerate(dataset.classes)}
    most = max(counts.values(), default=0)
    cure = "add examples, or merge it with another class"
    return [
        warning(
            "class_imbalance",
            name,
            f"class `{name}` is in {n} images of `train`, the commonest in {most}",
            cure,
        )
        for name, n in counts.items()
        if 0 < n * UNBALANCED < most
    ]


def _torn_groups(dataset: Dataset) -> list[Finding]:
    splits: dict[str, dict[str, Sample]] = defaultdict(dict)
    for sample in dataset.samples:
        if sample.group:
            splits[sample.group].setdefault(sample.split, sample)
    cure = "keep a group in one split, or let the splits be drawn"
    return [
        fatal(
            "group_across_splits",
            list(firsts.values())[1].path,
            f"group `{group}` is in {' and '.join(f'`{s}`' for s in firsts)}: scores flatter",
            cure,
        )
        for group, firsts in splits.items()
        if len(firsts) > 1
    ]


def waived(findings: Iterable[Finding], reasons: Mapping[str, str]) -> list[Finding]:
    """Findings that the recipe has given a reason for stop nothing any more."""
    known = {code.replace("-", "_"): reason for code, reason in reasons.items()}
    return [
        replace(f, severity="warning", waived=known[f.code]) if f.code in known else f
        for f in findings
    ]
