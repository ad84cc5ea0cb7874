"""The first stage: a recipe's data section to a Dataset, its findings and its profile."""

import os
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from automl.data.archive import opened
from automl.data.box_format import check_format
from automl.data.boxes import Placed, place, without_them
from automl.data.checks import check, check_brightness, waived
from automl.data.classes import Settled, numbers_of_objects, refuse_classes, settle, smoothed
from automl.data.digest import digest_of
from automl.data.duplicate_groups import Copies, check_copies, find_copies
from automl.data.file_names import name_twins, once_each
from automl.data.files import impossible, is_there
from automl.data.groups import grouped
from automl.data.kaggle_rle_order import check_kaggle_rle
from automl.data.outliers import outliers, shifts
from automl.data.profile import profile
from automl.data.readers import table
from automl.data.reading import Entry, Reading, ReadOptions, fatal, shown, warning
from automl.data.recognise import READERS, recognise
from automl.data.regions import box_ring, outline
from automl.data.scan import Scanned, scan
from automl.data.split import Item, assign
from automl.dataset import (
    SPLITS,
    Dataset,
    Finding,
    Profile,
    Region,
    Sample,
    SplitName,
    Task,
)
from automl.errors import DataError
from automl.prediction import IGNORE
from automl.recipe.schema import Recipe
from automl.talk import Talk


@dataclass(frozen=True)
class Prepared:
    """What `prepare` found; fatal findings are here for the caller to act on."""

    dataset: Dataset
    findings: tuple[Finding, ...]
    profile: Profile
    copies: Copies


@dataclass(frozen=True, slots=True)
class _Draft:
    """A sample whose split is not settled: its own says `train` until then."""

    scanned: Scanned
    sample: Sample
    item: Item


def prepare(recipe: Recipe, talk: Talk, *, mending: bool = False) -> Prepared:
    """Reads, decodes, checks, splits and measures the data; nothing is written anywhere.

    `mending` leaves out boxes that can be nothing, where they else condemn their whole image.
    """
    reading = read(recipe)
    entries, linked = once_each(reading)
    reading = replace(reading, entries=entries)
    scanned, findings = scan(reading, talk)
    findings += linked
    masks = [s.mask for s in scanned if s.mask]
    settled = settle(reading, masks, recipe.data)
    if not reading.classes:
        findings += [*numbers_of_objects(masks, settled), *smoothed(masks)]
    drafts = _drafts(scanned, settled, _common_root(reading), findings, mending=mending)
    drafts = _once_each(drafts, findings)
    facts = [draft.scanned for draft in drafts]
    files = [f.entry.path for f in facts]
    copies = find_copies([f.image for f in facts], files, reading.frame)
    samples = _split(drafts, copies, recipe)
    brought = {d.item.brought for d in drafts}
    dataset = Dataset(
        task=recipe.task,
        root=_relative_to_here(_common_root(reading)),
        format=reading.format,
        classes=settled.classes,
        samples=tuple(sample for sample in samples),
        digest="",
        ignore=settled.ignore,
        brought_splits=tuple(split for split in SPLITS if split in brought),
        colours=reading.colours,
        multi_label=any(e.labels is not None for e in reading.entries),
        frame=reading.frame,
    )
    dataset = replace(dataset, digest=digest_of(dataset))
    findings += [*reading.findings, *_unfilled(reading, brought), *_whole(dataset, drafts)]
    findings += [*check_copies(dataset, copies), *check_format(scanned), *check_kaggle_rle(scanned)]
    findings = waived(findings, recipe.checks.waive)
    pixels = _train_pixels(dataset, drafts)
    measured = profile(dataset, facts, pixels)
    return Prepared(dataset, _in_order(findings), measured, copies)


