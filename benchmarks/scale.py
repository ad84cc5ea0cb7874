"""What a large set costs: `automl check` and `automl plan` on more and more tiny images.

    python benchmarks/scale.py [--images 5000,20000,100000] [--formats folders,coco,csv] [--alike]

Draws 32x32 JPEGs as class folders, as COCO and as CSV with five boxes an image, and runs both
commands as processes of their own: the first `check` has no scan to begin with, `plan` reads what
it kept. Seconds and CPU seconds are of the whole process tree; peak memory is that of its largest
process, and the highest sum over the tree (pages that processes share count in each). The exit code
is 1 where the largest process takes 1 GB or more, or where the CPU seconds of an image, start-up
left out, grow by half from the smallest set to the largest.

`--alike` draws frames of ten unmoved cameras instead: nearly all images are near copies.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from quality import machine

SIDE, CLASSES, BOXES = 32, 10, 5
LIMIT_MB = 1000
GROWTH = 1.5


@dataclass(frozen=True)
class Cost:
    """What one command took."""

    seconds: float
    cpu: float
    largest_mb: float
    sum_mb: float


def measured(command: list[str], cwd: Path, env: dict[str, str]) -> Cost:
    """Runs a command; all it starts and waits for counts."""
    began = time.monotonic()
    with (cwd / "talk.txt").open("wb") as talk:
        child = subprocess.Popen(command, cwd=cwd, env=env, stdout=talk, stderr=talk)
        sums = [0.0]
        over = threading.Event()
        watcher = threading.Thread(target=_watch, args=(child.pid, sums, over))
        watcher.start()
        _, status, used = os.wait4(child.pid, 0)
        over.set()
        watcher.join()
    code = child.returncode = os.waitstatus_to_exitcode(status)
    if code not in (0, 5):
        raise SystemExit(f"{command}: exit {code}\n{(cwd / 'talk.txt').read_text()[-2000:]}")
    cpu = used.ru_utime + used.ru_stime
    return Cost(time.monotonic() - began, cpu, used.ru_maxrss / 1000, max(sums))


def _watch(root: int, sums: list[float], over: threading.Event) -> None:
    while not over.wait(0.1):
        sums.append(sum(_resident_mb(pid) for pid in _tree(root)))


def _tree(root: int) -> list[int]:
    found = [root]
    for pid in found:
        try:  # a process may end between any two of these
            for task in Path(f"/proc/{pid}/task").glob("*/children"):
                found += [int(child) for child in task.read_text().split()]
        except OSError:
            continue
    return found


def _resident_mb(pid: int) -> float:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def draw(root: Path, count: int, layout: str, *, alike: bool) -> None:
    """Images of random patches, or of a few scenes with a little noise, and what describes them."""
    rng = np.random.default_rng(count)
    scenes = rng.integers(0, 255, (10, 8, 8, 3), dtype=np.uint8)
    images, annotations, rows = [], [], ["path,label,xmin,ymin,xmax,ymax"]
    for number in range(count):
        patch = scenes[number % 10] if alike else rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)
        pixels = cv2.resize(patch, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
        if alike:
            noise = rng.normal(0, 3, pixels.shape)
            pixels = (pixels + noise).clip(0, 255).astype(np.uint8)
        name = f"{number % 100:02d}/{number:06d}.jpg"
        if layout == "folders":
            name = f"class{number % CLASSES}/{number:06d}.jpg"
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes())
        images.append({"id": number, "file_name": name, "width": SIDE, "height": SIDE})
        for x, y, side in rng.integers(4, SIDE // 2, (BOXES, 3)).tolist():
            label = len(annotations) % CLASSES
            box = [x, y, side, side]
            annotations.append(
                {"id": len(annotations), "image_id": number, "category_id": label, "bbox": box}
            )
            rows.append(f"{name},class{label},{x},{y},{x + side},{y + side}")
    if layout == "coco":
        categories = [{"id": i, "name": f"class{i}"} for i in range(CLASSES)]
        parts = {"images": images, "annotations": annotations, "categories": categories}
        (root / "instances.json").write_text(json.dumps(parts))
    elif layout == "csv":
        (root / "boxes.csv").write_text("\n".join(rows) + "\n")


def recipe(folder: Path, data: Path, layout: str) -> Path:
    """A recipe without weights, so that nothing but the data costs."""
    task = "classification" if layout == "folders" else "detection"
    path = folder / "recipe.yaml"
    path.write_text(f"task: {task}\ndata: {data}\nweights: none\nmodel: {MODELS[task]}\n")
    return path


MODELS = {"classification": "resnet18", "detection": "fcos-efficientnet_lite0"}


def run(layout: str, count: int, *, alike: bool) -> dict[str, Cost]:
    """Draws one set and takes both commands through it."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        data = folder / "data"
        draw(data, count, layout, alike=alike)
        time.sleep(3)  # what was just written is not kept by a scan
        env = {**os.environ, "AUTOML_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1"}
        automl = [sys.executable, "-m", "automl"]
        asked = str(recipe(folder, data, layout))
        return {
            "check": measured([*automl, "check", asked], folder, env),
            "check again": measured([*automl, "check", asked], folder, env),
            "plan": measured([*automl, "plan", asked], folder, env),
        }


def main() -> int:
    """Prints a Markdown table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", default="5000,20000,100000")
    parser.add_argument("--formats", default="folders,coco,csv")
    parser.add_argument("--alike", action="store_true")
    given = parser.parse_args()
    sizes = sorted(int(n) for n in given.images.split(","))
    print(f"Machine: {machine()}\n")
    print("| set | images | command | s | CPU s | CPU ms an image | largest MB | sum MB |")
    print("|---|---|---|---|---|---|---|---|")
    over = False
    for layout in given.formats.split(","):
        costs = {n: _shown(layout, n, run(layout, n, alike=given.alike)) for n in sizes}
        over |= any(c.largest_mb >= LIMIT_MB for found in costs.values() for c in found.values())
        over |= len(sizes) > 2 and _grows(sizes, costs)
    return int(over)


def _shown(layout: str, count: int, costs: dict[str, Cost]) -> dict[str, Cost]:
    for name, cost in costs.items():
        each = 1000 * cost.cpu / count
        print(
            f"| {layout} | {count:,} | {name} | {cost.seconds:.1f} | {cost.cpu:.1f} | {each:.2f} |"
            f" {cost.largest_mb:.0f} | {cost.sum_mb:.0f} |",
            flush=True,
        )
    return costs


def _grows(sizes: list[int], costs: dict[int, dict[str, Cost]]) -> bool:
    """Whether the step from the middle to the largest set costs more an image than the first."""
    small, middle, large = sizes[0], sizes[-2], sizes[-1]
    grown = False
    for name in costs[small]:
        cpu = {n: costs[n][name].cpu for n in sizes}
        first = (cpu[middle] - cpu[small]) / (middle - small)
        last = (cpu[large] - cpu[middle]) / (large - middle)
        print(
            f"{name}: {1000 * last:.3f} CPU-ms a further image, {last / first:.2f} times the first"
        )
        grown |= last > GROWTH * first
    return grown


if __name__ == "__main__":
    sys.exit(main())
