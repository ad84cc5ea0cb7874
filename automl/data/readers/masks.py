"""Image and mask pairs: folders `images` and `masks`, above, below or beside a level of splits."""

import re
from pathlib import Path

from automl.data.documents import load_json
from automl.data.files import folders, holds_images, read_text, split_in, split_word, walk_images
from automl.data.readers.mask_folders import (
    ENDINGS,
    OTHER_VIEWS,
    Pair,
    bases,
    extends,
    is_second,
    masks_among,
    pairs,
    stem,
)
from automl.data.reading import (
    Entry,
    Reading,
    ReadOptions,
    classes_by_id,
    fatal,
    shown,
    unusable,
    warning,
)
from automl.dataset import Finding, SplitName, Task

_Colours = tuple[tuple[int, int, int, int], ...]
_TABLES = (
    *("labelmap.txt", "classes.csv", "class_dict.csv", "label_class_dict.csv", "label_colors.txt"),
    "colors.txt",
)


def looks_like(path: Path, task: Task) -> str:
    """Why this is a set of image and mask pairs; empty where it is not."""
    found = pairs(path) if path.is_dir() else []
    if not found:
        return ""
    _, pictures, masks = found[0]
    if pictures == masks:
        return "images with a mask beside each, called as they are and `_mask`"
    return f"`{shown(pictures, path)}` beside `{shown(masks, path)}` with an image per image"


def read(path: Path, task: Task, options: ReadOptions) -> Reading:
    """Pairs images with masks by name; classes are left open where no one names them."""
    found = pairs(path)
    if not found:
        raise unusable("no folders of images and masks", path, "expected images/ and masks/")
    entries: list[Entry] = []
    findings: list[Finding] = []
    for split, pictures, masks in found:
        _pair_up(split, pictures, masks, path, entries, findings)
    findings += _left_out(found, path)
    names, colours = listed_names(path, options)
    classes = classes_by_id(names, options.classes) if names or options.classes else ()
    splits = frozenset(split for split, _, _ in found if split)
    return Reading("masks", path, classes, tuple(entries), tuple(findings), splits, colours)


def _pair_up(
    split: SplitName | None,
    pictures: Path,
    masks: Path,
    root: Path,
    entries: list[Entry],
    findings: list[Finding],
) -> None:
    every = walk_images(masks)
    beside = masks_among(every) if pictures == masks else set()
    free = {stem(m, masks): m for m in (sorted(beside) if pictures == masks else every)}
    paired = set()
    for image in walk_images(pictures):
        if image in beside:
            continue
        names = [name + end for name in bases(image, pictures) for end in ENDINGS]
        key = next((name for name in names if name in free), None)
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
        paired.update(bases(image, pictures))
        entries.append(Entry(image, split, mask=free.pop(key)))
    findings += [
        _left_over(mask, pictures, root, second=is_second(name, paired))
        for name, mask in free.items()
        if not extends(name, paired, OTHER_VIEWS)
    ]


def _left_out(found: list[Pair], root: Path) -> list[Finding]:
    """Folders beside images and masks may be the masks that are meant."""
    used = {folder for _, *both in found for folder in both}
    tops = dict.fromkeys(pictures.parent for _, pictures, masks in found if pictures != masks)
    rest = [f for top in tops for f in folders(top) if f not in used and not split_in(f.name)]
    rest = [f for f in rest if not any(one.is_relative_to(f) for one in used) and holds_images(f)]
    cure = "if it holds the masks that are meant, call it `masks`, and the other one otherwise"
    return [
        warning("folder_left_out", shown(f, root), "holds images too, and is left out", cure)
        for f in rest
    ]


def _left_over(mask: Path, pictures: Path, root: Path, *, second: bool) -> Finding:
    """A mask that no image takes."""
    if second:
        reason, cure = "a second mask of one image", "merge them into one mask"
        return fatal("several_masks", shown(mask, root), reason, cure)
    reason = f"no image of this name in `{shown(pictures, root)}`"
    return fatal("missing_image", shown(mask, root), reason, "add the image or remove the mask")


def listed_names(path: Path, options: ReadOptions) -> tuple[dict[int, str], _Colours]:
    """Names by id, and the colours of masks that are colours, in the order that a file lists them.

    The recipe's `data.colours` wins; then a table of colours beside the data; then `classes.txt`,
    or what other tools export.
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
        return _exported_names(path), ()
    lines = read_text(listed).splitlines()
    return {i: line.strip() for i, line in enumerate(lines) if line.strip()}, ()


def _exported_names(path: Path) -> dict[int, str]:
    """Of `_classes.csv` (Roboflow: id, name) or `dataset.json` (nnU-Net, Decathlon: `labels`)."""
    tops = [path, *(f for f in folders(path) if split_word(f.name))] if path.is_dir() else []
    for table in (top / "_classes.csv" for top in tops):
        if table.is_file():
            lines = (line.partition(",") for line in read_text(table).splitlines())
            return {int(i): n.strip() for i, _, n in lines if i.strip().isdecimal() and n.strip()}
    described = path / "dataset.json"
    document = load_json(described) if described.is_file() else None
    labels = document.get("labels") if isinstance(document, dict) else None
    rows = list(labels.items()) if isinstance(labels, dict) else []
    if all(isinstance(i, int) and not isinstance(i, bool) for _, i in rows):
        rows = [(str(i), name) for name, i in rows]  # nnU-Net has names first
    if not all(i.isdecimal() and isinstance(name, str) for i, name in rows):
        return {}
    return {int(i): name for i, name in rows}


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
