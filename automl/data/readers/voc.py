"""Pascal VOC: one XML file per image, boxes count pixels from 1 and include the last one.

Other tools write the same files with edges that count from 0: one edge at 0, or most written as
Datumaro and CVAT do, tells that of the whole set. For segmentation the masks in
`SegmentationClass`: palette ids as they are, 255 is no class.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element

from automl.data.documents import begins_with, parse_xml
from automl.data.files import (
    files,
    first_folder,
    first_there,
    folders,
    holds_images,
    images,
    is_file,
    read_text,
    split_word,
    walk_images,
)
from automl.data.images import Corners
from automl.data.readers import voc_lists
from automl.data.readers.mask_folders import stem
from automl.data.readers.masks import listed_names
from automl.data.reading import (
    Box,
    Entry,
    Reading,
    ReadOptions,
    classes_by_id,
    classes_by_name,
    fatal,
    shown,
    unknown_class,
    unusable,
    warning,
)
from automl.dataset import Finding, SplitName, Task


@dataclass(frozen=True)
class _Object:
    name: str
    corners: Corners
    """As written."""
    difficult: bool
    where: str
    datumaro: bool = False
    """Whether it looks as Datumaro and CVAT write it: `5.0` for every edge, and `occluded`."""


@dataclass(frozen=True)
class _Annotated:
    """One XML file, before the class names have ids."""

    image: Path
    split: SplitName | None
    objects: tuple[_Object, ...]
    declared: tuple[int, int] | None


_NAMES = (
    *("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat"),
    *("chair", "cow", "diningtable", "dog", "horse", "motorbike", "person", "pottedplant"),
    *("sheep", "sofa", "train", "tvmonitor"),
)
"""Of the challenge itself, by the ids of its masks."""
_OTHER_SHAPES = {
    "robndbox": "write the upright box around it",
    "polygon": "export outlines as COCO",
}
"""Of roLabelImg and the old LabelMe."""
_PICTURES = ("JPEGImages", "images", "Images")
_XMLS = ("Annotations", "annotations/xmls", "annotations", "xmls")


def looks_like(path: Path, task: Task) -> str:
    """Why this is Pascal VOC; empty where it is not, or where it has no masks to segment by."""
    if not path.is_dir():
        return ""
    root = _root(path)
    if task == "classification":
        return voc_lists.looks_like(root)
    if task == "segmentation":
        masks = root / "SegmentationClass"
        return "`JPEGImages` and `SegmentationClass`" if holds_images(masks) else ""
    inside = _annotations(root)
    if inside and files(inside, ".xml"):
        lists = " and `ImageSets/Main`" if (root / "ImageSets" / "Main").is_dir() else ""
        return f"`{inside.name}` with XML files{lists}"
    if by_split := _in_splits(root):
        return f"`{shown(by_split[0][0], root)}` with XML files"
    mixed = [folder for folder, _ in _mixed(root) if files(folder, ".xml")]
    return "images with an XML file each" if mixed else ""


def read(path: Path, task: Task, options: ReadOptions) -> Reading:
    """Reads the lists of `ImageSets/Main` where there are any, otherwise every XML file."""
    root = _root(path)
    if task == "segmentation":
        return _read_masks(path, root, options)
    if task == "classification":
        pictures = first_folder(root, *_PICTURES) or root
        return voc_lists.read(path, root, options, lambda name: _image(pictures, "", name))
    findings: list[Finding] = []
    annotated: list[_Annotated] = []
    splits: set[SplitName] = set()
    for xml, folder, split in _listed(root):
        splits |= {split} if split else set()
        found = _parse(xml, folder, split, path)
        if isinstance(found, Finding):
            findings.append(found)
        else:
            annotated.append(found)
    if not annotated and not findings:
        raise unusable("no XML files", path, "expected Annotations/*.xml beside JPEGImages/")
    if zero := _from_zero([o for a in annotated for o in a.objects]):
        how = "written as Datumaro and CVAT do" if zero.datumaro else "as one shows"
        reason = f"the edges of boxes count from 0, {how} ({_numbers(zero.corners)})"
        cure = "nothing, if so; if this box is a slip, correct it: all others count as it does"
        findings.append(warning("boxes_from_zero", zero.where, reason, cure))
    names = (o.name for a in annotated for o in a.objects)
    classes = classes_by_name(names, options.classes)
    ids = {c.name: c.id for c in classes}
    findings += [
        unknown_class(o.name, classes, o.where)
        for a in annotated
        for o in a.objects
        if o.name not in ids
    ]
    entries = tuple(_entry(a, ids, 0 if zero else 1) for a in annotated)
    return Reading("voc", path, classes, entries, tuple(findings), frozenset(splits))


def _read_masks(path: Path, root: Path, options: ReadOptions) -> Reading:
    """Pairs by name, as `ImageSets/Segmentation` lists them, otherwise all masks."""
    folder, pictures = root / "SegmentationClass", first_folder(root, *_PICTURES) or root
    masks = {stem(mask, folder): mask for mask in walk_images(folder)}
    own = {stem(image, pictures): image for image in walk_images(pictures)}
    lists = _lists(root / "ImageSets" / "Segmentation")
    listed = [(name, split) for source, split in lists for name in _names(source)]
    entries: list[Entry] = []
    findings: list[Finding] = []
    for name, split in listed or [(name, None) for name in masks]:
        if name not in masks:
            reason, cure = "listed, but it has no mask", "add the mask or unlist it"
            findings.append(fatal("missing_annotation", name, reason, cure))
            continue
        image = own.get(name, pictures / f"{name}.jpg")
        entries.append(Entry(image, split, mask=masks[name]))
    names, colours = listed_names(root, options)
    if not names and root.name.startswith("VOC2"):
        names = dict(enumerate(_NAMES))
    classes = classes_by_id(names, options.classes) if names or options.classes else ()
    splits = frozenset(split for _, split in listed if split)
    return Reading("voc", path, classes, tuple(entries), tuple(findings), splits, colours)


def _from_zero(objects: list[_Object]) -> _Object | None:
    """The box that shows it; one that begins at -1 or below, or has no area, is a fault."""
    sound = [o for o in objects if min(o.corners[:2]) > -1]
    sound = [o for o in sound if o.corners[2] > o.corners[0] and o.corners[3] > o.corners[1]]
    theirs = [o for o in sound if o.datumaro]
    at_zero = next((o for o in sound if min(o.corners[:2]) < 1), None)
    return at_zero or (theirs[0] if len(theirs) * 2 > len(sound) else None)


def _numbers(corners: Corners) -> str:
    return ", ".join(f"{v:g}" for v in corners)


def _entry(annotated: _Annotated, ids: dict[str, int], first: int) -> Entry:
    """`first` is the number of the first pixel."""
    boxes = tuple(
        Box(
            ids[o.name],
            (o.corners[0] - first, o.corners[1] - first, *o.corners[2:]),
            o.difficult,
            o.where,
        )
        for o in annotated.objects
        if o.name in ids
    )
    return Entry(annotated.image, annotated.split, boxes=boxes, declared=annotated.declared)


def _root(path: Path) -> Path:
    """The folder itself, or the only `VOC2007` inside or inside `VOCdevkit`."""
    if _annotations(path):
        return path
    tops = [path, path / "VOCdevkit"]
    inside = [f for top in tops if top.is_dir() for f in folders(top) if f.name.startswith("VOC2")]
    return inside[0] if len(inside) == 1 else path


def _annotations(root: Path) -> Path | None:
    """The folder of XML files, by the challenge's name or by one that others use."""
    usual = root / "Annotations"
    if usual.is_dir():
        return usual
    other = first_folder(root, *_XMLS[1:])
    first = next(iter(files(other, ".xml")), None) if other else None
    return other if first and not begins_with(first, b"<annotations") else None


