"""Where a set keeps images and their masks: by names of folders, or of files side by side."""

import re
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from automl.data.files import (
    first_folder,
    folders,
    holds_images,
    images,
    split_in,
    split_word,
    walk_images,
    without_ending,
)
from automl.dataset import SplitName

_Folders = tuple[Path, Path]
Pair = tuple[SplitName | None, Path, Path]
"""Split, folder of images, folder of masks; both the same where masks lie beside their images."""

_OF_IMAGES = ("_leftImg8bit", "_image", "_img", "_sat", "_0000", "_training", "_test")
"""What may stand behind the name that an image and its mask share; nnU-Net numbers channels."""
_CITY_IDS = ("_gtFine_labelTrainIds", "_gtFine_labelIds")
BESIDE = ("_mask", "_masks", "_label", "_labels", "_seg", "_segmentation", "_gt")
"""What tells the mask from its image where both lie in one folder."""
ENDINGS = ("", *BESIDE, "_L", "_manual1", *_CITY_IDS)
"""What may follow the image's name in that of its mask, the best first."""
_AFTER = re.compile(f"({'|'.join(BESIDE)})(_\\d+)?$")
OTHER_VIEWS = (*_CITY_IDS, "_gtFine_color", "_gtFine_instanceIds", "_color", "_instanceIds")
"""What may follow it in a second picture of the same mask, which is left out."""

IMAGES = ("images", "image", "imgs", "img", "leftImg8bit")
_CLEAR = (
    "masks",
    "annotations",
    "annot",
    "labels",
    "gt",
    "gtFine",
    "ground_truth",
    "groundtruth",
    "v2.0/labels",
    "1st_manual",  # of DRIVE and HRF, whose `mask` is the field of view
    "manual1",
)
"""Folders that hold masks, whatever the folder of the images beside them is called."""
_MASKS = (*_CLEAR, "mask")
IMAGE_WORDS = ("jpegimages", "images", "image", "imgs", "img", "inputs", "input", "original")
MASK_WORDS = (
    *("groundtruth", "annotations", "annotation", "annots", "annot", "ann", "masks", "mask"),
    *("labels", "label", "targets", "target", "segmentations", "segmentation", "semantic", "gt"),
)
"""Parts of longer names, such as `imagesTr`, `train_images`, `img_dir` and `Ground Truth`."""
_OF_VOC = ("SegmentationClass", "SegmentationObject")
"""Left to the reader of Pascal VOC, which knows its lists of images."""
_SHORT: dict[str, SplitName] = {"tr": "train", "ts": "test"}
"""How nnU-Net and the Medical Segmentation Decathlon call a split."""


def pairs(path: Path) -> list[Pair]:
    """The folders of images with the folders of their masks, by split where there are any."""
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
    of_splits = [
        (split, folder, masks)
        for folder, split in inside
        if split and (masks := _masks_of_split(folder))
    ]
    return [*of_splits] or _named(path) or _deeper(path) or _mixed(path)


def _beside(folder: Path) -> tuple[Path, Path] | None:
    """The folders of images and of masks inside: by name, or the only other one with such files."""
    masks = _mask_folder(folder)
    if masks is None or any(f.name.startswith("panoptic") for f in folders(masks)):
        return None
    if pictures := first_folder(folder, *IMAGES):
        return pictures, _only_one(masks, pictures)
    others = [f for f in folders(folder) if f != masks and holds_images(f)]
    if masks.name not in _CLEAR or len(others) != 1:
        return None
    known = {name for p in walk_images(others[0]) for name in bases(p, others[0])}
    ends = (*ENDINGS, *OTHER_VIEWS)
    paired = all(extends(stem(mask, masks), known, ends) for mask in walk_images(masks))
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


def _only_one(masks: Path, pictures: Path) -> Path:
    """`annotations/trimaps`, where nothing else in it holds masks and no image lies so deep."""
    inside = [f for f in folders(masks) if images(f)]
    alone = len(inside) == 1 and not images(masks) and not split_word(inside[0].name)
    return inside[0] if alone and images(pictures) and not folders(pictures) else masks


def _masks_of_split(folder: Path) -> Path | None:
    """`train_masks` or `trainannot` for `train`."""
    names = [f"{folder.name}{dash}{word}" for word in _MASKS for dash in ("", "_", "-")]
    found = first_folder(folder.parent, *names)
    return found if found and images(folder) and images(found) else None


def _named(path: Path) -> list[Pair]:
    """Folders whose names say images and masks in other ways, and whose files go together."""
    tops = [f for f in folders(path) if split_word(f.name)]
    below = [(split_word(top.name), *pair) for top in tops for pair in _by_role(top)[:1]]
    if below:
        return [*below]
    found = _by_role(path)
    if len(found) == 1:
        pictures, masks = found[0]
        deeper = [(split_word(f.name), f, masks / f.name) for f in folders(pictures)]
        deeper = [(s, f, m) for s, f, m in deeper if s and m.is_dir()]
        return [*deeper] or [(_split_of(pictures), pictures, masks)]
    named: list[Pair] = [(s, p, m) for p, m in found if (s := _split_of(p))]
    return named


