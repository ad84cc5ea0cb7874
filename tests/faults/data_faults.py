"""The kinds of bad data, each as a change to a sound set and the outcome that it must have.

F: fatal, `prepare` ends with 2 and `check` with 5. W: told, and goes on. OK: not a word.
Machine: ends with 3. The numbers are those of the table that the rows were agreed on in.
"""

import json
import os
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.data.toys import (
    COCO_IDS,
    HEIGHT,
    NAMES,
    WIDTH,
    coco_document,
    save,
    toys,
    write_coco_single,
    write_folders,
    write_masks,
    write_text,
    write_voc,
    write_yolo,
)

Spoil = Callable[[Path], None]


@dataclass(frozen=True)
class Kind:
    """One row, or one half of a row."""

    row: int
    name: str
    task: str
    spoil: Spoil
    outcome: str
    code: str = ""
    words: str = ""
    """What the finding must say."""


CLS, DET, SEG = "classification", "detection", "segmentation"
VICTIM = "train/disc/00.png"


def folders(root: Path) -> None:
    write_folders(root, toys(24))


def image(suffix: str, make: Callable[[Path], None]) -> Spoil:
    """One image of class folders becomes what `make` writes."""

    def spoil(root: Path) -> None:
        folders(root)
        (root / VICTIM).unlink()
        make((root / VICTIM).with_suffix(suffix))

    return spoil


PIXELS = np.random.default_rng(9).integers(0, 255, (96, 128, 3), dtype=np.uint8)
SMOOTH = (np.indices((96, 128)).sum(0) % 256).astype(np.uint8)


def whole(suffix: str, pixels: np.ndarray = PIXELS, **options: Any) -> Spoil:
    return image(suffix, lambda p: Image.fromarray(pixels).save(p, **options))


def cut(suffix: str, share: float) -> Spoil:
    def make(path: Path) -> None:
        Image.fromarray(PIXELS).save(path, quality=90)
        data = path.read_bytes()
        path.write_bytes(data[: int(len(data) * share)])

    return image(suffix, make)


def bytes_(suffix: str, data: bytes) -> Spoil:
    return image(suffix, lambda p: p.write_bytes(data) and None)


