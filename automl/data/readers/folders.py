"""Class folders, with or without a level of `train`, `val`, `test` above them."""

import os
from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from automl.data.files import (
    folders,
    holds_images,
    images,
    split_in,
    split_word,
    walk_images,
    without_split,
)
from automl.data.readers.mask_folders import masks_among
from automl.data.readers.not_classes import no_classes
from automl.data.readers.split_lists import class_folders, shared_out, split_lists
from automl.data.reading import (
    Entry,
    Reading,
    ReadOptions,
    classes_by_name,
    shown,
    unknown_class,
    warning,
)
from automl.dataset import Finding, SplitName, Task


def looks_like(path: Path, task: Task) -> str:
    """Why this is a set of class folders; empty where it is not."""
    if not path.is_dir():
        return ""
    splits, lists = _split_folders(path), split_lists(path)
    if no_classes(splits or [path]) and not lists:
        return ""
    if "train" in splits.values():
        return f"`{'`, `'.join(f.name for f in splits)}` hold a folder of images per class"
    classes = [f.name for f in folders(class_folders(path) if lists else path) if holds_images(f)]
    if lists and len(classes) > 1:
        names = "`, `".join(shown(file, path) for file in lists)
        return f"a folder of images per class, which `{names}` share out to splits"
    without_classes = all(split_in(name) for name in classes) or _by_longer_names(path)
    if len(classes) < 2 or without_classes:
        return ""
    return f"a folder of images per class: {_few(classes)}"


def read(path: Path, task: Task, options: ReadOptions) -> Reading:
    """Reads the tree; every class folder counts, also an empty one."""
    splits = _split_folders(path)
    lists = [] if splits else split_lists(path)
    top = class_folders(path) if lists else path
    tops: dict[Path, SplitName | None] = dict(splits) or {top: None}
    found = [(folder, split) for top, split in tops.items() for folder in folders(top)]
    classes = classes_by_name((folder.name for folder, _ in found), options.classes)
    ids = {c.name: c.id for c in classes}
    entries: list[Entry] = []
    findings = _stray(top, splits)
    nested: Counter[Path] = Counter()
    masks: list[Path] = []
    for folder, split in found:
        if folder.name not in ids:
            findings.append(unknown_class(folder.name, classes, shown(folder, path)))
            continue
        inside = walk_images(folder)
        drawn = masks_among(inside)
        masks += sorted(drawn)
        inside = [image for image in inside if image not in drawn]
        entries += [Entry(image, split, label=ids[folder.name]) for image in inside]
        nested.update(_below(folder, inside))
    findings += [*_nested(nested, path), *_masks(masks, path), *_left_out(path, splits)]
    named = frozenset(splits.values())
    if lists:
        entries, told, named = shared_out(entries, lists, path)
        findings += told
    return Reading("folders", path, classes, tuple(entries), tuple(findings), named)


def _split_folders(path: Path) -> dict[Path, SplitName]:
    """Folders named as a split that hold class folders; a class may be called `train` itself.

    Longer names may as well stand for something else, unless `train` holds two classes.
    """
    words = {f: s for f in folders(path) if (s := split_word(f.name))}
    named = {_unwrapped(f): s for f, s in (words or _by_longer_names(path)).items()}
    least = 1 if words else 2
    found = {f: s for f, s in named.items() if _holds_classes(f)}
    if not any(s == "train" and _holds_classes(f, least) for f, s in found.items()):
        return {}
    empty = {f: s for f, s in named.items() if f not in found and not images(f)}
    return {f: s for f, s in named.items() if f in found or f in empty}


def _holds_classes(folder: Path, least: int = 1) -> bool:
    """Whether so many folders inside hold images; no more are looked into."""
    return len(list(islice(filter(holds_images, folders(folder)), least))) == least


