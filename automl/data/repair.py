"""A set with findings to a clean index of it: what can be mended without touching a file of it.

Left out: what cannot be decoded or used, and copies; clipped: boxes; brought together: groups and
near copies that splits tear apart. The index names the original files; every change is listed.
"""

import csv
import io
import os
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from automl.data.digest import digest_of
from automl.data.duplicate_groups import Copies
from automl.dataset import Dataset, Finding, Sample, SplitName
from automl.errors import UsageError
from automl.files import write_text

INDEX, CHANGES = "dataset.json", "changes.csv"

_DONE = {
    "box_clipped": "clipped",
    "region_clipped": "clipped",
    "degenerate_box": "box left out",
    "duplicate_box": "box left out",
    "degenerate_region": "outline left out",
    "listed_twice": "listed once",
    "linked_twice": "listed once",
}
"""What reading the set has done already, by the finding that tells of it."""

_LEFT_OUT = frozenset(
    {
        *("broken_image", "broken_mask", "missing_image", "missing_mask", "mask_size_differs"),
        *("unknown_mask_id", "box_outside", "malformed_annotation", "degenerate_box", "no_class"),
        *("region_outside", "missing_annotation", "unknown_class", "unknown_image"),
        *("unknown_split", "conflicting_labels", "empty_mask", "several_images", "several_values"),
    }
)
UNMENDED = frozenset(
    {
        *("box_format", "conflicting_classes", "duplicate_image_id", "several_masks"),
        *("runs_along_rows", "too_many_classes"),
    }
)
"""What is wrong with annotations that stay: an index of them would pass as clean, and be wrong."""
_ORDER: tuple[SplitName, ...] = ("test", "val", "train")
"""Of copies the judged one stays: what is judged must not be learnt."""


@dataclass(frozen=True)
class Change:
    """One thing that the index does otherwise than the set."""

    action: str
    file: str
    reason: str


def refuse_target(out: Path, data: Path) -> None:
    """UsageError where the index would lie in the data, or among other files."""
    folder = data if data.is_dir() else data.parent
    if out.resolve().is_relative_to(folder.resolve()):
        hint = "name a folder outside of it"
        message = "the index would lie inside the data, which is never written to"
        raise UsageError(message, where=str(out), hint=hint)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        hint = "name a new folder, or an empty one"
        raise UsageError("the output path already exists", where=str(out), hint=hint)


def repaired(
    dataset: Dataset, findings: Iterable[Finding], copies: Copies
) -> tuple[Dataset, list[Change]]:
    """The clean index and all that it changes."""
    told = ((_action(f), f) for f in findings)
    changes = [Change(action, f.file, f.reason) for action, f in told if action]
    samples = list(dataset.samples)
    dropped = _merged(samples, copies, changes)
    samples = _together(samples, dropped, copies, changes)
    kept = tuple(s for place, s in enumerate(samples) if place not in dropped)
    clean = replace(dataset, samples=kept, format="index")
    return replace(clean, digest=digest_of(clean)), changes


def _action(finding: Finding) -> str:
    """What reading the set has done about a finding; empty for nothing."""
    if finding.severity == "warning" and not finding.waived:
        return _DONE.get(finding.code, "")
    return "left out" if finding.code in _LEFT_OUT else ""


def write_index(dataset: Dataset, changes: Iterable[Change], out: Path) -> Path:
    """Writes `dataset.json` and `changes.csv`; the root is relative where both lie below here."""
    root, folder, here = Path(dataset.root).absolute(), out.absolute(), Path.cwd()
    near = root.is_relative_to(here) and folder.is_relative_to(here)
    shown = Path(os.path.relpath(root, folder)) if near else root
    replace(dataset, root=shown.as_posix()).write(out / INDEX)
    table = io.StringIO()
    writer = csv.DictWriter(table, ["action", "file", "reason"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(change) for change in changes)
    write_text(out / CHANGES, table.getvalue())
    return out / INDEX


def _merged(samples: list[Sample], copies: Copies, changes: list[Change]) -> set[int]:
    """Of equal images one stays; where their annotations contradict each other, none."""
    groups: dict[int, list[int]] = defaultdict(list)
    for twin in copies.exact:
        groups[twin.first] = groups[twin.first] or [twin.first]
        groups[twin.first].append(twin.other)
    dropped: set[int] = set()
    for places in groups.values():
        keep = min(places, key=lambda p: (_ORDER.index(samples[p].split), p))
        contradict = len({_annotation(samples[p]) for p in places}) > 1
        for place in places:
            if contradict or place != keep:
                reason = "equal to others with another annotation" if contradict else ""
                reason = reason or f"equal to `{samples[keep].path}` in every pixel"
                changes.append(Change("left out", samples[place].path, reason))
                dropped.add(place)
    return dropped


def _annotation(sample: Sample) -> object:
    return sample.label, sample.boxes, sample.labels, sample.mask_digest, sample.regions


def _together(
    samples: list[Sample], dropped: set[int], copies: Copies, changes: list[Change]
) -> list[Sample]:
    """Groups and near copies go where most of them are; of equally many, to be judged."""
    named = [s.group or f"\0{c}" for s, c in zip(samples, copies.together(), strict=True)]
    groups: dict[str, list[int]] = defaultdict(list)
    for place, name in enumerate(named):
        if place not in dropped:
            groups[name].append(place)
    moved = list(samples)
    for places in groups.values():
        counts = Counter(samples[p].split for p in places)
        split = max(counts, key=lambda s: (counts[s], -_ORDER.index(s)))
        for place in places:
            sample = samples[place]
            if sample.split != split:
                why = f"group `{sample.group}`" if sample.group else "near copies of it"
                reason = f"{why}: most are in `{split}`"
                changes.append(Change(f"{sample.split} -> {split}", sample.path, reason))
                moved[place] = replace(sample, split=split)
    return moved
