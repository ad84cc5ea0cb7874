"""Masks and boxes: automl beside a plain loop in one run, on the built-in digits.

    python benchmarks/peers_dense.py [--tasks segmentation,detection] [--images N] [--size PX]
                                     [--epochs 6] [--budget 180] [--seeds 0] [--out DIR]

The plain loops (benchmarks/peers/smp_loop.py, fcos_loop.py): segmentation-models-pytorch with
Albumentations, torchvision's FCOS with its own head and pyramid; the same backbone and ImageNet
weights, image size and batch as automl, which runs as a command whose recipe names the model and
the epochs, with nothing kept from earlier runs.

Cost: CPU seconds of the process tree from its start, one thread, validation included. Score: the
primary metric on the set's `val`, by the same scorer; the best so far. Prints a table.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml
from peers import HERE, weights
from quality import ROOT, machine

sys.path.insert(0, str(HERE))

MODELS = {"segmentation": "unet-efficientnet_lite0", "detection": "fcos-efficientnet_lite0"}
LOOPS = {"segmentation": "smp_loop.py", "detection": "fcos_loop.py"}
SHARES = (0.5, 0.8, 0.95)
"""Of the plain loop's best score: the CPU seconds to each are compared."""
Marks = list[dict[str, float]]


def automl(task: str, data: Path, folder: Path, given: argparse.Namespace, seed: int) -> Marks:
    """Epochs from the journal as they appear, each with what the command has cost by then."""
    from automl_run import tree_cpu

    run = folder / "run"
    shutil.rmtree(run, ignore_errors=True)
    train = {"epochs": given.epochs, "seed": seed, **given.train}
    recipe = {"task": task, "data": str(data), "model": MODELS[task], "train": train}
    (folder / "recipe.yaml").write_text(
        yaml.safe_dump({**recipe, "track": {"mlflow": "off", "dvc": "off"}})
    )
    command = [sys.executable, "-m", "automl", "run", "recipe.yaml", "--run-dir", str(run)]
    with (folder / "automl.log").open("wb") as log:
        child = subprocess.Popen(
            command, cwd=folder, env=environment(folder), stdout=log, stderr=log
        )
        marks: Marks = []
        while child.poll() is None:
            marks += _new(run, len(marks), tree_cpu(child.pid))
            time.sleep(0.1)
    if child.returncode:
        raise SystemExit(f"automl ended with {child.returncode}; see {folder / 'automl.log'}")
    return marks


def _new(run: Path, known: int, spent: float) -> Marks:
    journal = run / "journal.jsonl"
    lines = journal.read_text().splitlines() if journal.is_file() else []
    told = [json.loads(line) for line in lines if line.endswith("}")]
    epochs = [line for line in told if line.get("kind", line.get("event")) == "epoch"]
    names = ("miou", "map")
    return [
        {"cpu": spent, "val": next(e["metrics"][n] for n in names if n in e["metrics"])}
        for e in epochs[known:]
    ]


def plain(task: str, data: Path, folder: Path, given: argparse.Namespace, seed: int) -> Marks:
    """The loop's own marks, at the size and batch that automl's plan has taken."""
    about = yaml.safe_load((folder / "run" / "plan.yaml").read_text())["train"]
    out = folder / "plain.json"
    words = [sys.executable, str(HERE / LOOPS[task]), str(data), str(out)]
    words += ["--weights", str(given.out / "weights.safetensors"), "--seed", str(seed)]
    words += ["--size", str(about["image_size"][0]), "--batch", str(about["batch_size"])]
    words += ["--epochs", str(given.epochs), "--budget", str(given.budget)]
    with (folder / "plain.log").open("wb") as log:
        subprocess.run(words, env=environment(folder), stdout=log, stderr=log, check=True)
    found: Marks = json.loads(out.read_text())["marks"]
    return found


def environment(folder: Path) -> dict[str, str]:
    """One thread, nothing kept."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    cache = folder / "cache"
    shutil.rmtree(cache, ignore_errors=True)
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path, "AUTOML_CACHE": str(cache)}


def reached(marks: Marks, goal: float) -> str:
    """CPU seconds to a score."""
    return next((f"{m['cpu']:.0f} s" for m in marks if m["val"] >= goal), "not reached")


def table(task: str, seed: int, found: dict[str, Marks]) -> None:
    """One row for each."""
    goals = [share * max(m["val"] for m in found["plain"]) for share in SHARES]
    print(f"\n{task}, seed {seed}; marks are (CPU seconds, score)\n")
    print(
        "| | first score | " + " | ".join(f"to {g:.3f}" for g in goals) + " | best | all, CPU s |"
    )
    print("|---|---|" + "---|" * (len(goals) + 2))
    for name, marks in found.items():
        first, best = marks[0], max(m["val"] for m in marks)
        cells = [f"{first['val']:.3f} after {first['cpu']:.0f} s"]
        cells += [reached(marks, goal) for goal in goals]
        print(f"| {name} | {' | '.join(cells)} | {best:.3f} | {marks[-1]['cpu']:.0f} |", flush=True)


def main() -> None:
    """Each task and seed: automl, then the plain loop at the same size and batch."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--tasks", default="segmentation,detection")
    parser.add_argument("--images", type=int, help="of the set, instead of all")
    parser.add_argument("--size", type=int, help="side of its images")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--budget", type=float, default=180, help="CPU seconds of the plain loop")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--train", type=json.loads, default={}, help="settings of automl's recipe")
    parser.add_argument("--out", type=Path, default=ROOT / "peers-results" / "dense")
    given = parser.parse_args()
    given.out = given.out.absolute()
    given.out.mkdir(parents=True, exist_ok=True)
    weights(given.out)
    print(f"Machine: {machine()}, one thread")
    for task in given.tasks.split(","):
        data = given.out / f"digits-{task}-{given.images or 'all'}-{given.size or 'usual'}"
        more: list[Any] = ["--images", given.images] if given.images else []
        more += ["--size", given.size] if given.size else []
        words = [sys.executable, "-m", "automl", "sample", f"digits-{task}", data, *more]
        if not data.is_dir():
            subprocess.run(list(map(str, words)), check=True, stdout=subprocess.DEVNULL)
        for seed in map(int, given.seeds.split(",")):
            folder = given.out / f"{task}-{seed}"
            folder.mkdir(exist_ok=True)
            found = {}
            for name, trained in (("automl", automl), ("plain", plain)):
                found[name] = trained(task, data, folder, given, seed)
            table(task, seed, found)


if __name__ == "__main__":
    main()