def _by_longer_names(path: Path) -> dict[Path, SplitName]:
    """Folders whose names differ in the split alone, as `seg_train` and `seg_test` do."""
    named: dict[str, dict[Path, SplitName]] = defaultdict(dict)
    for folder in folders(path):
        if split := split_in(folder.name):
            named[without_split(folder.name)][folder] = split
    several = (own for own in named.values() if len(own) > 1 and "train" in own.values())
    return next((own for own in several if len(set(own.values())) == len(own)), {})


def _unwrapped(folder: Path) -> Path:
    """Kaggle often packs a folder into one of its own name."""
    inside = folder / folder.name
    return _unwrapped(inside) if folders(folder) == [inside] and not images(folder) else folder


def _below(folder: Path, inside: Iterable[Path]) -> Counter[Path]:
    """Images by the folder below a class folder, where there is more than one such folder.

    What all have in common, as in `rps/rps/rock` and `rps/rps/paper`, tells none apart.
    """
    parts = [image.relative_to(folder).parts[:-1] for image in inside]
    depth = len(os.path.commonprefix(parts))
    counts = Counter(folder.joinpath(*part[: depth + 1]) for part in parts)
    several = len(counts) > 1 or any(split_word(f.name) for f in counts if f != folder)
    return Counter({f: n for f, n in counts.items() if several and f != folder})


def _nested(nested: Counter[Path], root: Path) -> list[Finding]:
    """Folders inside class folders, all in one: shoots of a class, or classes that are not learnt.

    Where they are named as splits, the split that someone made would be lost.
    """
    found = []
    for code, kept in (("split_in_class", True), ("nested_folders", False)):
        own = {f: n for f, n in nested.items() if bool(split_word(f.name)) == kept}
        if own:
            first = min(own)
            count = f"{len(own)} folders" if len(own) > 1 else "1 folder"
            reason = f"{count} inside class folders ({sum(own.values())} images): {_MEANING[code]}"
            above = "[^/]+/" * (len(first.relative_to(root).parts) - 1)
            cure = _CURES[code].format(pattern=f"^{above}([^/]+)/")
            found.append(warning(code, shown(first, root), reason, cure))
    return found


def _left_out(root: Path, splits: Iterable[Path]) -> list[Finding]:
    """Folders beside splits that hold images too, and are called otherwise."""
    read = {split.relative_to(root).parts[0] for split in splits}
    rest = [f for f in folders(root) if read and f.name not in read and not split_word(f.name)]
    reason, cure = "images beside the splits, in a folder named as none", "rename or remove it"
    return [
        warning("folder_left_out", shown(folder, root), f"{reason}, are left out", cure)
        for folder in rest
        if holds_images(folder)
    ]


def _masks(masks: list[Path], root: Path) -> list[Finding]:
    """Masks of images that lie beside them show a class to nobody."""
    if not masks:
        return []
    reason = f"{len(masks)} masks of images beside them (`a_mask.png` of `a.png`) are left out"
    cure = "to learn from them, set `task: segmentation`; if they are images, rename them"
    return [warning("mask_among_images", shown(masks[0], root), reason, cure)]


_MEANING = {
    "split_in_class": "named as splits, but not used as such; images count as the class above",
    "nested_folders": "their images count as the class above",
}
_CURES = {
    "split_in_class": "put the splits above: `train/CLASS`, `val/CLASS`",
    "nested_folders": "if they are classes, put each beside the others; if they are patients or "
    "shoots, `data.group: '{pattern}'` keeps each in one split",
}


def _stray(path: Path, splits: dict[Path, SplitName]) -> list[Finding]:
    """Images that lie beside the class folders have no class."""
    tops = [path, *splits] if splits else [path]
    tops += [f for f in folders(path) if splits and split_word(f.name) and f not in splits]
    return [
        warning(
            "no_class",
            shown(image, path),
            "image lies in no class folder and is left out",
            "move it into the folder of its class",
        )
        for top in dict.fromkeys(tops)
        for image in images(top)
    ]


def _few(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
