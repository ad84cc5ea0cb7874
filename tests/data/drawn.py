"""The toy set in the formats that name classes or hold outlines; each is read in test_formats."""

import base64
import csv
import io
import json
from pathlib import Path

import numpy as np
from PIL import Image

from tests.data.toys import (
    COCO_IDS,
    HEIGHT,
    NAMES,
    WIDTH,
    Toy,
    coco_document,
    save,
    write_coco,
    write_text,
    write_voc,
    write_yolo,
)

COLOURS = ((0, 0, 0), (200, 10, 10), (10, 200, 10), (10, 10, 200))
"""Of the background and NAMES, in masks that are colours."""


def painted(toy: Toy) -> np.ndarray:
    """The mask where the smaller of two regions is seen; 0 is the background."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    sizes = [(x1 - x0) * (y1 - y0) for _, (x0, y0, x1, y1) in toy.boxes]
    for i in sorted(range(len(sizes)), key=lambda i: -sizes[i]):
        name, (x0, y0, x1, y1) = toy.boxes[i]
        mask[y0:y1, x0:x1] = name + 1
    return mask


def ring(box: tuple[int, int, int, int]) -> list[int]:
    x0, y0, x1, y1 = box
    return [x0, y0, x1, y0, x1, y1, x0, y1]


def runs(box: tuple[int, int, int, int]) -> list[int]:
    """Down the columns, zeros first, written by a loop of our own."""
    x0, y0, x1, y1 = box
    flat = [int(x0 <= x < x1 and y0 <= y < y1) for x in range(WIDTH) for y in range(HEIGHT)]
    counts, value = [0], 0
    for pixel in flat:
        if pixel != value:
            counts.append(0)
            value = pixel
        counts[-1] += 1
    return counts


def kaggle_rle(box: tuple[int, int, int, int]) -> str:
    """Start and length of each run down the columns, counted from 1."""
    x0, y0, x1, y1 = box
    return " ".join(f"{x * HEIGHT + y0 + 1} {y1 - y0}" for x in range(x0, x1))


def compressed(box: tuple[int, int, int, int]) -> str:
    """By pycocotools."""
    from pycocotools import mask

    x0, y0, x1, y1 = box
    pixels = np.zeros((HEIGHT, WIDTH), np.uint8, order="F")
    pixels[y0:y1, x0:x1] = 1
    return mask.encode(pixels)["counts"].decode()


def write_coco_outlines(root: Path, made: list[Toy]) -> Path:
    """Polygons, uncompressed and compressed runs in turn; runs are crowds."""
    write_coco(root, made)
    for split in ("train", "val", "test"):
        mine = [t for t in made if t.split == split]
        document = coco_document(mine)
        boxes = [box for toy in mine for _, box in toy.boxes]
        for i, (annotation, box) in enumerate(zip(document["annotations"], boxes, strict=True)):
            if i % 3 == 0:
                annotation["segmentation"] = [ring(box)]
            else:
                counts = runs(box) if i % 3 == 1 else compressed(box)
                annotation["segmentation"] = {"size": [HEIGHT, WIDTH], "counts": counts}
                annotation["iscrowd"] = 1
        write_text(root / f"annotations/instances_{split}.json", json.dumps(document))
    return root


def write_coco_tags(root: Path, made: list[Toy]) -> Path:
    """Annotations without boxes: one class an image."""
    for toy in made:
        save(toy.pixels, root / "images" / f"{toy.name}.png")
    document = coco_document(made)
    document["annotations"] = [
        {"id": i, "image_id": int(t.name) + 100, "category_id": COCO_IDS[t.label]}
        for i, t in enumerate(made)
    ]
    write_text(root / "tags.json", json.dumps(document))
    return root


def write_yolo_outlines(root: Path, made: list[Toy]) -> Path:
    write_yolo(root, made)
    for toy in made:
        lines = ""
        for name, box in toy.boxes:
            shares = [v / (HEIGHT if i % 2 else WIDTH) for i, v in enumerate(ring(box))]
            lines += f"{name} {' '.join(f'{v:.6f}' for v in shares)}\n"
        write_text(root / "labels" / toy.split / f"{toy.name}.txt", lines)
    return root


def write_voc_masks(root: Path, made: list[Toy]) -> Path:
    """With a palette whose colours say nothing about the ids, and 255 for the border."""
    write_voc(root, made)
    for toy in made:
        ids = toy.mask.copy()
        ids[0, 0] = 255
        image = Image.fromarray(ids, mode=None).convert("P")
        image.putdata(ids.ravel().tolist())
        image.putpalette([v for i in range(256) for v in ((i * 67) % 256, (i * 31) % 256, 90)])
        (root / "SegmentationClass").mkdir(exist_ok=True)
        image.save(root / f"SegmentationClass/{toy.name}.png")
    for split in ("train", "val", "test"):
        names = [t.name for t in made if t.split == split]
        write_text(root / "ImageSets/Segmentation" / f"{split}.txt", "\n".join(names))
    write_text(root / "classes.txt", "\n".join(("background", *NAMES)))
    return root


def write_coloured_masks(root: Path, made: list[Toy], table: str = "labelmap.txt") -> Path:
    rows = list(zip(("background", *NAMES), COLOURS, strict=True))
    texts = {
        "labelmap.txt": "# label:color_rgb:parts:actions\n"
        + "".join(f"{n}:{r},{g},{b}::\n" for n, (r, g, b) in rows),
        "classes.csv": "name,r,g,b\n" + "".join(f"{n},{r},{g},{b}\n" for n, (r, g, b) in rows),
        "label_colors.txt": "".join(f"{r} {g} {b}\t\t{n}\n" for n, (r, g, b) in rows),
    }
    for toy in made:
        save(toy.pixels, root / toy.split / "images" / f"{toy.name}.png")
        save(np.array(COLOURS, np.uint8)[toy.mask], root / toy.split / "masks" / f"{toy.name}.png")
    if table:
        write_text(root / table, texts[table])
    return root


def _base64_png(box: tuple[int, int, int, int]) -> str:
    x0, y0, x1, y1 = box
    file = io.BytesIO()
    Image.fromarray(np.full((y1 - y0, x1 - x0), 255, np.uint8)).save(file, "png")
    return base64.b64encode(file.getvalue()).decode()


def labelme_document(toy: Toy) -> dict:
    shapes = []
    for i, (name, (x0, y0, x1, y1)) in enumerate(toy.boxes):
        kind = ("rectangle", "polygon", "mask")[i % 3]
        points = [[x0, y0], [x1, y1]]
        shape = {"label": NAMES[name], "shape_type": kind, "points": points, "group_id": None}
        if kind == "polygon":
            shape["points"] = np.reshape(ring((x0, y0, x1, y1)), (-1, 2)).tolist()
        if kind == "mask":
            shape["points"] = [[x0, y0], [x1 - 1, y1 - 1]]
            shape["mask"] = _base64_png((x0, y0, x1, y1))
        shapes.append(shape)
    return {
        "version": "5.5.0",
        "flags": {NAMES[toy.label]: True, "other": False},
        "shapes": shapes,
        "imagePath": f"..\\somewhere\\{toy.name}.png",
        "imageData": None,
        "imageHeight": HEIGHT,
        "imageWidth": WIDTH,
    }


def write_labelme(root: Path, made: list[Toy]) -> Path:
    for toy in made:
        save(toy.pixels, root / toy.split / f"{toy.name}.png")
        text = json.dumps(labelme_document(toy))
        write_text(root / toy.split / f"{toy.name}.json", text)
    return root


def _cvat_shape(i: int, name: int, box: tuple[int, int, int, int]) -> str:
    x0, y0, x1, y1 = box
    label = f'label="{NAMES[name]}" source="manual" occluded="0" z_order="0"'
    if i % 3 == 0:
        points = ";".join(f"{x:.2f},{y:.2f}" for x, y in np.reshape(ring(box), (-1, 2)))
        return f'<polygon {label} points="{points}"></polygon>'
    if i % 3 == 1:
        area = (x1 - x0) * (y1 - y0)
        size = f'left="{x0}" top="{y0}" width="{x1 - x0}" height="{y1 - y0}"'
        return f'<mask {label} rle="0, {area}" {size}></mask>'
    return f'<box {label} xtl="{x0}" ytl="{y0}" xbr="{x1}" ybr="{y1}"></box>'


def write_cvat(root: Path, made: list[Toy]) -> Path:
    images = ""
    for i, toy in enumerate(made):
        save(toy.pixels, root / "images" / toy.split / f"{toy.name}.png")
        shapes = "".join(_cvat_shape(k, *shape) for k, shape in enumerate(toy.boxes))
        images += (
            f'<image id="{i}" name="{toy.name}.png" subset="{toy.split.title()}" '
            f'width="{WIDTH}" height="{HEIGHT}">{shapes}'
            f'<tag label="{NAMES[toy.label]}" source="manual"></tag></image>'
        )
    labels = "".join(f"<label><name>{n}</name><attributes/></label>" for n in NAMES)
    meta = f"<meta><task><name>toy</name><labels>{labels}</labels></task></meta>"
    text = f'<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version>{meta}'
    write_text(root / "annotations.xml", f"{text}{images}</annotations>")
    return root


def _datumaro_annotation(i: int, name: int, box: tuple[int, int, int, int]) -> dict:
    x0, y0, x1, y1 = box
    base = {"id": i, "attributes": {"is_crowd": False}, "group": 0, "label_id": name, "z_order": 0}
    if i % 3 == 0:
        return base | {"type": "polygon", "points": ring(box)}
    if i % 3 == 1:
        rle = {"size": [HEIGHT, WIDTH], "counts": compressed(box)}
        return base | {"type": "mask", "rle": rle}
    return base | {"type": "bbox", "bbox": [x0, y0, x1 - x0, y1 - y0]}


def write_datumaro(root: Path, made: list[Toy]) -> Path:
    for split in ("train", "val", "test"):
        items = []
        for toy in (t for t in made if t.split == split):
            save(toy.pixels, root / "images" / split / f"{toy.name}.png")
            annotations = [_datumaro_annotation(i, *b) for i, b in enumerate(toy.boxes)]
            annotations.append({"id": 9, "type": "label", "label_id": toy.label, "attributes": {}})
            image = {"path": f"{toy.name}.png", "size": [HEIGHT, WIDTH]}
            items.append({"id": toy.name, "annotations": annotations, "image": image})
        labels = [{"name": n, "parent": "", "attributes": []} for n in NAMES]
        document = {"dm_format_version": "1.0", "infos": {}, "items": items}
        document["categories"] = {"label": {"labels": labels, "attributes": []}}
        write_text(root / f"annotations/{split}.json", json.dumps(document))
    return root


def write_rows(path: Path, rows: list[list[object]], delimiter: str = ",") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=delimiter).writerows(rows)
    return path


def write_openimages(root: Path, made: list[Toy]) -> Path:
    codes = [f"/m/0{i}x" for i in range(len(NAMES))]
    write_rows(root / "class-descriptions-boxable.csv", list(zip(codes, NAMES, strict=True)))
    header = ["ImageID", "Source", "LabelName", "Confidence", "XMin", "XMax", "YMin", "YMax"]
    for split, name in (("train", "train"), ("val", "validation"), ("test", "test")):
        rows: list[list[object]] = [[*header, "IsOccluded", "IsGroupOf"]]
        for toy in (t for t in made if t.split == split):
            save(toy.pixels, root / name / f"{toy.name}.png")
            for kind, (x0, y0, x1, y1) in toy.boxes:
                shares = [x0 / WIDTH, x1 / WIDTH, y0 / HEIGHT, y1 / HEIGHT]
                rows.append([toy.name, "xclick", codes[kind], 1, *shares, 0, 0])
        write_rows(root / f"oidv6-{name}-annotations-bbox.csv", rows)
    return root


def write_jsonl(root: Path, made: list[Toy]) -> Path:
    for split in ("train", "val", "test"):
        lines = []
        for toy in (t for t in made if t.split == split):
            save(toy.pixels, root / split / f"{toy.name}.png")
            boxes = [[x0, y0, x1 - x0, y1 - y0] for _, (x0, y0, x1, y1) in toy.boxes]
            kinds = [NAMES[name] for name, _ in toy.boxes]
            objects = {"bbox": boxes, "categories": kinds}
            line = {"file_name": f"{toy.name}.png", "label": NAMES[toy.label], "objects": objects}
            lines.append(json.dumps(line))
        write_text(root / split / "metadata.jsonl", "\n".join(lines) + "\n")
    return root


def write_boxes_table(root: Path, made: list[Toy], *, relative: bool = False) -> Path:
    rows: list[list[object]] = [["filename", "width", "height", "class"]]
    rows[0] += ["xmin", "ymin", "xmax", "ymax", "split"]
    for toy in made:
        save(toy.pixels, root / f"{toy.name}.png")
        for name, box in toy.boxes:
            sides = (WIDTH, HEIGHT, WIDTH, HEIGHT)
            edges = [v / s if relative else v for v, s in zip(box, sides, strict=True)]
            rows.append([f"{toy.name}.png", WIDTH, HEIGHT, NAMES[name], *edges, toy.split])
    write_rows(root / "boxes.csv", rows)
    return root


def write_masks_table(root: Path, made: list[Toy]) -> Path:
    rows: list[list[object]] = [["image", "mask", "split"]]
    for toy in made:
        save(toy.pixels, root / "pictures" / f"{toy.name}.png")
        save(toy.mask, root / "drawn" / f"m{toy.name}.png")
        rows.append([f"pictures/{toy.name}.png", f"drawn/m{toy.name}.png", toy.split])
    write_rows(root / "table.tsv", rows, "\t")
    write_text(root / "classes.txt", "\n".join(("background", *NAMES)))
    return root


def write_run_lengths(root: Path, made: list[Toy]) -> Path:
    """As Kaggle distributes them: a line an object."""
    rows: list[list[object]] = [["ImageId", "ClassId", "EncodedPixels", "split"]]
    for toy in made:
        save(toy.pixels, root / "train_images" / f"{toy.name}.png")
        rows += [[f"{toy.name}.png", NAMES[k], kaggle_rle(b), toy.split] for k, b in toy.boxes]
    write_rows(root / "train.csv", rows)
    return root


def write_object_masks(root: Path, made: list[Toy]) -> Path:
    """As the Data Science Bowl 2018 has it; a folder may be empty, for an image of nothing."""
    for toy in made:
        folder = root / f"stage1_{toy.split}" / toy.name
        save(toy.pixels, folder / "images" / f"{toy.name}.png")
        (folder / "masks").mkdir()
        for i, (_, (x0, y0, x1, y1)) in enumerate(toy.boxes):
            mask = np.zeros((HEIGHT, WIDTH), np.uint8)
            mask[y0:y1, x0:x1] = 255
            save(mask, folder / "masks" / f"m{i}.png")
    return root


def write_lists(root: Path, made: list[Toy]) -> Path:
    """As lists of ImageNet are: paths below the folder of the split, numbers, names by line."""
    for split in ("train", "val", "test"):
        mine = [t for t in made if t.split == split]
        for toy in mine:
            save(toy.pixels, root / split / f"{NAMES[toy.label]}/{toy.name}.png")
        lines = "".join(f"{NAMES[t.label]}/{t.name}.png {t.label}\n" for t in mine)
        write_text(root / f"{split}.txt", lines)
    write_text(root / "classes.txt", "\n".join(NAMES))
    return root


def write_voc_labels(root: Path, made: list[Toy]) -> Path:
    """A list for each class and split, with the images of all."""
    write_voc(root, made)
    for split in ("train", "val", "test"):
        mine = [t for t in made if t.split == split]
        for name in NAMES:
            said = [(t.name, 1 if name in labels_of(t) else -1) for t in mine]
            text = "".join(f"{image} {shows:2d}\n" for image, shows in said)
            write_text(root / f"ImageSets/Main/{name}_{split}.txt", text)
    return root


def write_parquet(root: Path, made: list[Toy]) -> Path:
    import pyarrow
    from pyarrow import parquet

    for toy in made:
        save(toy.pixels, root / "images" / f"{toy.name}.png")
    columns = {
        "path": [f"{t.name}.png" for t in made],
        "label": [NAMES[t.label] for t in made],
        "split": [t.split for t in made],
    }
    parquet.write_table(pyarrow.table(columns), root / "index.parquet")
    return root


def labels_of(toy: Toy) -> list[str]:
    """Several classes an image: those of its boxes."""
    return sorted({NAMES[name] for name, _ in toy.boxes})


def write_many_labels(root: Path, made: list[Toy]) -> Path:
    rows: list[list[object]] = [["path", "labels", "split"]]
    for toy in made:
        save(toy.pixels, root / "images" / f"{toy.name}.png")
        rows.append([f"images/{toy.name}.png", "|".join(labels_of(toy)), toy.split])
    write_rows(root / "labels.csv", rows)
    return root
