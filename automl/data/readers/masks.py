"""Image and mask pairs: folders `images` and `masks`, above, below or beside a level of splits."""

import re
from collections.abc import Collection
from pathlib import Path

from automl.data.files import (
    first_folder,
    folders,
    holds_images,
    images,
    read_text,
    split_word,
    walk_images,
    without_ending,
)
from automl.data.reading import (
    Entry,
    Reading,
    ReadOptions,
    classes_by_id,
    fatal,
    shown,
    unusable,
)
from automl.dataset import Finding, SplitName, Task

_IMAGES = ("images", "image", "imgs", "img", "leftImg8bit")
_CLEAR = ("masks", "annotations", "annot", "labels", "gt", "gtFine", "ground_truth", "groundtruth")
"""Folders that hold masks, whatever the folder of the images beside them is called."""
_MASKS = (*_CLEAR, "mask")
_CITY = "_leftImg8bit"
"""What Cityscapes puts behind the name that an image and its mask share."""
_CITY_IDS = ("_gtFine_labelTrainIds", "_gtFine_labelIds")
_PLAIN = ("", "_mask", "_masks", "_label", "_labels", "_seg", "_segmentation", "_gt", "_L")
_ENDINGS = (*_PLAIN, *_CITY_IDS)
"""What may follow the image's name in that of its mask, the best first."""
_OTHER_VIEWS = (*_CITY_IDS, "_gtFine_color", "_gtFine_instanceIds", "_color", "_instanceIds")
"""What may follow it in a second picture of the same mask, which is left out."""

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


def read(path: Path, task: Task, options: ReadOptions) -> Reading:
    """Pairs images with masks by name; classes are left open where no one names them."""
    pairs = _pairs(path)
    if not pairs:
        raise unusable("no folders of images and masks", path, "expected images/ and masks/")
    entries: list[Entry] = []
    findings: list[Finding] = []
    for split, pictures, masks in pairs:
        _pair_up(split, pictures, masks, path, entries, findings)
    names, colours = listed_names(path, options)
    classes = classes_by_id(names, options.classes) if names or options.classes else ()
    splits = frozenset(split for split, _, _ in pairs if split)
    return Reading("masks", path, classes, tuple(entries), tuple(findings), splits, colours)


def _pairs(path: Path) -> list[_Pair]:
    """Split, folder of images, folder of masks."""
    inside = [(folder, split_word(folder.name)) for folder in folders(path)]
    below = [(split, *found) for f, split in inside if split and (found := _beside(f))]
    if below:
        return [*below]
    if pair := _beside(path):
        above = [
            (split, folder, pair[1] / folder.name)
            for folder in folders(pair[0])
            if (split := split_word(folder.name)) and (pair[1] / folder.name).is_dir()
        ]
        return [*above] or [(None, *pair)]
    return [
        (split, folder, masks)
        for folder, split in inside
        if split and (masks := _masks_of_split(folder))
    ]


def _beside(folder: Path) -> tuple[Path, Path] | None:
    """The folders of images and of masks inside: by name, or the only other one with such files."""
    masks = _mask_folder(folder)
    if masks is None:
        return None
    if pictures := first_folder(folder, *_IMAGES):
        return pictures, masks
    others = [f for f in folders(folder) if f != masks and holds_images(f)]
    if masks.name not in _CLEAR or len(others) != 1:
        return None
    known = {_base(p, others[0]) for p in walk_images(others[0])}
    ends = (*_ENDINGS, *_OTHER_VIEWS)
    paired = all(_extends(_stem(mask, masks), known, ends) for mask in walk_images(masks))
    return (others[0], masks) if paired else None


def _mask_folder(folder: Path) -> Path | None:
    """The first candidate that holds images itself or in its folders."""
    for name in _MASKS:
        found = first_folder(folder, name)
        if found and any(images(f) for f in (found, *folders(found))):
            return found
        if found and any(images(g) for f in folders(found) for g in folders(f)):
            return found
    return None


def _masks_of_split(folder: Path) -> Path | None:
    """`train_masks` or `trainannot` for `train`."""
    names = [f"{folder.name}{dash}{word}" for word in _MASKS for dash in ("", "_", "-")]
    found = first_folder(folder.parent, *names)
    return found if found and images(folder) and images(found) else None


def _stem(path: Path, folder: Path) -> str:
    return without_ending(path.relative_to(folder)).as_posix()


def _base(image: Path, folder: Path) -> str:
    """What an image and its mask have in common."""
    return _stem(image, folder).removesuffix(_CITY)


def _extends(mask: str, known: Collection[str], ends: tuple[str, ...]) -> bool:
    return any(mask.endswith(end) and mask[: len(mask) - len(end)] in known for end in ends)


def _pair_up(
    split: SplitName | None,
    pictures: Path,
    masks: Path,
    root: Path,
    entries: list[Entry],
    findings: list[Finding],
) -> None:
    free = {_stem(m, masks): m for m in walk_images(masks)}
    paired = set()
    for image in walk_images(pictures):
        name = _base(image, pictures)
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
        paired.add(name)
        entries.append(Entry(image, split, mask=free.pop(key)))
    findings += [
        fatal(
            "missing_image",
            shown(mask, root),
            f"no image of this name in `{shown(pictures, root)}`",
            "add the image or remove the mask",
        )
        for name, mask in free.items()
        if not _extends(name, paired, _OTHER_VIEWS)
    ]


def listed_names(path: Path, options: ReadOptions) -> tuple[dict[int, str], _Colours]:
    """Names by id, and the colours of masks that are colours, in the order that a file lists them.

    The recipe's `data.colours` wins; then a table of colours beside the data; then `classes.txt`.
    """
    table = list(options.colours.items()) or _colour_table(path)
    if table:
        given = options.classes if isinstance(options.classes, dict) else {}
        ids = {name: i for i, name in given.items()}
        order = (
            options.classes if isinstance(options.classes, list) else [name for name, _ in table]
        )
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
