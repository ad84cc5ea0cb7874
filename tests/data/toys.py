"""A toy set drawn once and written in every format that can hold it."""

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from automl.data.prepare import Prepared, prepare
from automl.finding_codes import CODES
from automl.recipe.schema import Recipe
from automl.talk import Silent

NAMES = ("disc", "ring", "square")
WIDTH, HEIGHT = 40, 30
SPLITS = ("train", "train", "train", "train", "val", "test")

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Toy:
    """One drawn image with an annotation for each task."""

    name: str
    split: str
    pixels: np.ndarray
    label: int
    boxes: tuple[tuple[int, Box], ...]
    mask: np.ndarray


def toys(count: int = 12, seed: int = 0) -> list[Toy]:
    draw = np.random.default_rng(seed)
    return [_toy(draw, i) for i in range(count)]


def _toy(draw: np.random.Generator, number: int) -> Toy:
    pixels = draw.integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    boxes = []
    for i in range(1 + number % 3):
        x0, y0 = int(draw.integers(0, WIDTH - 12)), int(draw.integers(0, HEIGHT - 12))
        box = (x0, y0, x0 + int(draw.integers(4, 12)), y0 + int(draw.integers(4, 12)))
        name = (number + i) % 3
        boxes.append((name, box))
        mask[box[1] : box[3], box[0] : box[2]] = name + 1
    split = SPLITS[number % len(SPLITS)]
    return Toy(f"{number:02d}", split, pixels, number % 3, tuple(boxes), mask)


