"""How fast a data set is scanned beside bare decoding of the same files on the same cores.

    python benchmarks/scan.py [--images 1500] [--rounds 3]

Bare: Pillow decodes each 640x480 JPEG in full to an RGB array, in as many threads, and as many
processes, as there are cores; the faster of the two counts. First scan: all that `check` learns
from the files, without what an earlier scan has kept. Second scan: the same set, unchanged. The
rounds are taken in turns; the best of each counts, since others may use the machine. The exit code
is 1 below 80 % of the bare rate, or where a second scan takes more than 10 % of the first.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from automl.data.decoders import cores
from automl.data.reading import Entry, Reading
from automl.data.scan import scan
from automl.dataset import Class
from automl.talk import Silent

WARM_UP = 64


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


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=1500)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    best: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        paths = draw(Path(folder), given.images)
        entries = tuple(Entry(path, label=0) for path in paths)
        reading = Reading("folders", Path(folder), (Class(0, "a"),), entries)
        time.sleep(3)  # what was just written is not kept
        with ThreadPoolExecutor(cores()) as threads, ProcessPoolExecutor(cores()) as processes:
            list(processes.map(bare, paths[:WARM_UP]))

            def fresh() -> None:
                with tempfile.TemporaryDirectory() as cache:
                    os.environ["AUTOML_CACHE"] = cache
                    best["first"] = min(
                        best.get("first", 1e9), timed(lambda: scan(reading, Silent()))
                    )
                    best["second"] = min(
                        best.get("second", 1e9), timed(lambda: scan(reading, Silent()))
                    )

            fresh()
            best.clear()
            for _ in range(given.rounds):
                for name, pool in (("threads", threads), ("processes", processes)):
                    seconds = timed(lambda p=pool: list(p.map(bare, paths, chunksize=12)))
                    best[name] = min(best.get(name, 1e9), seconds)
                fresh()
    rate = {name: given.images / seconds for name, seconds in best.items()}
    print({name: f"{value:.0f} images/s" for name, value in rate.items()}, f"{cores()} cores")
    of_bare = rate["first"] / max(rate["threads"], rate["processes"])
    of_first = best["second"] / best["first"]
    print(f"first scan: {of_bare:.1%} of bare decoding; second: {of_first:.1%} of the first")
    return int(of_bare < 0.8 or of_first > 0.1)


if __name__ == "__main__":
    sys.exit(main())
