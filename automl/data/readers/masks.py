"""Image and mask pairs: folders `images` and `masks`, above or below a level of splits."""

from pathlib import Path

from automl.data.files import (
    first_folder,
    folders,
    images,
    read_text,
    split_word,
    walk_images,
)
from automl.data.reading import (
    Entry,
    Given,
    Reading,
    classes_by_id,
    fatal,
    shown,
    unusable,
)
from automl.dataset import Finding, SplitName, Task

_IMAGES = ("images", "image", "imgs", "img")
_MASKS = ("masks", "mask", "labels", "annotations")
_ENDINGS = ("", "_mask", "_label", "_labels", "_seg", "_gt", "_L")
"""What may follow the image's name in that of its mask."""

_Pair = tuple[SplitName | None, Path, Path]


def looks_like(path: Path) -> str:
    """Why this is a set of image and mask pairs; empty where it is not."""
    pairs = _pairs(path) if path.is_dir() else []
    if not pairs:
        return ""
    _, pictures, masks = pairs[0]
    return f"`{shown(pictures, path)}` beside `{shown(masks, path)}` with an image per image"


def read(path: Path, task: Task, given: Given) -> Reading:
    """Pairs images with masks by name; classes are left open where no one names them."""
    pairs = _pairs(path)
    if not pairs:
        raise unusable("no folders of images and masks", path, "expected images/ and masks/")
    entries: list[Entry] = []
    findings: list[Finding] = []
    for split, pictures, masks in pairs:
        _pair_up(split, pictures, masks, path, entries, findings)
    names = _listed_names(path)
    classes = classes_by_id(names, given) if names or given else ()
    splits = frozenset(split for split, _, _ in pairs if split)
    return Reading("masks", path, classes, tuple(entries), tuple(findings), splits)


def _pairs(path: Path) -> list[_Pair]:
    """Split, folder of images, folder of masks."""
    below = [
        (split, pictures, masks)
        for folder in folders(path)
        if (split := split_word(folder.name))
        and (pictures := first_folder(folder, *_IMAGES))
        and (masks := _mask_folder(folder))
    ]
    if below:
        return [*below]
    pictures, masks = first_folder(path, *_IMAGES), _mask_folder(path)
    if not pictures or not masks:
        return []
    above = [
        (split, folder, masks / folder.name)
        for folder in folders(pictures)
        if (split := split_word(folder.name)) and (masks / folder.name).is_dir()
    ]
    return [*above] or [(None, pictures, masks)]


def _mask_folder(folder: Path) -> Path | None:
    """The first candidate that holds images itself or in its folders."""
    for name in _MASKS:
        found = first_folder(folder, name)
        if found and any(images(f) for f in (found, *folders(found))):
            return found
    return None


def _pair_up(
    split: SplitName | None,
    pictures: Path,
    masks: Path,
    root: Path,
    entries: list[Entry],
    findings: list[Finding],
) -> None:
    free = {m.relative_to(masks).with_suffix("").as_posix(): m for m in walk_images(masks)}
    for image in walk_images(pictures):
        name = image.relative_to(pictures).with_suffix("").as_posix()
        key = next((name + end for end in _ENDINGS if name + end in free), None)
        if key is None:
            findings.append(
                fatal(
                    "missing_annotation",
                    shown(image, root),
                    f"no mask of this name in `{shown(masks, root)}`",
                    "add the mask or remove the image",
                )
            )
            continue
        entries.append(Entry(image, split, mask=free.pop(key)))
    findings += [
        fatal(
            "missing_image",
            shown(mask, root),
            f"no image of this name in `{shown(pictures, root)}`",
            "add the image or remove the mask",
        )
        for mask in free.values()
    ]


def _listed_names(path: Path) -> dict[int, str]:
    """`classes.txt`: one name per line, the first is id 0."""
    listed = path / "classes.txt"
    if not listed.is_file():
        return {}
    lines = read_text(listed).splitlines()
    return {i: line.strip() for i, line in enumerate(lines) if line.strip()}
