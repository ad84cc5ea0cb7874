"""Which column of a table says what: by their usual names, or by those that the recipe gives."""

import re
from collections.abc import Mapping
from functools import lru_cache
from itertools import islice
from pathlib import Path

from automl.data.kaggle_rle import NOTHING
from automl.data.readers.finder import names_images
from automl.data.readers.rows import header_of, rows_of
from automl.data.reading import ReadOptions

_COLUMNS = {
    "path": (
        *("path", "file", "filename", "file_name", "image", "image_path", "filepath", "image_id"),
        *("image_name", "imageid", "image_file", "img", "img_path", "fname"),
    ),
    "path_label": ("imageid_classid", "image_label"),
    "label": (
        *("label_name", "class_name", "classname", "category_name"),  # may stand beside numbers
        *("label", "class", "category", "target", "classid", "class_id", "choice"),
    ),
    "labels": ("labels", "classes", "categories", "tags"),
    "split": ("split", "set", "subset", "partition"),
    "held_out": ("is_valid", "is_val", "is_validation"),  # fastai's, True for validation images
    "runs": ("encodedpixels", "encoded_pixels", "rle", "rle_mask", "mask_rle", "encoding"),
    "mask": ("mask", "mask_path", "mask_file", "segmentation"),
    "group": ("group", "group_id", "patient", "patient_id", "video", "video_id", "slide"),
    "xmin": ("xmin", "x_min", "x0", "x1", "left", "x", "bbox_x", "bbox_xmin"),
    "ymin": ("ymin", "y_min", "y0", "y1", "top", "y", "bbox_y", "bbox_ymin"),
    "xmax": ("xmax", "x_max", "x1", "x2", "right", "bbox_xmax"),
    "ymax": ("ymax", "y_max", "y1", "y2", "bottom", "bbox_ymax"),
    "xmiddle": ("x_center", "x_centre", "xcenter", "center_x", "cx", "xc"),
    "ymiddle": ("y_center", "y_centre", "ycenter", "center_y", "cy", "yc"),
    "width": ("box_width", "bbox_width", "bbox_w", "w", "width"),
    "height": ("box_height", "bbox_height", "bbox_h", "h", "height"),
    "bbox": ("bbox", "bboxes", "box", "boxes", "bounding_box"),
}
"""Ours to theirs, the likeliest first; `data.columns` of the recipe names any other."""
_CLASSES = re.compile("label|class|categor|species|type|kind|breed|diagnos")
_LOOKED_AT = 1000
"""Lines by which a column is known: many of a set may be empty."""


def columns(table: Path, options: ReadOptions) -> dict[str, str]:
    """Our names of the columns to theirs; one column serves once."""
    plain = {name.strip().lower(): name for name in reversed(header_of(table))}
    asked = {ours: given.strip().lower() for ours, given in options.columns.items()}
    found = {ours: plain[given] for ours, given in asked.items() if given in plain}
    for ours, names in _COLUMNS.items():
        wanted = () if ours in asked else names
        free = (plain[n] for n in wanted if n in plain and plain[n] not in found.values())
        theirs = next(free, None)
        if theirs is not None:
            found[ours] = theirs
    unnamed = not {"path", "path_label"} & {*found, *asked}
    if unnamed and "id" in plain and names_images(table, plain["id"]):
        found["path"] = plain["id"]
    return found


def image_and_class(table: Path) -> dict[str, str]:
    """What two columns can only mean: one names images, the other says some values again and again.

    Half as many values as lines at most; a caption or a measurement has one for nearly each.
    """
    names = [name for name in header_of(table) if name.strip()]
    path = next((n for n in names if names_images(table, n)), None)
    rest = [name for name in names if name != path]
    if path is None or len(rest) != 1:
        return {}
    cells = [row.get(rest[0], "") for _, row in islice(rows_of(table), _LOOKED_AT)]
    repeated = len(set(cells)) * 2 <= len(cells)
    return {"path": path, "label": rest[0]} if repeated and all(cells) else {}


def unknown(table: Path, known: Mapping[str, str]) -> list[str]:
    """The columns that none of ours stands for."""
    return [
        name.strip() for name in header_of(table) if name.strip() and name not in known.values()
    ]


def says_no_class(table: Path, known: Mapping[str, str]) -> bool:
    """Whether neither a known column nor the name of another one speaks of classes."""
    classed = {"label", "labels", "path_label"} & set(known)
    return not classed and not any(_CLASSES.search(name.lower()) for name in unknown(table, known))


def holds_numbers(table: Path, column: str) -> bool:
    """Whether a column of masks names no files, but counts pixels."""
    return _holds_numbers(table, column, table.stat().st_mtime_ns)


@lru_cache(maxsize=64)
def _holds_numbers(table: Path, column: str, _changed: int) -> bool:
    cells = (row.get(column, "") for _, row in islice(rows_of(table), _LOOKED_AT))
    first = next((cell for cell in cells if cell.lower() not in NOTHING), "")
    return bool(re.match(r"\d+\s+\d+(\s|$)", first))
