"""Peak memory of `automl check` on sets with one hostile file each, over the whole process tree.

python benchmarks/hostile.py [WORD ...]     # all kinds, or those whose name holds one of the words

Each set has twelve good images and one file that is drawn to take memory: as large as is let
through, larger than the header says, packed a thousand to one, cut off. Of each process the highest
resident size counts, of the tree the highest sum of those that live together (pages that processes
share count in each, so it is an upper bound). The exit code is 1 where that is more than 1.5 GB, or
where `check` ends in anything but 0, 2 or 5.
"""

import io
import os
import struct
import subprocess
import sys
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

LIMIT = 1_500_000_000
SIDE = 10_950
"""119.9 million pixels are let through."""

Draw = Callable[[Path], None]


def png(mode: int, depth: int, *, side: int = SIDE, share: float = 1.0) -> Draw:
    """Rows of zeros, packed as they are made; `mode` is the colour type of the header."""

    def draw(path: Path) -> None:
        values = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[mode]
        row = b"\0" * (1 + side * values * depth // 8)
        packer = zlib.compressobj(1)
        data = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
        head = struct.pack(">IIBBBBB", side, side, depth, mode, 0, 0, 0)
        parts = [(b"IHDR", head), (b"PLTE", bytes(768)), (b"tRNS", bytes(200)), (b"IDAT", data)]
        used = [p for p in parts if mode == 3 or p[0] in (b"IHDR", b"IDAT")]
        file = b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*p) for p in [*used, (b"IEND", b"")])
        path.with_suffix(".png").write_bytes(file[: int(len(file) * share)])

    return draw


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def saved(suffix: str, mode: str, size: tuple[int, int] = (SIDE, SIDE), **options: object) -> Draw:
    def draw(path: Path) -> None:
        Image.new(mode, size).save(path.with_suffix(suffix), **options)

    return draw


def claims(suffix: str, side: int) -> Draw:
    """A small picture whose header says that it is large."""

    def draw(path: Path) -> None:
        file = io.BytesIO()
        Image.new("RGB", (16, 16)).save(
            file, {".bmp": "BMP", ".gif": "GIF", ".jpg": "JPEG"}[suffix]
        )
        data = bytearray(file.getvalue())
        if suffix == ".bmp":
            data[18:26] = struct.pack("<ii", side, side)
        elif suffix == ".gif":
            data[6:10] = struct.pack("<HH", side, side)
        else:
            at = data.index(b"\xff\xc0")
            data[at + 5 : at + 9] = struct.pack(">HH", side, side)
        path.with_suffix(suffix).write_bytes(data)

    return draw


def tiled(path: Path) -> None:
    """Tiles of 16 x 16, each with a directory entry of its own, all of them the same bytes."""
    across = -(-SIDE // 16)
    tile = zlib.compress(bytes(16 * 16 * 3))
    count = across * across
    at = 8 + len(tile)
    offsets, sizes = struct.pack("<I", 8) * count, struct.pack("<I", len(tile)) * count
    tags = [
        *((256, 4, 1, SIDE), (257, 4, 1, SIDE), (258, 3, 1, 8), (259, 3, 1, 8), (262, 3, 1, 2)),
        *((277, 3, 1, 3), (322, 4, 1, 16), (323, 4, 1, 16)),
        *((324, 4, count, at), (325, 4, count, at + len(offsets))),
    ]
    folder = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *t) for t in tags)
    head = struct.pack("<2sHI", b"II", 42, at + len(offsets) + len(sizes))
    path.with_suffix(".tif").write_bytes(head + tile + offsets + sizes + folder + bytes(4))


def frames(suffix: str, count: int) -> Draw:
    def draw(path: Path) -> None:
        first, *rest = (Image.new("P", (64, 64), i % 256) for i in range(count))
        first.save(path.with_suffix(suffix), save_all=True, append_images=rest)

    return draw