def bomb(width: int, height: int) -> Spoil:
    import zlib

    def make(path: Path) -> None:
        Image.fromarray(PIXELS).save(path)
        data = bytearray(path.read_bytes())
        data[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
        data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
        path.write_bytes(data)

    return image(".png", make)


def wrong_crc(path: Path) -> None:
    Image.fromarray(PIXELS).save(path)
    data = bytearray(path.read_bytes())
    data[data.rindex(b"IEND") - 8] ^= 1
    path.write_bytes(data)


def mode(suffix: str, name: str) -> Spoil:
    return image(suffix, lambda p: Image.fromarray(PIXELS).convert(name).save(p))


def with_alpha(name: str) -> Spoil:
    def make(path: Path) -> None:
        layer = Image.fromarray(PIXELS).convert(name)
        layer.putalpha(Image.fromarray(SMOOTH))
        layer.save(path)

    return image(".png", make)


def several(suffix: str) -> Spoil:
    def make(path: Path) -> None:
        rest = [Image.fromarray(np.roll(PIXELS, i * 9, 0)) for i in (1, 2)]
        Image.fromarray(PIXELS).save(path, save_all=True, append_images=rest)

    return image(suffix, make)


def floats(value: float = 0.5) -> Spoil:
    def make(path: Path) -> None:
        values = PIXELS[:, :, 0].astype(np.float32) / 255
        values[3, 3] = value
        Image.fromarray(values).save(path)

    return image(".tif", make)


def exif(raw: bytes) -> Spoil:
    return image(".jpg", lambda p: Image.fromarray(PIXELS).save(p, exif=raw))


def turned(root: Path) -> None:
    """Orientation 6 with boxes on the stored pixels: they must stay on their objects."""
    from tests.data.test_faults import _turned

    write_voc(root, toys(24))
    _turned(root / "JPEGImages/00.png", 6)


def names(*odd: bytes | str) -> Spoil:
    """The first images of class folders under other names."""

    def spoil(root: Path) -> None:
        folders(root)
        for number, name in enumerate(odd):
            source = root / "train" / NAMES[number] / f"0{number}.png"
            target = os.fsencode(root / "train/disc") + b"/" + os.fsencode(name)
            os.rename(source, target)  # noqa: PTH104  a name of bytes

    return spoil


def link(target: str, name: str = "train/disc/link.png") -> Spoil:
    def spoil(root: Path) -> None:
        folders(root)
        (root / name).symlink_to(target)

    return spoil


def outside(root: Path) -> None:
    folders(root)
    place = root.parent / "elsewhere.png"
    (root / VICTIM).rename(place)
    (root / VICTIM).symlink_to(place)


def pipe(root: Path) -> None:
    folders(root)
    os.mkfifo(root / "train/disc/pipe.png")


def coco(edit: Callable[[dict[str, Any]], object]) -> Spoil:
    def spoil(root: Path) -> None:
        write_coco_single(root, toys(24))
        document = coco_document(toys(24))
        edit(document)
        write_text(root / "everything.json", json.dumps(document))

    return spoil


def coco_bytes(change: Callable[[str], bytes]) -> Spoil:
    def spoil(root: Path) -> None:
        write_coco_single(root, toys(24))
        text = (root / "everything.json").read_text()
        (root / "everything.json").write_bytes(change(text))

    return spoil


def first(key: str, value: Any, section: str = "annotations") -> Spoil:
    return coco(lambda d: d[section][0].update({key: value}))


def every_box(change: Callable[[list[float]], list[float]]) -> Spoil:
    def edit(document: dict[str, Any]) -> None:
        for annotation in document["annotations"]:
            annotation["bbox"] = change(annotation["bbox"])

    return coco(edit)


def yolo(lines: str) -> Spoil:
    def spoil(root: Path) -> None:
        write_yolo(root, toys(24))
        write_text(root / "labels/train/00.txt", lines)

    return spoil


def yolo_pixels(root: Path) -> None:
    write_yolo(root, toys(24))
    for toy in toys(24):
        lines = [
            f"{c} {(x0 + x1) / 2} {(y0 + y1) / 2} {x1 - x0} {y1 - y0}\n"
            for c, (x0, y0, x1, y1) in toy.boxes
        ]
        write_text(root / "labels" / toy.split / f"{toy.name}.txt", "".join(lines))


def many(document: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    for i in range(10_000):
        x, y = (round(float(v), 3) for v in rng.uniform(0, 20, 2))
        box = [x, y, 5 + i % 7, 5]
        extra = {"id": 10_000 + i, "image_id": 100, "category_id": COCO_IDS[i % 3]}
        document["annotations"].append({**extra, "bbox": box, "iscrowd": 0})


def masks(change: Callable[[Path, np.ndarray], None]) -> Spoil:
    def spoil(root: Path) -> None:
        made = toys(24)
        write_masks(root, made)
        change(root / "train/masks/00.png", made[0].mask)

    return spoil


def palette(path: Path, mask: np.ndarray) -> None:
    paletted = Image.fromarray(mask).convert("P")
    paletted = Image.frombytes("P", (WIDTH, HEIGHT), mask.tobytes())
    paletted.putpalette([0, 0, 0, 38, 9, 200, 75, 80, 90, 113, 1, 2])
    paletted.save(path)


def bordered(value: int, rows: slice) -> Callable[[Path, np.ndarray], None]:
    def change(path: Path, mask: np.ndarray) -> None:
        changed = mask.copy()
        changed[rows] = value
        save(changed, path)

    return change


def as_jpeg(path: Path, mask: np.ndarray) -> None:
    path.unlink()
    Image.fromarray(mask).save(path.with_suffix(".jpg"))


def runs(compressed: bool) -> Callable[[dict[str, Any]], None]:
    """A box of three by two pixels at (1, 1), written as run lengths down the columns."""
    counts: Any = [HEIGHT + 1, 2, HEIGHT - 2, 2, HEIGHT - 2, 2, HEIGHT * (WIDTH - 4) + HEIGHT - 3]

    def edit(document: dict[str, Any]) -> None:
        for annotation in document["annotations"]:
            value = compress(counts) if compressed else counts
            annotation["segmentation"] = {"size": [HEIGHT, WIDTH], "counts": value}
            annotation["bbox"] = [1, 1, 3, 2]

    return edit


def compress(counts: list[int]) -> str:
    text = ""
    for place, count in enumerate(counts):
        value = count - counts[place - 2] if place > 2 else count
        more = True
        while more:
            digit = value & 31
            value >>= 5
            more = not (value == 0 and not digit & 16 or value == -1 and digit & 16)
            text += chr((digit | 32 if more else digit) + 48)
    return text


def empty_segmentation(document: dict[str, Any]) -> None:
    for annotation in document["annotations"]:
        annotation["segmentation"] = []


def crowd(document: dict[str, Any]) -> None:
    document["annotations"][0]["iscrowd"] = 1


def only(keep: Callable[[Any], bool], count: int = 24) -> Spoil:
    return lambda root: write_folders(root, [t for t in toys(count) if keep(t)]) and None


def one_class_det(root: Path) -> None:
    write_coco_single(root, toys(24))
    document = coco_document(toys(24))
    document["categories"] = document["categories"][:1]
    for annotation in document["annotations"]:
        annotation["category_id"] = document["categories"][0]["id"]
    write_text(root / "everything.json", json.dumps(document))


def no_train(root: Path) -> None:
    write_voc(root, toys(24))
    write_text(root / "ImageSets/Main/train.txt", "")


def unlisted_in_val(root: Path) -> None:
    made = toys(120)
    write_folders(root, [t for t in made if t.split != "val" or t.label == 1])


def copied(near: bool) -> Spoil:
    def spoil(root: Path) -> None:
        folders(root)
        smooth = np.kron(PIXELS[:12, :16, 0], np.ones((8, 8))).astype(np.uint8)
        save(smooth, root / "train/disc/a.png")
        if near:
            small = Image.fromarray(smooth).resize((80, 60), Image.Resampling.BOX)
            small.save(root / "val/ring/b.jpg", quality=70)
        else:
            save(smooth, root / "val/disc/b.bmp")

    return spoil


def objects(keep: Callable[[int], bool]) -> Callable[[dict[str, Any]], None]:
    def edit(document: dict[str, Any]) -> None:
        document["annotations"] = [a for a in document["annotations"] if keep(a["image_id"])]

    return edit


NAN = float("nan")
KINDS = [
    *(
        Kind(1, f"JPEG cut at {s:.0%}", CLS, cut(".jpg", s), "F", "broken_image")
        for s in (0.3, 0.6, 0.9, 0.99)
    ),
    Kind(2, "PNG cut", CLS, cut(".png", 0.6), "F", "broken_image"),
    Kind(3, "zero bytes", CLS, bytes_(".png", b""), "F", "broken_image", "empty"),
    Kind(
        4, "web page", CLS, bytes_(".jpg", b"<!doctype html><p>"), "F", "broken_image", "web page"
    ),
    Kind(5, "random bytes", CLS, bytes_(".jpg", bytes(range(1, 200)) * 9), "F", "broken_image"),
    Kind(6, "PNG named jpg", CLS, whole(".jpg", format="PNG"), "W", "wrong_suffix"),
    Kind(7, "PNG checksum", CLS, image(".png", wrong_crc), "F", "broken_image", "checksum"),
    Kind(8, "bomb", CLS, bomb(30_000, 30_000), "F", "broken_image", "decoded safely"),
    Kind(9, "196 MP", CLS, bomb(14_000, 14_000), "F", "broken_image", "decoded safely"),
    Kind(
        10, "60000 x 1", CLS, whole(".png", np.zeros((1, 60_000), np.uint8)), "W", "extreme_shape"
    ),
    Kind(11, "1 x 1", CLS, whole(".png", np.zeros((1, 1), np.uint8)), "F", "broken_image", "small"),
    Kind(12, "16 bit", CLS, whole(".png", SMOOTH.astype(np.uint16) * 257), "OK"),
    Kind(13, "float", CLS, floats(), "OK"),
    Kind(13, "float with NaN", CLS, floats(NAN), "F", "broken_image", "NaN"),
    Kind(14, "CMYK", CLS, mode(".jpg", "CMYK"), "OK"),
    Kind(15, "RGBA", CLS, with_alpha("RGBA"), "W", "transparent"),
    Kind(15, "opaque RGBA", CLS, mode(".png", "RGBA"), "OK"),
    Kind(16, "LA", CLS, with_alpha("LA"), "W", "transparent"),
    Kind(17, "1 bit", CLS, mode(".png", "1"), "OK"),
    Kind(18, "palette", CLS, mode(".png", "P"), "OK"),
    Kind(19, "animated GIF", CLS, several(".gif"), "W", "animated"),
    Kind(20, "animated WebP", CLS, several(".webp"), "W", "animated"),
    Kind(21, "pages of TIFF", CLS, several(".tif"), "W", "several_pages"),
    Kind(22, "EXIF turned", DET, turned, "OK"),
    Kind(23, "broken EXIF", CLS, exif(b"Exif\0\0II*\0\xff\xff\xff\xff"), "W", "broken_exif"),
    Kind(
        24, "HEIC", CLS, bytes_(".heic", b"\0\0\0\x18ftypheic" + bytes(90)), "Machine", "", "heif"
    ),
    Kind(
        25,
        "NFC and NFD",
        CLS,
        names(unicodedata.normalize("NFC", "é.png"), unicodedata.normalize("NFD", "é.png")),
        "W",
        "name_twins",
    ),
    Kind(26, "space", CLS, names("a b.png"), "OK"),
    Kind(27, "line break", CLS, names("a\nb.png"), "OK"),
    Kind(28, "not UTF-8", CLS, names(b"\xff\xfe.png"), "OK"),
    Kind(29, "255 bytes", CLS, names("n" * 251 + ".png"), "OK"),
    Kind(30, "leading dash", CLS, names("--fix.png"), "OK"),
    Kind(31, "upper and lower case", CLS, names("A.png", "a.png"), "W", "name_twins"),
    Kind(32, "link loop", CLS, link("..", "train/disc/again"), "W", "link_loop"),
    Kind(33, "dangling link", CLS, link("nowhere.png"), "F", "missing_image"),
    Kind(34, "link out of the set", CLS, outside, "OK"),
    Kind(35, "pipe", CLS, pipe, "F", "broken_image", "not a regular file"),
    Kind(35, "device", CLS, link("/dev/zero"), "F", "broken_image", "not a regular file"),
    Kind(37, "outside", DET, first("bbox", [100, 100, 9, 9]), "F", "box_outside"),
    Kind(38, "half outside", DET, first("bbox", [30, 20, 20, 5]), "W", "box_clipped"),
    Kind(39, "negative size", DET, first("bbox", [20, 20, -5, 5]), "F"),
    Kind(40, "zero area", DET, first("bbox", [20, 20, 0, 5]), "F"),
    Kind(41, "NaN", DET, first("bbox", [NAN, 1, 5, 5]), "F"),
    Kind(42, "infinite", DET, first("bbox", [1, 1, float("inf"), 5]), "F"),
    Kind(
        43,
        "corners for sizes",
        DET,
        every_box(lambda b: [b[0], b[1], b[0] + b[2], b[1] + b[3]]),
        "F",
        "box_format",
        "corners",
    ),
    Kind(44, "pixels for shares", DET, yolo_pixels, "F", "box_format", "pixels"),
    Kind(
        44,
        "shares for pixels",
        DET,
        every_box(lambda b: [b[0] / WIDTH, b[1] / HEIGHT, b[2] / WIDTH, b[3] / HEIGHT]),
        "F",
        "box_format",
        "shares",
    ),
    Kind(45, "10,000 boxes", DET, coco(many), "W", "many_boxes"),
    Kind(46, "box twice", DET, yolo("0 .5 .5 .4 .4\n0 .5 .5 .4 .4\n"), "W", "duplicate_box"),
    Kind(47, "column count", DET, yolo("0 .5 .5 .4\n"), "F", "malformed_annotation", "00.txt:1"),
    Kind(48, "no number", DET, yolo("0 a .5 .4 .4\n"), "F", "malformed_annotation", "00.txt:1"),
    Kind(
        49,
        "mask of another size",
        SEG,
        masks(lambda p, m: save(m[:-2], p) and None),
        "F",
        "mask_size_differs",
        "40x28",
    ),
    Kind(50, "palette ids", SEG, masks(palette), "OK"),
    Kind(51, "RGB mask", SEG, masks(lambda p, m: save(np.dstack([m] * 3), p) and None), "F"),
    Kind(52, "id too high", SEG, masks(bordered(77, slice(2))), "F", "unknown_mask_id", "77"),
    Kind(53, "255 is ignored", SEG, masks(bordered(255, slice(2))), "OK"),
    Kind(54, "all ignored", SEG, masks(bordered(255, slice(None))), "W", "mask_all_ignored"),
    Kind(55, "missing mask", SEG, masks(lambda p, m: p.unlink()), "F", "missing_annotation"),
    Kind(56, "JPEG mask", SEG, masks(as_jpeg), "F", "broken_mask", "JPEG"),
    Kind(57, "run lengths", SEG, coco(runs(compressed=False)), "OK"),
    Kind(58, "compressed run lengths", SEG, coco(runs(compressed=True)), "OK"),
    Kind(59, "crowd", DET, coco(crowd), "OK"),
    Kind(60, "empty segmentation", DET, coco(empty_segmentation), "OK"),
    Kind(60, "empty segmentation", SEG, coco(empty_segmentation), "F"),
    Kind(
        61, "image id twice", DET, coco(lambda d: d["images"][1].update(id=100)), "F", words="100"
    ),
    Kind(62, "annotation id twice", DET, first("id", 3), "F", words="3"),
    Kind(63, "unknown category", DET, first("category_id", 999), "F", "unknown_class", "999"),
    Kind(64, "missing image", DET, first("file_name", "no.png", "images"), "F", "missing_image"),
    Kind(65, "JSON with NaN", DET, first("area", NAN), "F", words="NaN"),
    Kind(65, "BOM", DET, coco_bytes(lambda t: b"\xef\xbb\xbf" + t.encode()), "OK"),
    Kind(65, "UTF-16", DET, coco_bytes(lambda t: t.encode("utf-16")), "F"),
    Kind(66, "not JSON", DET, coco_bytes(lambda t: t[:-40].encode()), "F", words=":1:"),
    Kind(67, "empty split", DET, no_train, "F", "empty_split"),
    Kind(68, "one class", CLS, only(lambda t: t.label == 0, 72), "F", "too_few_classes"),
    Kind(68, "one class of boxes", DET, one_class_det, "OK"),
    Kind(
        69,
        "class not in train",
        CLS,
        only(lambda t: t.split != "train" or t.label != 1, 72),
        "F",
        "class_not_in_train",
    ),
    Kind(69, "class not in val", CLS, unlisted_in_val, "W", "class_not_in_val"),
    Kind(70, "one image", CLS, only(lambda t: t.name == "00"), "F"),
    Kind(71, "no objects", DET, coco(objects(lambda i: False)), "F", "nothing_to_learn"),
    Kind(71, "some without objects", DET, coco(objects(lambda i: i % 4)), "OK"),
    Kind(72, "copy in val", CLS, copied(near=False), "F", "duplicate_across_splits"),
    Kind(72, "near copy in val", CLS, copied(near=True), "W", "near_duplicate_across_splits"),
]
