"""Where a COCO set keeps its JSON files and its images."""

from pathlib import Path
from typing import Any

from automl.data.documents import holds
from automl.data.files import (
    files,
    first_folder,
    first_there,
    folders,
    is_there,
    split_in,
    split_word,
    ways,
)
from automl.data.reading import unusable
from automl.dataset import SplitName

_PICTURES = ("images", "JPEGImages", "data")
_KEYS = (b'"images"', b'"annotations"')
_CLASSED, _BARE = (b'"categories"',), (b'"image_id"', b'"bbox"', b'"file_name"')


def jsons(path: Path) -> list[Path]:
    """COCO files at the top, in `annotations/` or in folders named as a split."""
    if path.is_file():
        return [path] if path.suffix.lower() == ".json" and _is_coco(path) else []
    places = [path, path / "annotations", *(f for f in folders(path) if split_word(f.name))]
    found = [p for place in places if place.is_dir() for p in files(place, ".json") if _is_coco(p)]
    instances = [p for p in found if p.name.startswith("instances_")]
    return instances or found


def _is_coco(path: Path) -> bool:
    """Panoptic files have the same keys, but their segments are in PNG files."""
    known = holds(path, *_KEYS) and (holds(path, *_CLASSED) or holds(path, *_BARE))
    return known and not holds(path, b'"segments_info"')


def by_split(path: Path) -> dict[SplitName | None, Path]:
    """The file of each split; None for a single one whose images are divided by us."""
    found = jsons(path) if path.is_dir() else [path]
    if len(found) == 1 and (path.is_file() or not _split_of(found[0])):
        return {None: found[0]}
    sources: dict[SplitName | None, Path] = {}
    for source in found:
        split = _split_of(source)
        if split is None or split in sources:
            names = ", ".join(p.name for p in found)
            raise unusable(
                f"cannot tell which split each JSON file is: {names}",
                path,
                "name them train, val and test, or name one file as `data.path`",
            )
        sources[split] = source
    if not sources:
        raise unusable("no COCO JSON file", path, "expected annotations/*.json")
    return sources


def _split_of(source: Path) -> SplitName | None:
    return split_in(source.stem) or split_word(source.parent.name)


def root_of(source: Path) -> Path:
    """The set's folder, from one of its files."""
    inside = source.parent.name == "annotations" or split_word(source.parent.name)
    return source.parent.parent if inside else source.parent


def bases(source: Path, root: Path, split: SplitName | None) -> list[Path]:
    """Folders that may hold the images, best first."""
    named = [source.stem, source.stem.removeprefix("instances_")]
    pictures = first_folder(root, *_PICTURES) or root
    tops = [pictures, root] if pictures != root else [root]
    same = [f for top in tops for f in folders(top) if split and split_in(f.name) == split]
    same.sort(key=lambda f: not split_word(f.name))  # `train` before `masks_train`
    same += [inside for f in same if (inside := first_folder(f, *_PICTURES))]
    bases = [top / name for top in tops for name in named] + same + tops + [source.parent]
    return [base for base in dict.fromkeys(bases) if base.is_dir()]


def name_of(image: dict[str, Any]) -> str:
    """Of LVIS, which has addresses alone, the last two parts: `train2017/000000000009.jpg`."""
    name = image.get("file_name")
    return str(name) if name else "/".join(image["coco_url"].split("/")[-2:])


def find(bases: list[Path], name: str, root: Path) -> Path:
    """The first of the places where an image may be that has it; otherwise the first of them.

    A folder of any other name will do where it alone has the image.
    """
    found = first_there([base / way for way in ways(name) for base in bases])
    if is_there(found):
        return found
    others = [top / ways(name)[0] for top in folders(root) if top not in bases]
    there = [place for place in others if is_there(place)]
    return there[0] if len(there) == 1 else found