def _in_splits(root: Path) -> list[tuple[Path, Path, SplitName]]:
    """XML files and images of `annotations/train` and `images/train`, or of `train/annotations`."""
    top, above = first_folder(root, *_XMLS), first_folder(root, *_PICTURES)
    inside = [(f, split) for f in folders(top) if (split := split_word(f.name))] if top else []
    found = [(f, above / f.name, split) for f, split in inside if above and files(f, ".xml")]
    tops = [(f, split) for f in folders(root) if (split := split_word(f.name))]
    below = [(_annotations(f), first_folder(f, *_PICTURES), split) for f, split in tops]
    return found or [(xmls, pictures, to) for xmls, pictures, to in below if xmls and pictures]


def _names(source: Path) -> list[str]:
    """Names in a list of images, one a line; `1`, `0` or `-1` may say whether a class is shown."""
    lines = (re.sub(r"\s+-?[01]$", "", line.strip()) for line in read_text(source).splitlines())
    return [line for line in lines if line]


def _listed(root: Path) -> Iterator[tuple[Path, Path, SplitName | None]]:
    """XML file, folder of its image, split."""
    annotations = _annotations(root)
    if by_split := _in_splits(root):
        for inside, beside, named in by_split:
            yield from ((xml, beside, named) for xml in files(inside, ".xml"))
        return
    if annotations is None:
        for folder, split in _mixed(root):
            yield from ((xml, folder, split) for xml in files(folder, ".xml"))
        return
    pictures = first_folder(root, *_PICTURES) or root
    lists = _lists(root / "ImageSets" / "Main")
    for source, split in lists:
        for name in _names(source):
            yield annotations / f"{name}.xml", pictures, split
    if not lists:
        yield from ((xml, pictures, None) for xml in files(annotations, ".xml"))


