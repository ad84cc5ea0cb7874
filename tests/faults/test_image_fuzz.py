"""Images with random damage: one finding or a picture each, never a crash, never a hang."""

import io
import os
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from automl.data.decoders import Job, decode_all
from automl.data.images import ImageFacts, MaskFacts

FEW, MANY = 240, 5000
LONGEST_S = 5.0


def originals() -> list[tuple[str, bytes]]:
    """One small image of every format and kind."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 255, (24, 32, 3), dtype=np.uint8)
    rgb, grey = Image.fromarray(pixels), Image.fromarray(pixels[:, :, 0])
    wide = Image.fromarray(pixels[:, :, 0].astype(np.uint16) * 257)
    floats = Image.fromarray(pixels[:, :, 0].astype(np.float32) / 255)
    exif = Image.Exif()
    exif[0x0112] = 6
    kinds: list[tuple[str, Image.Image, dict[str, object]]] = [
        ("jpg", rgb, {"exif": exif}),
        ("jpg", rgb, {"progressive": True}),
        ("jpg", rgb.convert("CMYK"), {}),
        ("png", rgb, {}),
        ("png", wide, {}),
        ("png", grey.convert("P"), {}),
        ("png", grey.convert("1"), {}),
        ("png", rgb.convert("RGBA"), {}),
        ("webp", rgb, {}),
        ("webp", rgb, {"save_all": True, "append_images": [rgb.rotate(90)]}),
        ("bmp", rgb, {}),
        ("tif", rgb, {"compression": "tiff_lzw"}),
        ("tif", floats, {}),
        ("tif", wide, {"compression": "tiff_adobe_deflate"}),
        ("gif", grey, {"save_all": True, "append_images": [grey.rotate(90)]}),
        ("ppm", rgb, {}),
        ("jp2", rgb, {}),
        ("avif", rgb, {}),
    ]
    forms = {"jpg": "JPEG", "tif": "TIFF", "jp2": "JPEG2000"}
    made = []
    for suffix, image, options in kinds:
        file = io.BytesIO()
        image.save(file, forms.get(suffix, suffix.upper()), **options)
        made.append((suffix, file.getvalue()))
    return made


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    """Bytes changed, cut out, doubled or put in; mostly near the head, where sizes are."""
    changed = bytearray(data)
    for _ in range(int(rng.integers(1, 6))):
        end = len(changed) if rng.random() < 0.5 else min(len(changed), 120)
        at = int(rng.integers(0, max(1, end)))
        length = int(rng.integers(1, 9))
        match int(rng.integers(0, 6)):
            case 0:
                changed[at : at + 1] = bytes([int(rng.integers(0, 256))])
            case 1:
                changed[at : at + length] = rng.bytes(length)
            case 2:
                del changed[at : at + length]
            case 3:
                changed[at:at] = changed[at : at + length]
            case 4:
                changed[at : at + 4] = b"\xff\xff\xff\xff"
            case 5:
                del changed[max(1, len(changed) - length * 20) :]
    return bytes(changed)


def fuzz(folder: Path, count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    sound = originals()
    jobs = []
    for number in range(count):
        suffix, data = sound[number % len(sound)]
        path = folder / f"{number:05d}.{suffix}"
        path.write_bytes(damaged(data, rng))
        jobs.append(Job(path, "mask" if number % 5 == 4 else "image"))
    slowest, last, good = 0.0, time.monotonic(), 0
    for job, answer in decode_all(jobs):
        now = time.monotonic()
        slowest, last = max(slowest, now - last), now
        good += answer.facts is not None
        told = f"seed {seed}, {job.path.name}: {answer}"
        assert isinstance(answer.facts, ImageFacts | MaskFacts) != bool(answer.fault), told
        assert answer.fault is None or answer.fault.message, told
        assert not answer.machine or job.path.suffix in (".avif",), told
        assert answer.fault is None or "crashes" not in answer.fault.message, told
    assert 0 < good < count, "the damage is none, or total"
    assert slowest < LONGEST_S * (2 if count > FEW else 4), f"seed {seed}: {slowest:.1f} s"


def test_images__a_few_hundred(tmp_path):
    fuzz(tmp_path, FEW, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [2, None])
def test_images__thousands(tmp_path, seed):
    fuzz(tmp_path, MANY, int.from_bytes(os.urandom(4), "big") if seed is None else seed)