def _deeper(path: Path) -> list[Pair]:
    """A level more inside each split, such as `Train/Urban/images_png` with `masks_png` beside.

    Without splits above, the folders may just as well be classes; a pair in each that has images.
    """
    found: list[Pair] = []
    for top in folders(path):
        split = split_word(top.name)
        inside = [f for f in folders(top) if holds_images(f)] if split else []
        below = [pair for f in inside for pair in _by_role(f)[:1]]
        if below and len(below) < len(inside):  # a test split may have no masks at all
            return []
        found += [(split, *pair) for pair in below]
    return found


def _by_role(folder: Path) -> list[tuple[Path, Path]]:
    """Pairs of folders whose names differ in the word for images or masks only, else the one."""
    pictures, masks = called(folder, IMAGE_WORDS), called(folder, MASK_WORDS)
    alike = [(p, m) for p, one in pictures for m, other in masks if one == other and p != m]
    if not alike and len(pictures) == len(masks) == 1 and pictures[0] != masks[0]:
        alike = [(pictures[0][0], masks[0][0])]
    alike = alike or _by_split(pictures, masks)
    return [(p, m) for p, m in alike if paired(p, m)]


def _by_split(pictures: list[tuple[Path, str]], masks: list[tuple[Path, str]]) -> list[_Folders]:
    """Where each split has one folder of images and one of masks, whatever else their names say."""
    ours, theirs = ([(split_in(f.name), f) for f, _ in named] for named in (pictures, masks))
    found = [(p, m) for split, p in ours for other, m in theirs if split and split == other]
    once = len({p for p, _ in found}) == len({m for _, m in found}) == len(found)
    return found if once else []


def called(folder: Path, words: Sequence[str]) -> list[tuple[Path, str]]:
    """Folders inside that hold images and are called so, with the rest of their names."""
    named = [(f, rest) for f in folders(folder) if (rest := role(f.name, words)) is not None]
    return [(f, rest) for f, rest in named if holds_images(f)]


def role(name: str, words: Sequence[str]) -> str | None:
    """What is left of a name once its word for images or masks is taken off; None without one."""
    if name in _OF_VOC:
        return None
    plain = re.sub("[^a-z0-9]", "", name.lower())
    for word in words:
        if plain.startswith(word) or plain.endswith(word):
            return plain.removeprefix(word) if plain.startswith(word) else plain.removesuffix(word)
    return None


def _split_of(folder: Path) -> SplitName | None:
    rest = role(folder.name, IMAGE_WORDS) or ""
    return _SHORT.get(rest) or split_in(rest) or split_in(folder.name)


def paired(pictures: Path, masks: Path) -> bool:
    """Whether most masks are called as an image is."""
    known = {name for p in walk_images(pictures) for name in bases(p, pictures)}
    found = [stem(m, masks) for m in walk_images(masks)]
    return sum(extends(name, known, ENDINGS) for name in found) * 2 > len(found)


def _mixed(path: Path) -> list[Pair]:
    """Masks beside their images, such as `a.jpg` and `a_mask.png`, in splits or not."""
    tops = [(f, split_word(f.name)) for f in folders(path) if split_word(f.name)] or [(path, None)]
    return [(split, top, top) for top, split in tops if _has_masks_beside(top)]


def _has_masks_beside(top: Path) -> bool:
    """By the first folder with images: most of its images have a mask beside them."""
    first = next((found for f in (top, *folders(top)) if (found := images(f))), [])
    masks = masks_among(first)
    return len(masks) * 3 > len(first)


def masks_among(files: Iterable[Path]) -> set[Path]:
    """Those that are masks of others: `a_mask.png`, or `a_mask_1.png`, beside `a.jpg`."""
    known = {without_ending(p): p for p in files}
    found = set()
    for whole, path in known.items():
        name = _AFTER.sub("", whole.name)
        beside = (whole.with_name(name + end) for end in ("", *_OF_IMAGES) if name)
        if name != whole.name and any(image in known for image in beside):
            found.add(path)
    return found


def stem(path: Path, folder: Path) -> str:
    """The name below the folder without its ending."""
    return without_ending(path.relative_to(folder)).as_posix()


def bases(image: Path, folder: Path) -> list[str]:
    """What an image and its mask may have in common, the likeliest first."""
    name = stem(image, folder)
    return [name, *(name.removesuffix(end) for end in _OF_IMAGES if name.endswith(end))]


def extends(mask: str, known: Collection[str], ends: tuple[str, ...]) -> bool:
    """Whether a mask is called as one of the images is, with one of the endings."""
    return any(mask.endswith(end) and mask[: len(mask) - len(end)] in known for end in ends)


def is_second(mask: str, known: Collection[str]) -> bool:
    """Whether a mask is one more of an image that has one: `a_mask_1`."""
    name = _AFTER.sub("", mask)
    return name != mask and name in known
