"""Copies among the images of a set: found once, kept together by a drawn split, and told."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from automl.data.duplicates import Twin, exact_twins, near_twins
from automl.data.frame import Frame
from automl.data.images import ImageFacts, read_image
from automl.data.reading import fatal, warning
from automl.dataset import Dataset, Finding, Sample, SplitName
from automl.errors import AutomlError

LARGEST_SHARE = 0.05
"""Share of a set up to which near copies are kept in one split; else little is left to draw."""


@dataclass(frozen=True)
class Copies:
    """Copies by the places of their images; `cluster` has the first place of each one's copies."""

    exact: tuple[Twin, ...]
    near: tuple[Twin, ...]
    cluster: tuple[int, ...]

    def together(self) -> list[str]:
        """A name per image that those share which a drawn split must not tear apart."""
        exact = _clusters(self.exact, len(self.cluster))
        members = Counter(self.cluster)
        most = max(2, LARGEST_SHARE * len(self.cluster))
        return [
            str(whole if members[whole] <= most else equal)
            for whole, equal in zip(self.cluster, exact, strict=True)
        ]


def find_copies(
    facts: Sequence[ImageFacts], files: Sequence[Path], frame: Frame | None = None
) -> Copies:
    """Exact and near copies; `files` are read again only where the pixels may be the same."""

    def same(first: int, other: int) -> bool:
        try:
            one, two = (read_image(files[i], frame) for i in (first, other))
            return np.array_equal(one, two)
        except AutomlError:
            return False

    exact = exact_twins(facts, same)
    equal = {twin.other for twin in exact}
    rest = [i for i, one in enumerate(facts) if i not in equal and one.look is not None]
    looks = [look for i in rest if (look := facts[i].look) is not None]
    near = [Twin(rest[t.first], rest[t.other], exact=False) for t in near_twins(looks)]
    return Copies(tuple(exact), tuple(near), tuple(_clusters([*exact, *near], len(facts))))


def _clusters(twins: Sequence[Twin], count: int) -> list[int]:
    leader = list(range(count))

    def find(place: int) -> int:
        while leader[place] != place:
            leader[place] = leader[leader[place]]
            place = leader[place]
        return place

    for twin in twins:
        low, high = sorted((find(twin.first), find(twin.other)))
        leader[high] = low
    return [find(place) for place in range(count)]


def check_copies(dataset: Dataset, copies: Copies) -> list[Finding]:
    """One finding per copy; equal pixels in two splits are fatal, since scores would flatter."""
    samples = dataset.samples
    findings = []
    for twin in copies.exact:
        first, other = samples[twin.first], samples[twin.other]
        findings += _exact(dataset, first, other)
    first_of: dict[int, dict[SplitName, Sample]] = defaultdict(dict)
    for sample, leader in zip(samples, copies.cluster, strict=True):
        first_of[leader].setdefault(sample.split, sample)
    for twin in copies.near:
        around = first_of[copies.cluster[twin.other]]
        findings.append(_near(samples[twin.first], samples[twin.other], around))
    return findings


def _exact(dataset: Dataset, first: Sample, other: Sample) -> list[Finding]:
    found = []
    pair = f"equal in every pixel to `{first.path}`"
    if first.split != other.split:
        reason = (
            f"{pair} in `{first.split}`, and this one is in `{other.split}`: scores are too good"
        )
        cure = "keep the image in one split"
        found.append(fatal("duplicate_across_splits", other.path, reason, cure))
    if _annotation(first) != _annotation(other):
        names = [" and ".join(_named(dataset, s)) or "nothing" for s in (first, other)]
        told = " and ".join(sorted(names)) if names[0] != names[1] else "other places"
        reason = f"{pair}, but the labels differ: {told}"
        found.append(warning("conflicting_labels", other.path, reason, "keep the right one"))
    elif first.split == other.split:
        found.append(warning("duplicate", other.path, pair, "keep one of them"))
    return found


def _near(first: Sample, other: Sample, around: Mapping[SplitName, Sample]) -> Finding:
    """`around` has the first near copy of each split: one elsewhere is worth more than `first`."""
    elsewhere = next((s for split, s in around.items() if split != other.split), None)
    if elsewhere is None:
        reason, cure = f"nearly equal to `{first.path}`", "keep one, if they show the same thing"
        return warning("near_duplicate", other.path, reason, cure)
    where = f"`{elsewhere.path}` in `{elsewhere.split}`"
    reason = f"nearly equal to {where}, and this one is in `{other.split}`: scores may be too good"
    cure = "keep both in one split"
    return warning("near_duplicate_across_splits", other.path, reason, cure)


def _annotation(sample: Sample) -> object:
    return sample.label, sample.boxes, sample.labels, sample.mask_digest, sample.regions


def _named(dataset: Dataset, sample: Sample) -> list[str]:
    labels = {sample.label} if sample.label is not None else set(sample.labels)
    return sorted(f"`{dataset.classes[i].name}`" for i in labels if i is not None)