def read(recipe: Recipe) -> Reading:
    """The set as its own files describe it, in the format that the recipe names or that fits."""
    path = opened(Path(recipe.data.path).absolute())
    data, name = recipe.data, str(recipe.data.format)
    columns = data.columns.model_dump(exclude_none=True)
    options = ReadOptions(data.classes, columns, tuple(data.attributes), data.colours)
    if name == "auto":
        name = _recognised(path, recipe.task, options)
    elif not is_there(path):
        raise DataError("no such file or folder", where=str(path), hint="correct `data.path`")
    row = READERS[name]
    if recipe.task not in row.tasks:
        serves = " and ".join(row.tasks)
        raise DataError(
            f"the format `{name}` serves {serves}, but the recipe's task is {recipe.task}",
            where=str(path),
            hint=f"set `task: {row.tasks[0]}`, or another `data.format`",
        )
    reading = row.reader.read(path, recipe.task, options)
    refuse_classes(reading)
    cure = "correct the name, or remove it from the list"
    findings = [
        fatal("missing_image", shown(entry.path, reading.root), why, cure)
        for entry in reading.entries
        if (why := impossible(entry.path))
    ]
    entries = (_plain(entry) for entry in reading.entries if not impossible(entry.path))
    kept = grouped(entries, reading.root, data.group)
    told = (*reading.findings, *findings)
    frame = reading.frame if data.frame is None else data.frame
    return replace(reading, entries=kept, findings=told, frame=frame)


def _recognised(path: Path, task: Task, options: ReadOptions) -> str:
    """The format; a table whose columns the recipe names, or whose classes, is one by that."""
    if options.columns and is_there(path) and table.fits(path, task, options):
        return "csv"
    try:
        return recognise(path, task).format
    except DataError:
        if is_there(path) and table.fits(path, task, options):
            return "csv"
        raise


def _plain(entry: Entry) -> Entry:
    """Paths without `..`, so that one file has one name."""
    if ".." not in entry.path.parts:
        return entry
    return replace(entry, path=Path(os.path.normpath(entry.path)))


def _common_root(reading: Reading) -> Path:
    """The set's folder, or the lowest folder above all files where some lie elsewhere."""
    files = [p for e in reading.entries for p in (e.path, e.mask) if p]
    if all(p.is_relative_to(reading.root) for p in files):
        return reading.root
    return Path(os.path.commonpath([reading.root, *files]))


def _relative_to_here(root: Path) -> str:
    here = Path.cwd()
    return (root.relative_to(here) if root.is_relative_to(here) else root).as_posix()


def _drafts(
    scanned: list[Scanned],
    settled: Settled,
    root: Path,
    findings: list[Finding],
    *,
    mending: bool,
) -> list[_Draft]:
    """Samples in the order of their paths; those with a fatal fault are left out."""
    drafts = []
    for one in scanned:
        placed, faults = place(one, shown(one.entry.path, root))
        faults = without_them(placed, faults) if mending else faults
        faults += [*_mask_faults(one, settled, root), *(one.traced.findings if one.traced else ())]
        findings += faults
        if not any(fault.severity == "fatal" for fault in faults):
            drafts.append(_draft(one, placed, settled, root))
    return sorted(drafts, key=lambda d: (d.sample.path, d.item.brought or ""))


def _draft(one: Scanned, placed: Placed, settled: Settled, root: Path) -> _Draft:
    entry, image, index = one.entry, one.image, settled.index
    known = [i for i, class_id in enumerate(placed.class_ids) if class_id in index]
    sample = Sample(
        path=shown(entry.path, root),
        split="train",
        width=image.width,
        height=image.height,
        digest=image.digest,
        label=None if entry.label is None else index[entry.label],
        mask=shown(entry.mask, root) if entry.mask else None,
        mask_digest=one.mask.digest if one.mask else None,
        boxes=tuple(placed.corners[i] for i in known),
        labels=tuple(index[placed.class_ids[i]] for i in known),
        crowd=tuple(placed.crowd[i] for i in known),
        regions=_regions(one, settled),
        group=entry.group,
        attributes=entry.attributes,
    )
    if entry.labels is not None:
        sample = replace(sample, labels=tuple(sorted(index[i] for i in entry.labels)))
    present = set(sample.labels) | ({sample.label} if sample.label is not None else set())
    if one.mask:
        present |= {index[i] for i in one.mask.counts if i in index}
    return _Draft(one, sample, Item(image.digest, frozenset(present), entry.split, entry.group))


def _regions(one: Scanned, settled: Settled) -> tuple[Region, ...]:
    """With class indices; shapes that are not to be judged stay: they hide others."""
    if one.traced is None:
        return ()
    index, image = settled.index, one.image
    found = [replace(r, label=index.get(r.label, IGNORE)) for r in one.traced.regions]
    if settled.ignores_background:
        corners = box_ring(0, 0, image.width, image.height)
        found.insert(0, Region(IGNORE, outline=outline([corners])))
    return tuple(found)


