"""Which image goes to which split: what the set brings is kept, the rest is drawn by content."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from automl.data.digest import digest_of
from automl.dataset import Dataset, Sample, SplitName


@dataclass(frozen=True, slots=True)
class Item:
    """What a split looks at: the image's digest, the classes it shows, the split it came with.

    Items of one `group`, or of one `twin`, are never torn apart by a split that is drawn.
    """

    digest: str
    present: frozenset[int]
    brought: SplitName | None = None
    group: str = ""
    twin: str = ""
    """Shared by copies of one image."""


def assign(items: Sequence[Item], *, val: float, test: float) -> list[SplitName]:
    """A split for every item, whatever their order; `val` and `test` are shares of what is drawn.

    Only splits that no item brings are drawn, from the items without one and those of `train`.
    """
    brought = {item.brought for item in items}
    shares: dict[SplitName, float] = {}
    if "val" not in brought:
        shares["val"] = val
    if "test" not in brought and test > 0:
        shares["test"] = test
    pool = [i for i, item in enumerate(items) if item.brought in (None, "train")]
    drawn = _draw([items[i] for i in pool], shares)
    chosen: list[SplitName] = [item.brought or "train" for item in items]
    for place, split in zip(pool, drawn, strict=True):
        chosen[place] = split
    return chosen


def _draw(items: Sequence[Item], shares: dict[SplitName, float]) -> list[SplitName]:
    """What belongs together stays; each stratum gives its share; train keeps one of each."""
    groups = _together(items)
    keys = sorted(groups, key=_rank)
    strata = _strata(
        {key: frozenset().union(*(items[i].present for i in groups[key])) for key in keys}
    )
    splits: list[SplitName] = ["train"] * len(items)
    for split, share in shares.items():
        quotas = _quotas({name: len(free) for name, free in strata.items()}, share, len(keys))
        for name, quota in quotas.items():
            taken, strata[name] = strata[name][:quota], strata[name][quota:]
            for key in taken:
                for i in groups[key]:
                    splits[i] = split
    return splits


def _together(items: Sequence[Item]) -> dict[str, list[int]]:
    """Places of items that share their bytes or their group, by the smallest digest of them."""
    leader: dict[str, str] = {}

    def find(key: str) -> str:
        while leader.setdefault(key, key) != key:
            leader[key] = leader[leader[key]]
            key = leader[key]
        return key

    for item in items:
        for key in (item.group and f"group {item.group}", item.twin and f"twin {item.twin}"):
            if key:
                one, other = sorted((find(item.digest), find(key)))
                leader[other] = one
    groups: dict[str, list[int]] = defaultdict(list)
    for i, item in enumerate(items):
        groups[find(item.digest)].append(i)
    return groups


def _quotas(sizes: dict[int, int], share: float, total: int) -> dict[int, int]:
    """Whole numbers near `share` of each stratum by largest remainder; one stays for train."""
    if share <= 0:
        return dict.fromkeys(sizes, 0)
    whole = sum(sizes.values())
    want = min(max(1, round(share * total)), whole - 1) if whole > 1 else 0
    exact = {name: want * size / whole for name, size in sizes.items()}
    quotas = {name: min(int(exact[name]), sizes[name] - 1) for name in sizes}
    left = want - sum(quotas.values())
    order = sorted(sizes, key=lambda name: (quotas[name] - exact[name], name))
    while left > 0:
        open_ = [name for name in order if quotas[name] < sizes[name] - 1]
        if not open_:  # only strata of one image are left: rather an odd split than none
            if not any(quotas.values()) and want:
                quotas[order[0]] += 1
            break
        for name in open_[:left]:
            quotas[name] += 1
            left -= 1
    return quotas


def _strata(present: dict[str, frozenset[int]]) -> dict[int, list[str]]:
    """Items by the rarest class they show (-1: none), in the order given."""
    images = Counter(c for classes in present.values() for c in classes)
    strata: dict[int, list[str]] = defaultdict(list)
    for key, classes in present.items():
        strata[min(classes, key=lambda c: (images[c], c), default=-1)].append(key)
    return dict(sorted(strata.items()))


def _rank(digest: str) -> str:
    """An order that looks drawn, and depends on the content only."""
    return hashlib.sha256(f"split {digest}".encode()).hexdigest()


def shrink(dataset: Dataset, train: int, val: int) -> Dataset:
    """A few samples of every split, classes spread as evenly as they are there; for `--smoke`."""
    sizes: dict[SplitName, int] = {"train": train, "val": val, "test": val}
    kept = [
        sample
        for split, size in sizes.items()
        for sample in _few(dataset, dataset.split(split), size)
    ]
    samples = tuple(sorted(kept, key=lambda s: (s.path, s.split)))
    smaller = replace(dataset, samples=samples)
    return replace(smaller, digest=digest_of(smaller))


def _few(dataset: Dataset, samples: list[Sample], size: int) -> list[Sample]:
    """Goes round the strata, one sample at a time."""
    ranked = sorted(samples, key=lambda s: (_rank(s.digest), s.path))
    if dataset.task == "segmentation":
        ranked = ranked[: max(64, 4 * size)]  # reading every mask of a large set would take long
    by_path = {s.path: s for s in ranked}
    strata = list(_strata({s.path: _present(dataset, s) for s in ranked}).values())
    rounds = max((len(s) for s in strata), default=0)
    turns = [stratum[i] for i in range(rounds) for stratum in strata if i < len(stratum)]
    return [by_path[path] for path in turns[:size]]


def _present(dataset: Dataset, sample: Sample) -> frozenset[int]:
    if dataset.task == "segmentation":
        return present_in_mask(dataset, sample)
    return frozenset(sample.labels if sample.label is None else {sample.label})


def present_in_mask(dataset: Dataset, sample: Sample) -> frozenset[int]:
    """The class indices that a sample's mask shows."""
    from automl.data.ground_truth import truth

    mask = truth(dataset, sample).mask
    shown = [] if mask is None else np.unique(mask).tolist()
    return frozenset(i for i in shown if i < len(dataset.classes))
