"""Sets of other tools that are not read: what each is known by, and how it becomes one that is."""

import re
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from automl.data.documents import begins_with
from automl.data.files import files, folders, walk_images

_LOOKED_AT = 50
_EXPORT = "export it as COCO, or as another format of this list"
_BY_ENDING = {
    ".tfrecord": "TFRecord is not read: " + _EXPORT,
    ".record": "TFRecord is not read: " + _EXPORT,
    ".arrow": "images inside Arrow files are not read: "
    '`datasets.load_from_disk(FOLDER).to_parquet("data/train.parquet")` writes what is',
    ".npy": "NumPy arrays are not read: save images and masks as PNG",
    ".npz": "NumPy arrays are not read: save images and masks as PNG",
    ".h5": "HDF5 is not read: save images and masks as PNG",
    ".hdf5": "HDF5 is not read: save images and masks as PNG",
    ".mat": "MATLAB files are not read: save annotations as COCO, masks as PNG, labels as CSV",
    ".xlsx": "Excel files are not read: save the table as CSV",
    ".odgt": "ODGT is not read: convert it to COCO",
    ".lmdb": "LMDB is not read: write the images to files",
}
_BY_WORDS = {
    (b'"shape_attributes"', b'"region_attributes"'): "VIA's JSON is not read: export as COCO there",
    (b"region_shape_attributes", b"region_attributes"): "VIA's CSV is not read: export as COCO "
    "there",
    (b'"geometryType"', b'"classTitle"'): "Supervisely's JSON is not read: export as COCO there",
    (b'"coordinates"', b'"annotations"'): "CreateML's JSON is not read: " + _EXPORT,
    (b'"from_name"', b'"to_name"'): "Label Studio's own JSON is not read: export as COCO there",
    (b'"original_width"', b'labels"'): "Label Studio's own JSON is not read: export as COCO there",
    (b'"box2d"',): "BDD100K's JSON is not read: its toolkit writes COCO (`bdd100k.label.to_coco`)",
    (b'"dataRow"', b'"externalId"'): "Labelbox' own JSON is not read: convert it to COCO",
    (b'"data_row"', b'"projects"'): "Labelbox' own JSON is not read: convert it to COCO",
    (b'"segments_info"', b'"annotations"'): "COCO's panoptic masks are not read: panopticapi "
    "converts them to instances (`panoptic2detection_coco_format`) or to masks of ids",
    (b"<imagesize>", b"<polygon>"): "XML of the old LabelMe is not read: " + _EXPORT,
    (
        b"<annotations",
        b"<track ",
    ): "tracks of a video are not read: export as `CVAT for images 1.1`",
}
_KINDS = (".json", ".xml", ".ndjson", ".csv")


def by_words(path: Path) -> str:
    """What tool wrote a set, by what its files say, and the cure; empty where nothing tells."""
    for file in islice(_files(path, _KINDS), _LOOKED_AT):
        for words, cure in _BY_WORDS.items():
            if begins_with(file, *words):
                return f"`{file.name}`: {cure}"
    return ""


def by_ending(path: Path) -> str:
    """The same by the names of files, which may also be no more than a part of a set."""
    file = next(_files(path, _BY_ENDING), None)
    return f"`{file.name}`: {_BY_ENDING[file.suffix.lower()]}" if file else ""


def beside(path: Path) -> str:
    """A file that is called as an image is: what the image shows, in a way of its own."""
    every = list(islice(_files(path, (".txt", ".json", ".xml")), _LOOKED_AT))
    names = {image.stem for image in walk_images(path)} if every else set()
    file = next((file for file in every if file.stem in names), None)
    if file is None:
        return ""
    shown = f"`{file.parent.name}/{file.name}`"
    if _is_yolo(file):
        return f"{shown} looks like YOLO: call the folder of images `images`, this one `labels`"
    how = "write lines `class x y width height`, in shares of the image, into `labels/`"
    odd = f"{shown} belongs to an image, but its format, or its place, is none that is read"
    return f"{odd}: export it as COCO, or {how}"


def _is_yolo(file: Path) -> bool:
    with file.open(encoding="utf-8", errors="replace") as lines:
        return bool(re.fullmatch(r"\d+( [01]?\.\d+| [01]){4,}", next(lines, "").strip()))


def _files(path: Path, kinds: Iterable[str]) -> Iterator[Path]:
    """Those of these kinds, at the top and two levels below."""
    if not path.is_dir():
        if path.suffix.lower() in kinds:
            yield path
        return
    for folder in (path, *folders(path), *(f for top in folders(path) for f in folders(top))):
        for kind in kinds:
            yield from files(folder, kind)