def _mask_faults(one: Scanned, settled: Settled, root: Path) -> list[Finding]:
    mask, image = one.mask, one.image
    if mask is None or one.entry.mask is None:
        return []
    file = shown(one.entry.mask, root)
    faults = []
    if (mask.width, mask.height) != (image.width, image.height):
        turned = " (upright, after its EXIF orientation)" if image.orientation > 1 else ""
        reason = (
            f"mask is {mask.width}x{mask.height}, its image {image.width}x{image.height}{turned}"
        )
        faults.append(fatal("mask_size_differs", file, reason, "draw the mask on this very image"))
    if mask.counts and set(mask.counts) <= set(settled.ignore) | {IGNORE} - set(settled.index):
        reason = "every pixel is to be ignored: nothing is learnt from it"
        faults.append(warning("mask_all_ignored", file, reason, "annotate it or leave it out"))
    unknown = sorted(set(mask.counts) - set(settled.index) - set(settled.ignore))
    if unknown:
        few = ", ".join(map(str, unknown[:8])) + (" ..." if len(unknown) > 8 else "")
        cure = "name these ids in `data.classes`, or list them in `data.ignore`"
        faults.append(fatal("unknown_mask_id", file, f"ids that are no class: {few}", cure))
    return faults


def _once_each(drafts: list[_Draft], findings: list[Finding]) -> list[_Draft]:
    """One file in one split: what is listed for judging is not learnt from, if enough is left."""
    judged = {d.sample.path for d in drafts if d.item.brought in ("val", "test")}
    enough = any(d.sample.path not in judged for d in drafts)
    order = ("test", "val", "train", None) if enough else ("train", None, "val", "test")
    kept: dict[str, _Draft] = {}
    for draft in sorted(drafts, key=lambda d: order.index(d.item.brought)):
        first = kept.setdefault(draft.sample.path, draft)
        if first is not draft:
            reason = f"listed again in `{first.item.brought or 'no split'}`, which counts"
            findings.append(warning("listed_twice", draft.sample.path, reason, "list it once"))
    return [draft for draft in drafts if kept[draft.sample.path] is draft]


def _split(drafts: list[_Draft], copies: Copies, recipe: Recipe) -> list[Sample]:
    shares = recipe.data.split
    twins = zip(drafts, copies.together(), strict=True)
    items = [replace(draft.item, twin=twin) for draft, twin in twins]
    splits = assign(items, val=shares.val, test=shares.test)
    return [replace(d.sample, split=split) for d, split in zip(drafts, splits, strict=True)]


def _unfilled(reading: Reading, brought: set[SplitName | None]) -> list[Finding]:
    return [
        warning(
            "empty_split",
            split,
            f"the set has a split `{split}`, but no usable image in it",
            "fill it or remove it",
        )
        for split in SPLITS
        if split in reading.splits and split not in brought and split != "train"
    ]


def _whole(dataset: Dataset, drafts: list[_Draft]) -> list[Finding]:
    present: dict[SplitName, Counter[int]] = {split: Counter() for split in SPLITS}
    for sample, draft in zip(dataset.samples, drafts, strict=True):
        present[sample.split].update(draft.item.present)
    images = [d.scanned.image for d in drafts]
    return [
        *check(dataset, present),
        *check_brightness(images),
        *outliers(dataset, images),
        *shifts(dataset, images),
        *name_twins([s.path for s in dataset.samples]),
    ]


def _train_pixels(dataset: Dataset, drafts: list[_Draft]) -> Counter[int]:
    index = {c.id: i for i, c in enumerate(dataset.classes)}
    pixels: Counter[int] = Counter()
    for sample, draft in zip(dataset.samples, drafts, strict=True):
        counts = draft.scanned.mask.counts if draft.scanned.mask else {}
        if sample.split == "train":
            pixels.update({index[i]: n for i, n in counts.items() if i in index})
    return pixels


def _in_order(findings: list[Finding]) -> tuple[Finding, ...]:
    return tuple(sorted(findings, key=lambda f: (f.severity, f.code, f.file, f.reason)))
