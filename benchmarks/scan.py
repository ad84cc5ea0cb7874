"""How fast a data set is scanned beside bare decoding of the same files on the same cores.

    python benchmarks/scan.py [--images 1500] [--rounds 3]

Bare: Pillow decodes each 640x480 JPEG in full to an RGB array, in as many threads, and as many
processes, as there are cores; the faster of the two counts. Their memory is used again instead of
given back after each picture, which would cost them a quarter more. First scan: all that `check`
learns from the files, without what an earlier scan has kept. Second scan: the same set, unchanged.
The rounds are taken in turns. What counts is processor time of this process and its children, since
others may use the machine; the best of the rounds by the clock is shown beside it. The exit code
is 1 below 80 % of the bare rate, or where a second scan takes more than 10 % of the first.
"""

import argparse
import ctypes
import os
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

from automl.data.decoders import cores
from automl.data.reading import Entry, Reading
from automl.data.scan import scan
from automl.dataset import Class
from automl.talk import Silent

WARM_UP = 64
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""As `malloc.h` numbers them."""


def keep_memory() -> None:
    """Tells glibc to keep what it is given back; processes that are forked inherit that."""
    with suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(TRIM_THRESHOLD, 64 << 20)
        libc.mallopt(MMAP_THRESHOLD, 32 << 20)


def draw(folder: Path, count: int) -> list[Path]:
    """Photograph-like JPEGs of about 100 kB."""
    rng = np.random.default_rng(0)
    paths = []
    for number in range(count):
        small = rng.integers(0, 255, (60, 80, 3), dtype=np.uint8)
        big = np.asarray(Image.fromarray(small).resize((640, 480), Image.Resampling.BICUBIC))
        noisy = (big + rng.normal(0, 6, big.shape)).clip(0, 255).astype(np.uint8)
        paths.append(folder / f"{number:05d}.jpg")
        Image.fromarray(noisy).save(paths[-1], quality=90)
    return paths


def bare(path: Path) -> int:
    """Decodes one file in full."""
    with Image.open(path) as image:
        return int(np.asarray(image.convert("RGB"))[0, 0, 0])


def processor_s() -> float:
    """Of this process, its children that live, and those that have ended."""
    me = psutil.Process()
    own = me.cpu_times()
    total = own.user + own.system + own.children_user + own.children_system
    for child in me.children(recursive=True):
        with suppress(psutil.Error):
            times = child.cpu_times()
            total += times.user + times.system
    return total


class Watch:
    """The least of processor time and of the clock, by name."""

    def __init__(self) -> None:
        self.processor: dict[str, float] = {}
        self.clock: dict[str, float] = {}

    def time(self, name: str, work: Callable[[], object]) -> None:
        used, began = processor_s(), time.perf_counter()
        work()
        took = time.perf_counter() - began
        self.clock[name] = min(self.clock.get(name, took), took)
        used = processor_s() - used
        self.processor[name] = min(self.processor.get(name, used), used)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=1500)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    keep_memory()
    with tempfile.TemporaryDirectory() as folder:
        paths = draw(Path(folder), given.images)
        entries = tuple(Entry(path, label=0) for path in paths)
        reading = Reading("folders", Path(folder), (Class(0, "a"),), entries)
        time.sleep(3)  # what was just written is not kept
        with ThreadPoolExecutor(cores()) as threads, ProcessPoolExecutor(cores()) as processes:
            list(processes.map(bare, paths[:WARM_UP]))
            _scans(reading, Watch())
            watch = Watch()
            for _ in range(given.rounds):
                for name, pool in (("threads", threads), ("processes", processes)):
                    watch.time(name, lambda p=pool: list(p.map(bare, paths, chunksize=12)))
                _scans(reading, watch)
    return _told(watch, given.images)


def _scans(reading: Reading, watch: Watch) -> None:
    with tempfile.TemporaryDirectory() as cache:
        os.environ["AUTOML_CACHE"] = cache
        watch.time("first", lambda: scan(reading, Silent()))
        watch.time("second", lambda: scan(reading, Silent()))


def _told(watch: Watch, images: int) -> int:
    per_image = {name: seconds / images * 1e3 for name, seconds in watch.processor.items()}
    print({name: f"{ms:.2f} ms of processor" for name, ms in per_image.items()})
    rates = {name: images / seconds for name, seconds in watch.clock.items()}
    print({name: f"{rate:.0f} images/s" for name, rate in rates.items()}, f"{cores()} cores")
    of_bare = min(per_image["threads"], per_image["processes"]) / per_image["first"]
    of_first = per_image["second"] / per_image["first"]
    by_clock = rates["first"] / max(rates["threads"], rates["processes"])
    print(
        f"first scan: {of_bare:.1%} of bare decoding ({by_clock:.1%} by the clock);"
        f" second: {of_first:.1%} of the first"
    )
    return int(of_bare < 0.8 or of_first > 0.1)


if __name__ == "__main__":
    sys.exit(main())
