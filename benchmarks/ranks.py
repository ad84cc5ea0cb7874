"""Two processes under torchrun against one: images per second, CPU seconds, the same weights.

python benchmarks/ranks.py [--images 240] [--size 64] [--epochs 4] [--rounds 2]

Each process computes with one thread; the runs take turns. The rate is that of the epochs after the
first, by the wall clock, so it means something on two idle cores only; the CPU seconds of both
processes over those of one also do on a busy machine: below two, two cores are faster than one.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from safetensors.torch import load_file

RECIPE = """
task: classification
data: digits
model: efficientnet_lite0
augment: light
track: {{mlflow: "off", dvc: "off"}}
train:
  {{epochs: {epochs}, image_size: {size}, batch_size: 16, micro_batch: 8, ema: 0.9, threads: 1,
   instant: none}}
"""
LAST = "epoch-*/model.safetensors"
LAUNCHERS = {
    "one process": [],
    "two under torchrun": [
        "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
    ],
}  # fmt: skip


def trained(folder: Path, launcher: list[str], name: str, images: int) -> tuple[float, float]:
    """Images per second of an epoch, and the CPU seconds of the whole command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, *launcher, "-m", "automl", "run", "recipe.yaml", "--run-dir", name]
    subprocess.run(
        [*command],
        cwd=folder,
        env={
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "AUTOML_CACHE": str(folder / "cache"),
            "PYTHONPATH": str(Path(__file__).parents[1]),
        },
        capture_output=True,
        check=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    told = [json.loads(line) for line in (folder / name / "journal.jsonl").open()]
    epochs = [event["seconds"] for event in told if event["event"] == "epoch"]
    return images / statistics.median(epochs[1:]), cpu


def apart(folder: Path, one: str, two: str) -> float:
    """The largest difference of a weight at the end; batch statistics are each process's own."""
    first, second = (load_file(max((folder / n / "checkpoints").glob(LAST))) for n in (one, two))
    learnt = [name for name in first if "running" not in name and "num_batches" not in name]
    return max(float((first[name] - second[name]).abs().max()) for name in learnt)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=240)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=2)
    asked = parser.parse_args()
    print(f"{platform.processor() or platform.machine()}, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "recipe.yaml").write_text(RECIPE.format(epochs=asked.epochs, size=asked.size))
        sample = ["sample", "digits-classification", "digits", "--images", str(asked.images)]
        subprocess.run([sys.executable, "-m", "automl", *sample], cwd=folder, check=True)
        images = len(list((folder / "digits").rglob("train/**/*.png")))
        found: dict[str, list[tuple[float, float]]] = {label: [] for label in LAUNCHERS}
        for number in range(asked.rounds):
            for label, launcher in LAUNCHERS.items():
                run = f"{label.split()[0]}-{number}"
                found[label].append(trained(folder, launcher, run, images))
        base = [statistics.median(column) for column in zip(*found["one process"], strict=True)]
        for label, rows in found.items():
            rate, cpu = (statistics.median(column) for column in zip(*rows, strict=True))
            print(
                f"{label:20s} {rate:7.1f} images/s ({rate / base[0]:.2f})   "
                f"{cpu:6.1f} CPU s in all ({cpu / base[1]:.2f})"
            )
        print(f"largest difference of a weight: {apart(folder, 'one-0', 'two-0'):.1e}")


if __name__ == "__main__":
    main()
