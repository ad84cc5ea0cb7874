"""Runs recipes as a user would and prints what each reached and how long it took.

    python benchmarks/quality.py                     # the built-in samples
    python benchmarks/quality.py hymenoptera bccd    # recipes whose data lies in data/<name>

Each recipe is a process of its own in a fresh run folder; seconds are those of the whole command,
imports, data, scores, report and records included. CPU seconds are of all its threads.
"""

import json
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
SAMPLES = ["digits-classification", "digits-detection", "digits-segmentation"]
SHOWN = {
    "classification": ("accuracy", "macro_f1"),
    "segmentation": ("miou", "dice"),
    "detection": ("map", "map50"),
}


def measure(name: str, folder: Path) -> list[str]:
    """Runs one recipe; returns the cells of its row."""
    run = folder / name
    recipe = ROOT / "recipes" / f"{name}.yaml"
    command = [sys.executable, "-m", "automl", "run", str(recipe), "--run-dir", str(run)]
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    wall = time.monotonic() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    scores = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    digest = json.loads((run / "model" / "model.json").read_text(encoding="utf-8"))["weights"]
    reached = ", ".join(f"{metric} {scores[metric]:.4f}" for metric in SHOWN[scores["task"]])
    judged = f"{scores['images']} {scores['split']}"
    return [name, judged, reached, f"{wall:.0f}", f"{cpu:.0f}", digest["sha256"][:12]]


def machine() -> str:
    """What the figures were taken on."""
    import os

    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    cpu = names[0] if names else platform.processor()
    return f"{cpu}, {len(os.sched_getaffinity(0))} cores, Python {platform.python_version()}"


def main(names: list[str]) -> None:
    """Prints a Markdown table; samples are written where they are missing."""
    print(f"Machine: {machine()}; load at the start {Path('/proc/loadavg').read_text().split()[0]}")
    print()
    print("| recipe | judged on | reached | seconds | CPU seconds | weights |")
    print("|---|---|---|---|---|---|")
    for name in names:
        if name in SAMPLES:
            target = ROOT / "data" / name
            command = [sys.executable, "-m", "automl", "sample", name, str(target)]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        with tempfile.TemporaryDirectory() as folder:
            print(f"| {' | '.join(measure(name, Path(folder)))} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:] or SAMPLES)