def save(pixels: np.ndarray, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def write_text(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def write_folders(root: Path, made: list[Toy], *, splits: bool = True) -> Path:
    for toy in made:
        folder = root / toy.split if splits else root
        save(toy.pixels, folder / NAMES[toy.label] / f"{toy.name}.png")
    return root


def write_csv(root: Path, made: list[Toy], *, splits: bool = True) -> Path:
    rows = [["path", "label", "split"] if splits else ["path", "label"]]
    for toy in made:
        save(toy.pixels, root / "pictures" / f"{toy.name}.png")
        row = [f"pictures/{toy.name}.png", NAMES[toy.label], toy.split]
        rows.append(row if splits else row[:2])
    with (root / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return root


COCO_IDS = (7, 2, 40)
"""Category ids of NAMES: neither 0..n-1 nor in order."""


def coco_document(made: list[Toy]) -> dict:
    boxes = [(toy, name, box) for toy in made for name, box in toy.boxes]
    return {
        "images": [
            {
                "id": int(t.name) + 100,
                "file_name": f"{t.name}.png",
                "width": WIDTH,
                "height": HEIGHT,
            }
            for t in made
        ],
        "annotations": [
            {
                "id": i,
                "image_id": int(toy.name) + 100,
                "category_id": COCO_IDS[name],
                "bbox": [x0, y0, x1 - x0, y1 - y0],
                "iscrowd": 0,
            }
            for i, (toy, name, (x0, y0, x1, y1)) in enumerate(boxes)
        ],
        "categories": [{"id": i, "name": n} for i, n in zip(COCO_IDS, NAMES, strict=True)],
    }


def write_coco(root: Path, made: list[Toy]) -> Path:
    """As COCO itself is laid out: `annotations/instances_train.json`, `train/*.png`."""
    for toy in made:
        save(toy.pixels, root / toy.split / f"{toy.name}.png")
    for split in ("train", "val", "test"):
        document = coco_document([t for t in made if t.split == split])
        write_text(root / f"annotations/instances_{split}.json", json.dumps(document))
    return root


def write_coco_single(root: Path, made: list[Toy]) -> Path:
    for toy in made:
        save(toy.pixels, root / "images" / f"{toy.name}.png")
    write_text(root / "everything.json", json.dumps(coco_document(made)))
    return root


def write_coco_beside(root: Path, made: list[Toy]) -> Path:
    """As Roboflow exports: `train/_annotations.coco.json` beside the images."""
    names = {"train": "train", "val": "valid", "test": "test"}
    for split, folder in names.items():
        mine = [t for t in made if t.split == split]
        for toy in mine:
            save(toy.pixels, root / folder / f"{toy.name}.png")
        write_text(root / folder / "_annotations.coco.json", json.dumps(coco_document(mine)))
    return root


def yolo_lines(toy: Toy) -> str:
    return "".join(
        f"{name} {(x0 + x1) / 2 / WIDTH:.6f} {(y0 + y1) / 2 / HEIGHT:.6f} "
        f"{(x1 - x0) / WIDTH:.6f} {(y1 - y0) / HEIGHT:.6f}\n"
        for name, (x0, y0, x1, y1) in toy.boxes
    )


def write_yolo(root: Path, made: list[Toy]) -> Path:
    """`images/train`, `labels/train`, names as a map."""
    for toy in made:
        save(toy.pixels, root / "images" / toy.split / f"{toy.name}.png")
        write_text(root / "labels" / toy.split / f"{toy.name}.txt", yolo_lines(toy))
    names = "".join(f"  {i}: {n}\n" for i, n in enumerate(NAMES))
    text = f"path: .\ntrain: images/train\nval: images/val\ntest: images/test\nnames:\n{names}"
    write_text(root / "data.yaml", text)
    return root


def write_yolo_split_first(root: Path, made: list[Toy]) -> Path:
    """`train/images`, `train/labels`, names as a list, paths that point one folder too high."""
    folders = {"train": "train", "val": "valid", "test": "test"}
    for toy in made:
        folder = root / folders[toy.split]
        save(toy.pixels, folder / "images" / f"{toy.name}.png")
        write_text(folder / "labels" / f"{toy.name}.txt", yolo_lines(toy))
    text = "train: ../train/images\nval: ../valid/images\ntest: ../test/images\n"
    write_text(root / "data.yaml", f"{text}nc: 3\nnames: [{', '.join(NAMES)}]\n")
    return root


def write_yolo_tree(root: Path, made: list[Toy]) -> Path:
    """No description: the tree says the splits and `classes.txt` the names."""
    write_yolo(root, made)
    (root / "data.yaml").unlink()
    write_text(root / "classes.txt", "\n".join(NAMES) + "\n")
    return root


def voc_text(toy: Toy, size: tuple[int, int] = (WIDTH, HEIGHT)) -> str:
    objects = "".join(
        f"<object><name>{NAMES[name]}</name><difficult>0</difficult><bndbox>"
        f"<xmin>{x0 + 1}</xmin><ymin>{y0 + 1}</ymin><xmax>{x1}</xmax><ymax>{y1}</ymax>"
        "</bndbox></object>"
        for name, (x0, y0, x1, y1) in toy.boxes
    )
    size_text = f"<width>{size[0]}</width><height>{size[1]}</height><depth>3</depth>"
    return (
        f"<annotation><filename>{toy.name}.png</filename><size>{size_text}</size>"
        f"{objects}</annotation>"
    )


def write_voc(root: Path, made: list[Toy]) -> Path:
    for toy in made:
        save(toy.pixels, root / "JPEGImages" / f"{toy.name}.png")
        write_text(root / "Annotations" / f"{toy.name}.xml", voc_text(toy))
    for split in ("train", "val", "test"):
        names = [t.name for t in made if t.split == split]
        write_text(root / "ImageSets/Main" / f"{split}.txt", "\n".join(names))
    both = [t.name for t in made if t.split != "test"]
    write_text(root / "ImageSets/Main/trainval.txt", "\n".join(both))
    write_text(root / "ImageSets/Main/disc_train.txt", "00 1\n01 -1\n")
    return root


def write_masks(root: Path, made: list[Toy], *, layout: str = "split first") -> Path:
    """`train/images` and `train/masks`, `images/train` and `masks/train`, or no splits."""
    for toy in made:
        for kind, pixels in (("images", toy.pixels), ("masks", toy.mask)):
            parts = {
                "split first": (toy.split, kind),
                "split last": (kind, toy.split),
                "no split": (kind,),
            }[layout]
            save(pixels, root.joinpath(*parts) / f"{toy.name}.png")
    write_text(root / "classes.txt", "\n".join(("ground", *NAMES)) + "\n")
    return root


def prepared(root: Path, task: str, **data: object) -> Prepared:
    recipe = Recipe.model_validate({"task": task, "data": {"path": str(root), **data}})
    found = prepare(recipe, Silent())
    nameless = {f.code for f in found.findings} - set(CODES)
    assert not nameless, "no recipe could waive these"
    return found


def codes(found: Prepared, severity: str = "fatal") -> list[str]:
    return [f.code for f in found.findings if f.severity == severity]


Writer = Callable[[Path, list[Toy]], Path]
