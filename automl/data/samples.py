"""Built-in sample sets: real handwriting (scikit-learn's 1,797 digits) in three standard layouts.

Training and validation never share a handwritten digit. Equal options give equal files.
"""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from automl.data.scenes import Digits, Scene, draw_scene, enlarge, to_bytes
from automl.errors import UsageError
from automl.files import to_json, write_json

SHARE_OF_VAL = 0.2
LEAST_IMAGES = 10
LEAST_SIZE = 16
LARGEST_SIZE = 2048

CATEGORY_IDS = tuple(range(1, 20, 2))
"""COCO category ids of the digits 0 to 9: odd, so that an id is never an index by accident."""


@dataclass(frozen=True)
class SampleSet:
    """A sample set by what it is and what it measures by default."""

    text: str
    images: int
    size: int
    most: int
    write: "Callable[[Path, Digits, Options], None]"


@dataclass(frozen=True)
class Options:
    """Everything that a sample set depends on."""

    name: str
    images: int
    size: int
    seed: int


def write_sample(
    name: str,
    folder: Path,
    *,
    images: int | None = None,
    size: int | None = None,
    seed: int = 0,
) -> dict[str, int]:
    """Writes a sample set and gives the images per split; one that is there already is kept."""
    row = SAMPLES.get(name)
    if row is None:
        raise UsageError(f"no sample set `{name}`", hint=f"one of: {', '.join(SAMPLES)}")
    options = Options(name, images or row.images, size or row.size, seed)
    fits = LEAST_SIZE <= options.size <= LARGEST_SIZE
    if not LEAST_IMAGES <= options.images <= row.most or not fits:
        raise UsageError(
            f"`{name}` has no {options.images} images of {options.size} px",
            hint=f"{LEAST_IMAGES} to {row.most} images of {LEAST_SIZE} to {LARGEST_SIZE} px",
        )
    if not _is_there(folder, options):
        _write_whole(row, folder, options)
    return _counts(options.images)


def _is_there(folder: Path, options: Options) -> bool:
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    marker = folder / "sample.json"
    if marker.is_file() and marker.read_bytes() == to_json(asdict(options)).encode():
        return True
    raise UsageError(
        "the folder holds other files", where=str(folder), hint="choose another folder"
    )


def _write_whole(row: SampleSet, folder: Path, options: Options) -> None:
    """Beside the folder first, so that half a set never looks like one."""
    folder = folder.absolute()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as part:
        made = Path(part) / "made"
        made.mkdir()
        row.write(made, Digits.load(options.seed, SHARE_OF_VAL), options)
        write_json(made / "sample.json", asdict(options))
        if folder.exists():
            folder.rmdir()
        made.rename(folder)


def _counts(images: int) -> dict[str, int]:
    val = round(images * SHARE_OF_VAL)
    return {"train": images - val, "val": val}


def _write_classification(folder: Path, digits: Digits, options: Options) -> None:
    """`train/7/0042.png`: one grey image per handwritten digit, dark ink on light paper."""
    for split, wanted in _counts(options.images).items():
        for i in digits.pool(split)[:wanted]:
            target = folder / split / str(digits.labels[i]) / f"{i:04d}.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            ink = enlarge(np.pad(digits.pixels[i], 1), options.size, options.size)
            Image.fromarray(to_bytes(1 - ink)).save(target)


def _write_detection(folder: Path, digits: Digits, options: Options) -> None:
    """COCO: `images/train/*.jpg` and `annotations/train.json`."""
    for split in ("train", "val"):
        document = _coco(folder / "images" / split, split, digits, options)
        write_json(folder / "annotations" / f"{split}.json", document)


def _coco(folder: Path, split: str, digits: Digits, options: Options) -> dict[str, object]:
    folder.mkdir(parents=True)
    images: list[dict[str, object]] = []
    annotations: list[dict[str, object]] = []
    for number, scene in enumerate(_scenes(split, digits, options), 1):
        name = f"{number:04d}.jpg"
        Image.fromarray(scene.image).save(folder / name, quality=95)
        side = options.size
        images.append({"id": number, "file_name": name, "width": side, "height": side})
        for digit, (x0, y0, x1, y1) in scene.objects:
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": CATEGORY_IDS[digit],
                    "bbox": [x0, y0, x1 - x0, y1 - y0],
                    "area": (x1 - x0) * (y1 - y0),
                    "iscrowd": 0,
                }
            )
    categories = [
        {"id": category, "name": str(digit), "supercategory": "digit"}
        for digit, category in enumerate(CATEGORY_IDS)
    ]
    return {"images": images, "annotations": annotations, "categories": categories}


def _write_segmentation(folder: Path, digits: Digits, options: Options) -> None:
    """Pairs: `images/train/*.jpg`, `masks/train/*.png`, names in `classes.txt`."""
    for split in ("train", "val"):
        for kind in ("images", "masks"):
            (folder / kind / split).mkdir(parents=True)
        for number, scene in enumerate(_scenes(split, digits, options), 1):
            Image.fromarray(scene.image).save(
                folder / "images" / split / f"{number:04d}.jpg", quality=95
            )
            Image.fromarray(scene.mask).save(folder / "masks" / split / f"{number:04d}.png")
    names = ["background", *map(str, range(10))]
    (folder / "classes.txt").write_text("\n".join(names) + "\n", encoding="utf-8")


def _scenes(split: str, digits: Digits, options: Options) -> Iterator[Scene]:
    pool = digits.pool(split)
    for number in range(_counts(options.images)[split]):
        draw = np.random.default_rng([options.seed, ("train", "val").index(split), number])
        yield draw_scene(draw, digits, pool, options.size)


SAMPLES: dict[str, SampleSet] = {
    "digits-classification": SampleSet(
        "handwritten digits, one per image, in class folders",
        images=1797,
        size=64,
        most=1797,
        write=_write_classification,
    ),
    "digits-detection": SampleSet(
        "the same digits scattered over textures, with boxes in COCO",
        images=200,
        size=192,
        most=9999,
        write=_write_detection,
    ),
    "digits-segmentation": SampleSet(
        "more such scenes as pairs of images and masks",
        images=800,
        size=192,
        most=9999,
        write=_write_segmentation,
    ),
}