def dicom(syntax: str, *, side: int = SIDE, frames: int = 1, deflated: int = 0) -> Draw:
    def draw(path: Path) -> None:
        import pydicom
        from pydicom.dataset import FileMetaDataset

        file = pydicom.Dataset()
        file.file_meta = FileMetaDataset()
        file.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
        file.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
        file.file_meta.TransferSyntaxUID = syntax
        file.Rows = file.Columns = side
        file.SamplesPerPixel, file.PhotometricInterpretation = 1, "MONOCHROME2"
        file.BitsAllocated = file.BitsStored = 16
        file.HighBit, file.PixelRepresentation, file.NumberOfFrames = 15, 0, frames
        file.WindowCenter, file.WindowWidth = 40, 400
        stored = bytes(deflated or 2 * side * side * frames)
        if syntax == RLE:
            segment = b"\x81\0" * (side * side // 128 + 1)
            head = struct.pack("<16I", 2, 64, 64 + len(segment), *[0] * 13)
            stored = pydicom.encaps.encapsulate([head + 2 * segment])
        file.PixelData = stored
        file["PixelData"].is_undefined_length = syntax == RLE
        file["PixelData"].VR = "OB" if syntax == RLE else "OW"
        file.save_as(path.with_suffix(".dcm"), enforce_file_format=True)

    return draw


PLAIN, RLE, DEFLATED = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.1.99"


def nifti(shape: tuple[int, int, int], kind: int, bits: int, blocks: int) -> Draw:
    """A header and `blocks` MB of zeros, packed."""

    def draw(path: Path) -> None:
        head = bytearray(352)
        head[0:4] = struct.pack("<i", 348)
        head[40:56] = struct.pack("<8h", 3, *shape, 1, 1, 1, 1)
        head[70:74] = struct.pack("<hh", kind, bits)
        head[76:108] = struct.pack("<8f", *[1.0] * 8)
        head[108:112], head[344:348] = struct.pack("<f", 352.0), b"n+1\0"
        packer = zlib.compressobj(1, wbits=31)
        parts = [
            packer.compress(bytes(head)),
            *(packer.compress(bytes(1 << 20)) for _ in range(blocks)),
        ]
        path.with_name(path.name + ".nii.gz").write_bytes(b"".join(parts) + packer.flush())

    return draw


def segments(path: Path) -> None:
    """A JPEG with 400 MB of colour profile."""
    file = io.BytesIO()
    Image.new("RGB", (64, 64)).save(file, "JPEG")
    data = file.getvalue()
    part = b"\xff\xe2" + struct.pack(">H", 65_535) + b"ICC_PROFILE\0\x01\xff" + bytes(65_519)
    with path.with_suffix(".jpg").open("wb") as out:
        out.write(data[:2])
        out.writelines(part for _ in range(6400))
        out.write(data[2:])


def text_of_png(path: Path) -> None:
    """A compressed comment of 1 GB."""
    file = io.BytesIO()
    Image.new("RGB", (64, 64)).save(file, "PNG")
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(bytes(1 << 20)) for _ in range(1000)) + packer.flush()
    data = file.getvalue()
    path.with_suffix(".png").write_bytes(data[:33] + chunk(b"zTXt", b"x\0\0" + packed) + data[33:])


