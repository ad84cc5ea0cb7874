"""A folder per image with a mask file per object: `ID/images/ID.png` and `ID/masks/*.png`."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from automl.data.files import first_folder, folders, images, split_in
from automl.data.readers.named import only_class, with_background
from automl.data.reading import (
    Entry,
    Reading,
    ReadOptions,
    classes_by_name,
    fatal,
    shown,
    unusable,
)
from automl.dataset import Finding, SplitName, Task

_LOOKED_AT = 20
"""Folders by which the layout is known."""


def looks_like(path: Path, task: Task) -> str:
    """Why this is such a set; empty where it is not."""
    first = next((shown(f, path) for top, _ in _tops(path) for f in folders(top)), "")
    return f"`{first}/images` and a mask for each object in `{first}/masks`" if first else ""


def read(path: Path, task: Task, options: ReadOptions) -> Reading:
    """All objects are of one class: nothing says more."""
    tops = list(_tops(path))
    if not tops:
        raise unusable("no folder per image", path, "expected ID/images/ID.png and ID/masks/*.png")
    name = only_class(options.classes)
    classes = classes_by_name([name], options.classes)
    number = next((c.id for c in classes if c.name == name), None)
    if number is None:
        raise unusable("the masks are of one class", path, "name one in `data.classes`")
    if task == "segmentation":
        classes = with_background(classes)
    entries: list[Entry] = []
    findings: list[Finding] = []
    for top, split in tops:
        for folder in folders(top):
            found = _entry(folder, split, path, number, task)
            (entries if isinstance(found, Entry) else findings).append(found)  # type: ignore[arg-type]
    splits = frozenset(split for _, split in tops if split)
    return Reading("object_masks", path, classes, tuple(entries), tuple(findings), splits)


def _tops(path: Path) -> Iterator[tuple[Path, SplitName | None]]:
    """The folder itself, or those inside that are named after a split."""
    if not path.is_dir():
        return
    if _holds_objects(path):
        yield path, None
        return
    named = [(f, split) for f in folders(path) if (split := split_in(f.name))]
    yield from ((f, split) for f, split in named if _holds_objects(f))


def _holds_objects(top: Path) -> bool:
    """Whether most folders are such a pair; the others are told when they are read."""
    looked = list(islice(folders(top), _LOOKED_AT))
    fit = [f for f in looked if len(images(f / "images")) == 1 and images(f / "masks")]
    return len(fit) * 2 > len(looked)


def _entry(
    folder: Path, split: SplitName | None, root: Path, number: int, task: Task
) -> Entry | Finding:
    pictures, masks = images(folder / "images"), first_folder(folder, "masks")
    where = shown(folder, root)
    if len(pictures) != 1:
        reason = f"`images` holds {len(pictures)} images: whose masks these are is not known"
        return fatal("several_images", where, reason, "give each image a folder of its own")
    if masks is None:
        reason = "there is no folder `masks`"
        return fatal("missing_annotation", where, reason, "add it, empty for an image of nothing")
    shapes = () if task == "segmentation" else None
    parts = tuple(images(masks))
    return Entry(pictures[0], split, shapes=shapes, parts=parts, part_class=number)
