"""Masks and boxes: automl beside a plain loop in one run, on the built-in digits and on bccd.

    python benchmarks/peers_dense.py [--sets digits-segmentation,digits-detection,bccd]
                                     [--images N] [--size PX] [--epochs 6] [--budget 180]
                                     [--seeds 0] [--out DIR]

The plain loops (benchmarks/peers/smp_loop.py, fcos_loop.py): segmentation-models-pytorch with
Albumentations, torchvision's FCOS with its own head and pyramid; the same backbone and ImageNet
weights, image size and batch as automl, which runs as a command whose recipe names the model and
the epochs, with nothing kept from earlier runs.

Cost: CPU seconds of the process tree from its start, one thread, validation included. Score: the
primary metric on the set's `val`, by the same scorer; the best so far. Any-time: the area under it
over log time from 15 to 900 s, 0 before the first. bccd is converted to COCO. Prints a table.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from itertools import accumulate
from pathlib import Path

import yaml
from peers import HERE, area, source, weights
from quality import ROOT, machine

sys.path.insert(0, str(HERE))

TASKS = {
    "digits-segmentation": "segmentation",
    "digits-detection": "detection",
    "bccd": "detection",
}
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
    words += ["--size", str(max(about["image_size"])), "--batch", str(about["batch_size"])]
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


def any_time(marks: Marks) -> float:
    """The area under the best score so far."""
    best = accumulate((m["val"] for m in marks), max)
    return area([{"cpu": m["cpu"], "test": [b]} for m, b in zip(marks, best, strict=True)])


def arranged(name: str, given: argparse.Namespace) -> Path:
    """The set in the layout that the plain loops read; it is written once."""
    data: Path = given.out / f"{name}-{given.images or 'all'}-{given.size or 'usual'}"
    if data.is_dir():
        return data
    if name == "bccd":
        words = ["convert", source(name), data, "--to", "coco"]
    else:
        words = ["sample", name, data]
        words += ["--images", given.images] if given.images else []
        words += ["--size", given.size] if given.size else []
    command = [sys.executable, "-m", "automl", *map(str, words)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return data


def table(name: str, seed: int, found: dict[str, Marks]) -> None:
    """One row for each."""
    goals = [share * max(m["val"] for m in found["plain"]) for share in SHARES]
    print(f"\n{name}, seed {seed}; marks are (CPU seconds, score)\n")
    columns = ["", "first score", *(f"to {g:.3f}" for g in goals), "best", "any-time", "all, CPU s"]
    print(f"| {' | '.join(columns)} |")
    print("|---" * len(columns) + "|")
    for peer, marks in found.items():
        first, best = marks[0], max(m["val"] for m in marks)
        cells = [f"{first['val']:.3f} after {first['cpu']:.0f} s"]
        cells += [reached(marks, goal) for goal in goals]
        cells += [f"{best:.3f}", f"{any_time(marks):.3f}", f"{marks[-1]['cpu']:.0f}"]
        print(f"| {peer} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    """Each task and seed: automl, then the plain loop at the same size and batch."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--sets", default="digits-segmentation,digits-detection")
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
    for name in given.sets.split(","):
        data, task = arranged(name, given), TASKS[name]
        for seed in map(int, given.seeds.split(",")):
            folder = given.out / f"{name}-{seed}"
            folder.mkdir(exist_ok=True)
            found = {}
            for peer, trained in (("automl", automl), ("plain", plain)):
                found[peer] = trained(task, data, folder, given, seed)
            table(name, seed, found)


if __name__ == "__main__":
    main()
