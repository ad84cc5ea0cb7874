"""What describes a YOLO set: `data.yaml`, darknet's `obj.data` or its tree; the images it lists."""

from pathlib import Path
from typing import Any

from automl.data.documents import load_yaml
from automl.data.files import (
    files,
    folders,
    is_file,
    is_image,
    is_there,
    read_text,
    split_word,
    walk_images,
    ways,
)
from automl.data.reading import unusable
from automl.dataset import SplitName

Listed = list[tuple[SplitName | None, list[Path]]]
"""Images by split."""

_LOOKED_AT = 20
_KEYS: dict[str, SplitName] = {"train": "train", "val": "val", "valid": "val", "test": "test"}
_NAMED = ("classes.txt", "labels/classes.txt", "obj.names", "train/_darknet.labels")


def description_of(path: Path) -> Path | None:
    """The file that describes the set."""
    if path.is_file():
        return path if path.suffix.lower() in (".yaml", ".yml", ".data") else None
    found = [p for p in _descriptions(path) if _describes(load(p))]
    if len(found) > 1:
        names = ", ".join(p.name for p in found)
        raise unusable(f"several descriptions: {names}", path, "name one as `data.path`")
    return found[0] if found else None


def is_described(path: Path) -> bool:
    """Whether a file is a set's description, and not a recipe or anything else in YAML."""
    return _describes(load(path))


def _descriptions(folder: Path) -> list[Path]:
    found = [p for s in (".yaml", ".yml", ".data") if folder.is_dir() for p in files(folder, s)]
    return [p for p in found if b"names" in p.read_bytes()]  # others may be broken as they like


def _describes(document: dict[str, Any]) -> bool:
    return "names" in document and any(key in document for key in _KEYS)


def load(description: Path) -> dict[str, Any]:
    """What a description says; darknet writes `key = value`, and names into a file of their own."""
    text = read_text(description)
    if description.suffix.lower() != ".data":
        document = load_yaml(description, text)
        return document if isinstance(document, dict) else {}
    pairs = (line.partition("=") for line in text.splitlines())
    found = {key.strip(): value.strip() for key, _, value in pairs if value.strip()}
    listed = _there(found.get("names", ""), [description.parent])
    return found | {"names": _lines(listed)} if listed and is_file(listed) else {}


def key_points(document: dict[str, Any]) -> int:
    """How many numbers stand behind each box, by `kpt_shape: [points, numbers of each]`."""
    shape = document.get("kpt_shape")
    fits = isinstance(shape, list) and len(shape) == 2 and all(type(v) is int for v in shape)
    return shape[0] * shape[1] if fits and shape else 0


def names_beside(root: Path) -> Any:
    """Names where no description says the splits: some tools write a YAML with names alone."""
    for source in _descriptions(root):
        document = load(source)
        if isinstance(document.get("names"), list | dict):
            return document["names"]
    listed = next((root / name for name in _NAMED if (root / name).is_file()), None)
    return [n for n in _lines(listed) if n] if listed else None


def _lines(source: Path) -> list[str]:
    return [line.strip() for line in read_text(source).splitlines()]


def described(document: dict[str, Any], description: Path) -> Listed:
    """Each value is a folder, a text file that lists images, or several."""
    found: Listed = []
    for key, split in _KEYS.items():
        value = document.get(key)
        if not value:
            continue
        parts = [str(part) for part in (value if isinstance(value, list) else [value])]
        base = description.parent / str(document.get("path") or ".")
        places = [_place(part, key, base, description) for part in parts]
        found.append((split, [image for place in places if place for image in _listed(place)]))
    return found


def _place(part: str, key: str, base: Path, description: Path) -> Path | None:
    """Relative to `path`, itself relative to the file; exports that say `../train` mean here.

    A `test` that was not exported is listed all the same by some tools, and is an empty split.
    """
    here = description.parent
    found = _there(part, [base, here])
    if found or key == "test":
        return found
    looked = " and ".join(dict.fromkeys(str(place) for place in (base, here)))
    hint = f"looked in {looked}: correct `{key}`" + (", or remove it" if key != "train" else "")
    raise unusable(f"`{part}` does not exist", description, hint)


def _there(part: str, bases: list[Path]) -> Path | None:
    """What a path means here: as it is, else without `../`, else by its last parts alone."""
    plain = part
    while plain.startswith("../"):
        plain = plain[3:]
    tries = [base / one for one in (part, plain) for base in bases if one]
    tries += [base / way for way in _last_parts(plain) for base in bases]
    found = next((place for place in tries if is_there(place)), None)
    return found.resolve() if found and ".." in found.parts else found


def _last_parts(name: str) -> list[Path]:
    """Of a path of another machine, or relative to another folder: `data/obj/a.jpg`."""
    plain = Path(name.replace("\\", "/"))
    return [*ways(name)[1:], *(Path(*plain.parts[at:]) for at in range(1, len(plain.parts)))]


def _listed(place: Path) -> list[Path]:
    if place.is_dir():
        return walk_images(place)
    lines = [line.replace("\\", "/") for line in _lines(place) if line and is_image(Path(line))]
    named = [Path(line) for line in lines]
    skipped = _skipped(named[:_LOOKED_AT], place.parent)
    return [place.parent / Path(*one.parts[skipped:]) for one in named]


def lists_images(source: Path) -> bool:
    """Whether the first line names an image: some sets keep lists of their splits in `labels`."""
    with source.open(encoding="utf-8", errors="replace") as lines:
        return any(is_image(Path(word)) for word in next(lines, "").split())


def _skipped(named: list[Path], folder: Path) -> int:
    """How many first parts of listed paths mean another folder, or machine: one answer for all."""
    for skipped in range(max((len(one.parts) for one in named), default=0)):
        if any(is_there(folder / Path(*one.parts[skipped:])) for one in named):
            return skipped
    return 0


def split_of(folder: Path) -> SplitName | None:
    """`obj_train_data` is what darknet calls it."""
    return split_word(folder.name.removeprefix("obj_").removesuffix("_data"))


def by_tree(path: Path, *, flat: bool) -> Listed:
    """`images/train`, plain `images`, or `train/images`; `flat`: each image beside its labels."""
    top = path / "images" if (path / "images").is_dir() else None
    top = top or (path if flat else None)
    if top:
        by_split: Listed = [(s, walk_images(f)) for f in folders(top) if (s := split_of(f))]
        return by_split or [(None, walk_images(top))]
    below: Listed = [(split, walk_images(f / "images")) for f, split in split_folders(path)]
    if below:
        return below
    raise unusable("no data.yaml and no folder `images`", path, "expected images/ and labels/")


def split_folders(path: Path) -> list[tuple[Path, SplitName]]:
    """`train`, `val` and so on with `images` and `labels` in each."""
    named = [(f, split) for f in folders(path) if (split := split_word(f.name))]
    return [(f, s) for f, s in named if (f / "images").is_dir() and (f / "labels").is_dir()]