def _lists(folder: Path) -> list[tuple[Path, SplitName | None]]:
    """`trainval.txt` counts only where `train.txt` and `val.txt` do not say it better."""
    if not folder.is_dir():
        return []
    found: list[tuple[Path, SplitName | None]] = [
        (p, split) for p in files(folder, ".txt") if (split := split_word(p.stem))
    ]
    both = folder / "trainval.txt"
    if not any(split == "train" for _, split in found) and both.is_file():
        found.append((both, None))
    return found


def _mixed(root: Path) -> list[tuple[Path, SplitName | None]]:
    """Folders that hold images and XML files side by side."""
    named: list[tuple[Path, SplitName | None]] = [(f, split_word(f.name)) for f in folders(root)]
    by_split: list[tuple[Path, SplitName | None]] = [
        (f, split) for f, split in named if split and images(f)
    ]
    if by_split:
        return by_split
    return [(root, None)] if images(root) else []


def _parse(xml: Path, pictures: Path, split: SplitName | None, root: Path) -> _Annotated | Finding:
    where = shown(xml, root)
    if not is_file(xml):
        return fatal(
            "missing_annotation", where, "listed, but there is no such file", "add it or unlist it"
        )
    try:
        tree = parse_xml(xml.read_bytes())
        if tree.tag != "annotation":
            return _malformed(where, f"begins with `{tree.tag}` instead of `annotation`")
        objects = tuple(_object(o, where) for o in tree.iter("object"))
        width = int(float(tree.findtext("size/width") or 0))
        height = int(float(tree.findtext("size/height") or 0))
    except (ValueError, OverflowError) as error:
        return _malformed(where, str(error))
    image = _image(pictures, tree.findtext("filename") or "", xml.stem)
    return _Annotated(image, split, objects, (width, height) if width and height else None)


def _object(element: Element, where: str) -> _Object:
    name = (element.findtext("name") or "").strip()
    sides = [element.findtext(f"bndbox/{k}") for k in ("xmin", "ymin", "xmax", "ymax")]
    if not name or None in sides:
        kind = next((k for k in _OTHER_SHAPES if element.find(k) is not None), "")
        why = f": a {kind} is not read, {_OTHER_SHAPES[kind]}" if kind else ""
        raise ValueError(f"object without a name or a complete bndbox{why}")
    x0, y0, x1, y1 = (float(s or "") for s in sides)
    difficult = (element.findtext("difficult") or "0").strip() == "1"
    theirs = all("." in (side or "") for side in sides) and element.find("occluded") is not None
    return _Object(name, (x0, y0, x1, y1), difficult, where, theirs)


def _malformed(where: str, reason: str) -> Finding:
    return fatal("malformed_annotation", where, reason, "correct the XML file")


def _image(pictures: Path, filename: str, stem: str) -> Path:
    """The image that carries the XML file's own name, or the one that it names inside."""
    named = Path(filename.replace("\\", "/")).name
    suffixes = (Path(named).suffix, ".jpg", ".jpeg", ".png", ".JPG", ".bmp", ".tif", ".tiff")
    candidates = [pictures / f"{stem}{suffix}" for suffix in suffixes if suffix]
    candidates += [pictures / named] if named else []
    return first_there(candidates)
