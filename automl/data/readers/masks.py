"""Image and mask pairs: folders `images` and `masks`, above or below a level of splits."""

import re
from pathlib import Path

from automl.data.files import (
    first_folder,
    folders,
    images,
    read_text,
    split_word,
    walk_images,
    without_ending,
)
from automl.data.reading import (
    Asked,
    Entry,
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

_Colours = tuple[tuple[int, int, int, int], ...]
_Pair = tuple[SplitName | None, Path, Path]


_TABLES = ("labelmap.txt", "classes.csv", "class_dict.csv", "label_colors.txt", "colors.txt")


def looks_like(path: Path, task: Task) -> str:
    """Why this is a set of image and mask pairs; empty where it is not."""
    pairs = _pairs(path) if path.is_dir() else []
    if not pairs:
        return ""
    _, pictures, masks = pairs[0]
    return f"`{shown(pictures, path)}` beside `{shown(masks, path)}` with an image per image"


def read(path: Path, task: Task, asked: Asked) -> Reading:
    """Pairs images with masks by name; classes are left open where no one names them."""
    pairs = _pairs(path)
    if not pairs:
        raise unusable("no folders of images and masks", path, "expected images/ and masks/")
    entries: list[Entry] = []
    findings: list[Finding] = []
    for split, pictures, masks in pairs:
        _pair_up(split, pictures, masks, path, entries, findings)
    names, colours = listed_names(path, asked)
    classes = classes_by_id(names, asked.classes) if names or asked.classes else ()
    splits = frozenset(split for split, _, _ in pairs if split)
    return Reading("masks", path, classes, tuple(entries), tuple(findings), splits, colours)


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
    free = {without_ending(m.relative_to(masks)).as_posix(): m for m in walk_images(masks)}
    for image in walk_images(pictures):
        name = without_ending(image.relative_to(pictures)).as_posix()
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


def listed_names(path: Path, asked: Asked) -> tuple[dict[int, str], _Colours]:
    """Names by id, and the colours of masks that are colours, in the order that a file lists them.

    The recipe's `data.colours` wins; then a table of colours beside the data; then `classes.txt`.
    """
    table = list(asked.colours.items()) or _colour_table(path)
    if table:
        given = asked.classes if isinstance(asked.classes, dict) else {}
        ids = {name: i for i, name in given.items()}
        order = asked.classes if isinstance(asked.classes, list) else [name for name, _ in table]
        ids = ids or {name: i for i, name in enumerate(dict.fromkeys(order))}
        missing = [name for name, _ in table if name not in ids]
        if missing:
            hint = "`data.classes` and the table of colours name the same classes"
            raise unusable(f"colour of `{missing[0]}`, which is no class", path, hint)
        colours = tuple((int(c[0]), int(c[1]), int(c[2]), ids[name]) for name, c in table)
        return {i: name for name, i in ids.items()}, colours
    listed = path / "classes.txt"
    if not listed.is_file():
        return {}, ()
    lines = read_text(listed).splitlines()
    return {i: line.strip() for i, line in enumerate(lines) if line.strip()}, ()


def _colour_table(path: Path) -> list[tuple[str, list[int]]]:
    """`labelmap.txt` of CVAT (name:r,g,b::), `class_dict.csv` (name,r,g,b), `label_colors.txt`."""
    for name in _TABLES:
        if (path / name).is_file():
            rows = (_colour(line) for line in read_text(path / name).splitlines())
            found = [row for row in rows if row]
            if found:
                return found
    return []


def _colour(line: str) -> tuple[str, list[int]] | None:
    """One line with a name and three numbers in either order; None for headers and notes."""
    parts = [p for p in re.split(r"[:,;\s]+", line.split("#")[0].strip()) if p]
    digits = [p for p in parts if p.isdecimal() and len(p) <= 3 and int(p) <= 255]
    if len(digits) < 3:
        return None
    first = re.match(r"\s*(\d+[ ,]+\d+[ ,]+\d+)[\s,:;]+(\S.*)$", line)
    after = re.match(r"\s*([^:;,\t]+?)\s*[:;,\t\s]\s*(\d+)[ ,;\t]+(\d+)[ ,;\t]+(\d+)", line)
    if first:
        return first[2].strip(), [int(v) for v in re.findall(r"\d+", first[1])]
    return (after[1].strip(), [int(after[i]) for i in (2, 3, 4)]) if after else None
