"""Folders that are no classes: images and their masks, a set's only folder of images, its parts."""

import re
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from automl.data.files import folders, holds_images, images, walk_images, without_ending, words
from automl.data.readers.mask_folders import (
    IMAGE_WORDS,
    IMAGES,
    MASK_WORDS,
    called,
    paired,
    role,
)

_LOOKED_AT = 20
"""Folders that are looked into before a set of a thousand classes is believed to be one."""
_SAYS_MASK = {*MASK_WORDS, "seg", "segs", "parsing", "labeled", "labelled", "anno", "truth"}
_SAYS_PART = {*IMAGE_WORDS, "part", "fold", "batch", "chunk", "photos"}
_LOSSY = (".jpg", ".jpeg")
"""What no masks are saved as that could be read."""
_MASKS_CURE = "they are read from `images/` and `masks/` with the same file names"
_CURE = "if they are classes all the same, say `format: folders` in a recipe"


def no_classes(tops: Iterable[Path]) -> str:
    """What makes folders something else than classes; empty where nothing does."""
    every = [(top, folders(top)) for top in tops]
    for top, inside in every:
        names = [f.name for f in islice((f for f in inside if holds_images(f)), 2)]
        rest = role(names[0], IMAGE_WORDS) if len(names) == 1 else None
        if rest is not None and not rest.strip("0123456789"):  # KITTI numbers its cameras
            shown = f"{top.name}/{names[0]}" if len(every) > 1 else names[0]
            return f"`{shown}` holds images, and nothing says what they show"
    for top, inside in every:
        if len(parts := _parts(inside)) > 1:
            first, second = parts[:2]
            return f"`{first}` and `{second}` look like parts of one set, not like classes; {_CURE}"
        for place in (top, *inside[:_LOOKED_AT]):
            if found := _suspected(place):
                told = "`{}` and `{}` look like images and their masks".format(*found)
                return f"{told}: {_MASKS_CURE}; {_CURE}"
    return ""


def _parts(inside: list[Path]) -> list[str]:
    """All folders, where their names differ in a number only: `images_001` and `images_002`."""
    plain = {re.sub(r"\d+$", "", f.name) for f in inside}
    alike = len(plain) == 1 and _SAYS_PART & words(plain.pop())
    return [f.name for f in inside if holds_images(f)] if alike else []


def _suspected(place: Path) -> tuple[str, str] | None:
    """Two folders, one named after images and one after masks."""
    pictures, masks = ([f for f, _ in called(place, w)] for w in (IMAGE_WORDS, MASK_WORDS))
    found = ((p, m) for p in pictures for m in masks if p != m)
    first = next((f for f in found if _plain(*f) or paired(*f) or _is_one(f[0], place)), None)
    return (first[0].name, first[1].name) if first else _views(place)


def _plain(pictures: Path, masks: Path) -> bool:
    """Called images and masks in so many words, whatever the files inside are called."""
    return pictures.name.lower() in IMAGES and role(masks.name, MASK_WORDS) == ""


def _is_one(pictures: Path, place: Path) -> bool:
    """A folder per image, as in `ID/images/ID.png` beside `ID/masks/`."""
    found = images(pictures)
    return len(found) == 1 and found[0].stem == place.name


def _views(place: Path) -> tuple[str, str] | None:
    """Two folders of files of the same names, one of which says masks somewhere in its own."""
    says_mask = {f: bool(_SAYS_MASK & words(f.name)) for f in folders(place)}
    masks = [f for f, says in says_mask.items() if says and holds_images(f)]
    pictures = [f for f, says in says_mask.items() if masks and not says and holds_images(f)]
    pairs = ((p, m) for m in masks for p in pictures)
    alone = len(says_mask) == 2
    return next(((p.name, m.name) for p, m in pairs if _is_view(p, m, alone=alone)), None)


def _is_view(pictures: Path, masks: Path, *, alone: bool) -> bool:
    """Whether most masks are called as an image is, but for a last word: `a_RGB` and `a_label`.

    Of two folders it is enough that the other one says images.
    """
    drawn = walk_images(masks)
    if any(mask.suffix.lower() in _LOSSY for mask in drawn):
        return False
    if alone and words(pictures.name) & set(IMAGE_WORDS):
        return True
    known = {name for image in walk_images(pictures) for name in _names(image)}
    return sum(bool(_names(mask) & known) for mask in drawn) * 2 > len(drawn)


def _names(path: Path) -> set[str]:
    whole = without_ending(path).name
    return {whole, whole.rpartition("_")[0] or whole}
