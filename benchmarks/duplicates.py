"""How many planted copies are found among images, and how many others are taken for copies.

    python benchmarks/duplicates.py [--images 2000] [--real DIR ...]

100 exact copies (the same pixels in another file) and 100 near ones (resized, JPEG at quality 70,
mirrored) are planted in drawn images, and in crops of real ones where a folder is named. Two images
are a false alarm where neither of them is a copy of the other.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from automl.data.decoders import Job, decode_all
from automl.data.duplicates import exact_twins, near_twins
from automl.data.images import ImageFacts, read_image

NEAR = ("resized", "jpeg", "mirrored")


def drawn(count: int, seed: int) -> list[Image.Image]:
    """Discs and bars on a shaded ground, each at its own place, in its own colour."""
    from PIL import ImageDraw

    rng = np.random.default_rng(seed)
    images = []
    for _ in range(count):
        across = np.linspace(*rng.integers(40, 215, 2), 160)
        down = np.linspace(*rng.integers(-40, 40, 2), 120)
        ground = (across[None, :] + down[:, None] + rng.normal(0, 3, (120, 160))).clip(0, 255)
        image = Image.fromarray(ground.astype(np.uint8)).convert("RGB")
        pen = ImageDraw.Draw(image)
        for _ in range(int(rng.integers(4, 9))):
            x, y, w, h = (int(v) for v in rng.integers((0, 0, 15, 15), (140, 100, 70, 60)))
            colour = tuple(int(v) for v in rng.integers(0, 255, 3))
            (pen.ellipse if rng.random() < 0.5 else pen.rectangle)([x, y, x + w, y + h], colour)
        images.append(image)
    return images


def crops(folders: list[Path], count: int, seed: int) -> list[Image.Image]:
    """Parts of real images that do not overlap."""
    rng = np.random.default_rng(seed)
    found = []
    paths = [
        p for f in folders for p in sorted(f.rglob("*")) if p.suffix.lower() in (".jpg", ".png")
    ]
    for path in paths:
        image = Image.open(path).convert("RGB")
        if image.width < 320 or image.height < 240:
            continue
        for x in range(0, image.width - 159, 160):
            for y in range(0, image.height - 119, 120):
                part = image.crop((x, y, x + 160, y + 120))
                if np.asarray(part.convert("L")).std() > 12:
                    found.append(part)
        if len(found) > 8 * count:
            break
    rng.shuffle(found)
    return found[:count]


def planted(
    images: list[Image.Image], folder: Path, seed: int
) -> tuple[list[Path], dict[int, int]]:
    """Writes images and their copies; the place of each copy with that of its original."""
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(len(images))[:200]
    paths = []
    for place, image in enumerate(images):
        paths.append(folder / f"{place:05d}.png")
        image.save(paths[-1])
    copy_of = {}
    for number, place in enumerate(chosen.tolist()):
        image, path = images[place], folder / f"copy-{number:03d}.png"
        kind = NEAR[number % 3] if number >= 100 else "exact"
        if kind == "exact":
            path = path.with_suffix(".bmp")
        elif kind == "resized":
            image = image.resize((image.width * 5 // 8, image.height * 5 // 8))
        elif kind == "jpeg":
            path = path.with_suffix(".jpg")
        else:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        image.save(path, quality=70)
        copy_of[len(paths)] = place
        paths.append(path)
    return paths, copy_of


def measure(images: list[Image.Image], seed: int = 1) -> dict[str, float]:
    """Shares of exact and near copies found, of images wrongly said to be copies, and seconds."""
    with tempfile.TemporaryDirectory() as folder:
        paths, copy_of = planted(images, Path(folder), seed)
        facts = [answer.facts for _, answer in decode_all([Job(p, "image") for p in paths])]
        known = [fact for fact in facts if isinstance(fact, ImageFacts)]
        began = time.perf_counter()

        def same(a: int, b: int) -> bool:
            return np.array_equal(read_image(paths[a]), read_image(paths[b]))

        exact = exact_twins(known, same)
        near = near_twins([fact.look for fact in known])
        seconds = time.perf_counter() - began
    total = len(images)
    found = {t.other: t.first for t in near} | {t.other: t.first for t in exact}
    hit = {copy for copy, place in copy_of.items() if copy in found and found[copy] <= place}
    right = {copy for copy in hit if found[copy] == copy_of[copy]}
    exactly = {t.other for t in exact if copy_of.get(t.other) == t.first}
    wrong = [o for o, f in found.items() if copy_of.get(o) != f]
    return {
        "exact": len([c for c in exactly if c < total + 100]) / 100,
        "near": len([c for c in right if c >= total + 100]) / 100,
        "false": len(wrong) / total,
        "seconds": seconds,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--real", type=Path, nargs="*", default=[])
    given = parser.parse_args()
    sets = {"drawn": drawn(given.images, 0)}
    for folder in given.real:
        sets[folder.name] = crops([folder], given.images, 0)
    for name, images in sets.items():
        row = measure(images)
        print(name, len(images), {key: round(value, 4) for key, value in row.items()}, flush=True)