def zip_bomb(path: Path) -> None:
    """In place of the set: one member of 4 GB."""
    with (
        zipfile.ZipFile(path.parents[1] / "set.zip", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("a/0.png", "w", force_zip64=True) as member,
    ):
        for _ in range(4000):
            member.write(bytes(1 << 20))


def deep_json(path: Path) -> None:
    (path.parents[1] / "annotations.json").write_text('{"images":' + "[" * 20_000_000)


KINDS: dict[str, Draw] = {
    "png RGB": png(2, 8),
    "png RGBA": png(6, 8),
    "png 16-bit grey": png(0, 16),
    "png 16-bit RGB": png(2, 16),
    "png 16-bit RGBA": png(6, 16),
    "png palette, transparent": png(3, 8),
    "png cut in half": png(2, 8, share=0.5),
    "png bomb, 60,000 x 60,000": png(0, 1, side=60_000),
    "png 1 GB of text": text_of_png,
    "png 60,000 x 1": saved(".png", "RGB", (60_000, 1)),
    "jpeg RGB": saved(".jpg", "RGB"),
    "jpeg progressive RGB": saved(".jpg", "RGB", progressive=True),
    "jpeg progressive CMYK": saved(".jpg", "CMYK", progressive=True),
    "jpeg claims 65,000 x 65,000": claims(".jpg", 65_000),
    "jpeg claims 10,900 x 10,900": claims(".jpg", 10_900),
    "jpeg 400 MB of profile": segments,
    "webp RGB": saved(".webp", "RGB", (16_383, 7_300), lossless=True, quality=0, method=0),
    "tiff 16-bit": saved(".tif", "I;16", compression="tiff_lzw"),
    "tiff float": saved(".tif", "F", compression="tiff_lzw"),
    "tiff CMYK": saved(".tif", "CMYK", compression="tiff_lzw"),
    "tiff of 468,000 tiles": tiled,
    "tiff of 2,000 pages": frames(".tif", 2000),
    "gif": saved(".gif", "P"),
    "gif of 5,000 frames": frames(".gif", 5000),
    "gif claims 60,000 x 60,000": claims(".gif", 60_000),
    "bmp RGB": saved(".bmp", "RGB"),
    "bmp claims 60,000 x 60,000": claims(".bmp", 60_000),
    "dicom 16-bit": dicom(PLAIN),
    "dicom run lengths": dicom(RLE),
    "dicom deflated to 1000:1": dicom(DEFLATED, side=512, deflated=1_500_000_000),
    "dicom of 1,000 frames": dicom(PLAIN, side=400, frames=1000),
    "nifti unpacks to 3 GB": nifti((512, 512, 3000), 16, 32, 3000),
    "nifti, a slice of float64": nifti((7_700, 7_700, 1), 64, 64, 460),
    "zip of one 4 GB member": zip_bomb,
    "json of 20 million brackets": deep_json,
}


def set_with(folder: Path, draw: Draw) -> Path:
    """Two classes of six good images, and the file; an archive or table beside them is the set."""
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        (folder / "set" / name).mkdir(parents=True)
        for i in range(6):
            pixels = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / "set" / name / f"{i}.png")
    draw(folder / "set" / "a" / "hostile")
    archive = folder / "set.zip"
    return archive if archive.exists() else folder / "set"


def tree(pid: int) -> Iterator[int]:
    yield pid
    try:
        for task in Path(f"/proc/{pid}/task").glob("*/children"):
            for child in task.read_text().split():
                yield from tree(int(child))
    except OSError:  # it has ended meanwhile
        return


def highest(pid: int) -> int:
    """Bytes of a process at its fullest so far; 0 where it has ended."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def measured(command: list[str], cwd: Path) -> tuple[int, int, int, float, str]:
    """Exit code, bytes of the largest process and of the tree, seconds, what was said."""
    env = {**os.environ, "OMP_NUM_THREADS": "1", "AUTOML_CACHE": str(cwd / "cache")}
    began, largest, together = time.perf_counter(), 0, 0
    with (cwd / "said").open("w+") as said:
        process = subprocess.Popen(command, cwd=cwd, env=env, stdout=said, stderr=said)
        while process.poll() is None:
            sizes = [highest(pid) for pid in tree(process.pid)]
            largest, together = max([largest, *sizes]), max(together, sum(sizes))
            time.sleep(0.005)
        said.seek(0)
        text = said.read()
    return process.returncode, largest, together, time.perf_counter() - began, text


def outcome(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if "hostile" in line or "refused" in line]
    return (lines or text.strip().splitlines() or [""])[0][:70]


def main() -> None:
    words = sys.argv[1:]
    kinds = [k for k in KINDS if not words or any(word in k for word in words)]
    wrong = False
    print(f"{'one file':28} {'on disk':>9} {'largest':>9} {'tree':>9} {'wall':>7}  exit, said")
    for kind in kinds:
        with tempfile.TemporaryDirectory() as folder:
            data = set_with(Path(folder), KINDS[kind])
            files = [data] if data.is_file() else [p for p in data.rglob("*") if p.is_file()]
            size = max(file.stat().st_size for file in files)
            command = [
                sys.executable,
                "-m",
                "automl",
                "check",
                str(data),
                "--task",
                "classification",
            ]
            code, largest, together, seconds, text = measured(command, Path(folder))
        wrong = wrong or together > LIMIT or code not in (0, 2, 5)
        figures = f"{size / 1e6:6.1f} MB {largest / 1e6:6.0f} MB {together / 1e6:6.0f} MB"
        print(f"{kind:28} {figures} {seconds:5.1f} s  {code}, {outcome(text)}", flush=True)
    sys.exit(wrong)


if __name__ == "__main__":
    main()
