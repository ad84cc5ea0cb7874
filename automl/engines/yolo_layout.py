"""The YOLO layout of a dataset's training split, written into the run: links and label files.

Nothing of the user's folder but the pixels is seen by Ultralytics, and those only where its own
decoder reads them as ours does; every other image becomes a PNG of our decoding.
"""

import shutil
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from automl.data.frame import Frame
from automl.data.images import read_image
from automl.dataset import Sample

SUFFIX = {"JPEG": ".jpg", "PNG": ".png", "BMP": ".bmp"}
ORIENTATION = 0x0112  # the EXIF tag
SMALLEST = 10
"""Ultralytics drops images with a shorter side."""


def write_layout(
    folder: Path, root: Path, samples: list[Sample], frame: Frame | None = None
) -> Path:
    """Writes `images/` and `labels/` afresh, numbered in order; returns the images' folder."""
    shutil.rmtree(folder, ignore_errors=True)
    images, labels = folder / "images", folder / "labels"
    for made in (images, labels):
        made.mkdir(parents=True)
    for number, sample in enumerate(samples):
        _place((root / sample.path).absolute(), images / f"{number:08d}", frame)
        (labels / f"{number:08d}.txt").write_text(_lines(sample), encoding="ascii")
    return images


def _lines(sample: Sample) -> str:
    """One `class x y width height` per box, as shares of the image; crowds are not taught."""
    crowd = sample.crowd or (False,) * len(sample.boxes)
    lines = []
    for box, label, many in zip(sample.boxes, sample.labels, crowd, strict=True):
        x0, x1 = (min(max(v / sample.width, 0.0), 1.0) for v in (box[0], box[2]))
        y0, y1 = (min(max(v / sample.height, 0.0), 1.0) for v in (box[1], box[3]))
        if not many and x1 > x0 and y1 > y0:
            shares = ((x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0)
            lines.append(" ".join([str(label), *(f"{v:.8f}" for v in shares)]) + "\n")
    return "".join(lines)


def _place(source: Path, target: Path, frame: Frame | None) -> None:
    suffix = _plain(source)
    if suffix:
        target.with_suffix(suffix).symlink_to(source)
        return
    image = read_image(source, frame)
    grow = -(-SMALLEST // min(image.shape[:2]))
    if grow > 1:  # labels are shares, so they still fit
        image = image.repeat(grow, 0).repeat(grow, 1)
    _, data = cv2.imencode(".png", np.ascontiguousarray(image[..., ::-1]))
    target.with_suffix(".png").write_bytes(data.tobytes())


def _plain(source: Path) -> str:
    """The suffix of a file that any decoder reads alike; empty for all others.

    A JPEG without its end marker is not plain: Ultralytics would rewrite the user's file.
    """
    try:
        with Image.open(source) as image:
            suffix = SUFFIX.get(image.format or "", "")
            upright = image.getexif().get(ORIENTATION, 1) == 1
            usual = image.mode in {"L", "RGB"} and min(image.size) >= SMALLEST
            single = image.format == "MPO" or not getattr(image, "is_animated", False)
    except UnidentifiedImageError:  # such as DICOM, which Pillow does not know
        return ""
    if not (suffix and upright and usual and single):
        return ""
    if suffix != ".jpg":
        return suffix
    with source.open("rb") as file:
        file.seek(-2, 2)
        return suffix if file.read() == b"\xff\xd9" else ""
