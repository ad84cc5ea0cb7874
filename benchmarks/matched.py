"""Sets what `model: auto` chooses beside the table's fixed default, at equal budgets.

    python benchmarks/matched.py                      # all sets, 60 s and 240 s, three seeds
    python benchmarks/matched.py --sets hymenoptera digits-classification --budgets 60 --seeds 1

Real sets are looked for in `data/NAME` and `../shared/data/NAME`; those that are nowhere are left
out. Both are whole commands with the same `--budget`, by the clock, so leave the machine alone.
A first run that is not shown lets the machine's habits be known. Where both are the same net it
runs once.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from quality import machine

ROOT = Path(__file__).parent.parent
DEFAULT = {
    "classification": "efficientnet_lite0",
    "segmentation": "unet-efficientnet_lite0",
    "detection": "fcos-efficientnet_lite0",
}
SETS = {
    "hymenoptera": "classification",
    "camvid": "segmentation",
    "bccd": "detection",
    "digits-classification": "classification",
    "digits-segmentation": "segmentation",
    "digits-detection": "detection",
}
MORE = {
    "camvid": "\n  classes: [sky, building, pole, road, pavement, tree, sign, fence, car, "
    "pedestrian, bicyclist]\n  ignore: [11]"
}


def place(name: str, folder: Path) -> Path | None:
    """Where the set lies; a built-in one is written."""
    if name.startswith("digits"):
        call(["sample", name, str(folder / name)])
        return folder / name
    found = [ROOT / "data" / name, ROOT.parent / "shared" / "data" / name]
    found.append(Path(os.environ.get("AUTOML_BENCHMARK_DATA", ".")) / name)
    return next((path.resolve() for path in found if path.is_dir()), None)


def call(words: list[str]) -> str:
    """What a command prints."""
    command = [sys.executable, "-m", "automl", *words]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def recipe(name: str, data: Path, folder: Path) -> Path:
    """A recipe that leaves all open."""
    file = folder / f"{name}.yaml"
    waived = "{near_duplicate: known, near_duplicate_across_splits: known}"
    file.write_text(
        f"task: {SETS[name]}\ndata:\n  path: {data}{MORE.get(name, '')}\n"
        f"track: {{mlflow: 'off', dvc: 'off'}}\nchecks:\n  waive: {waived}\n"
    )
    return file


def compared(name: str, budget: int, seeds: int, folder: Path) -> dict[str, list[float]] | None:
    """Scores of the chosen and of the default by seed; a row each is printed."""
    data = place(name, folder)
    if data is None:
        return None
    file, default = recipe(name, data, folder), DEFAULT[SETS[name]]
    trained(file, "auto", 25, 0, folder)
    runs = {"auto": [trained(file, "auto", budget, seed, folder) for seed in range(seeds)]}
    if {run.model for run in runs["auto"]} == {default}:
        runs["default"] = runs["auto"]
    else:
        runs["default"] = [trained(file, default, budget, seed, folder) for seed in range(seeds)]
    for kind, found in runs.items():
        models = " ".join(dict.fromkeys(run.model for run in found))
        shown = " ".join(f"{run.score:.4f}" for run in found)
        spent = " ".join(f"{run.seconds:.0f}" for run in found)
        print(f"| {name} | {budget} | {kind} | {models} | {shown} | {spent} |", flush=True)
    return {kind: [run.score for run in found] for kind, found in runs.items()}


class Run(NamedTuple):
    """What a command reached in how many seconds."""

    model: str
    score: float
    seconds: float


def trained(file: Path, model: str, budget: int, seed: int, folder: Path) -> Run:
    """One command with the budget, timed from outside."""
    with tempfile.TemporaryDirectory(dir=folder) as place_:
        words = ["run", str(file), "--set", f"model={model}", "--set", f"train.seed={seed}"]
        words += ["--budget", f"{budget}s", "--run-dir", f"{place_}/r", "--json"]
        began = time.monotonic()
        text = call(words)
        seconds, facts = time.monotonic() - began, json.loads(text)
    scores = facts["scores"]
    return Run(facts["model"], scores[scores["primary"]], seconds)


def main() -> None:
    """Prints a Markdown table and the mean over all sets and budgets."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=list(SETS))
    parser.add_argument("--budgets", nargs="+", type=int, default=[60, 240])
    parser.add_argument("--seeds", type=int, default=3)
    asked = parser.parse_args()
    print(f"Machine: {machine()}; load at the start {Path('/proc/loadavg').read_text().split()[0]}")
    print()
    print("| set | budget, s | model | is | score by seed | s |")
    print("|---|---|---|---|---|---|", flush=True)
    means: dict[str, list[float]] = {"auto": [], "default": []}
    with tempfile.TemporaryDirectory() as folder:
        for name in asked.sets:
            for budget in asked.budgets:
                found = compared(name, budget, asked.seeds, Path(folder))
                for kind, scores in (found or {}).items():
                    means[kind].append(statistics.mean(scores))
    if means["auto"]:
        auto, default = (statistics.mean(means[kind]) for kind in ("auto", "default"))
        print(f"\nMean score: auto {auto:.4f}, default {default:.4f}")


if __name__ == "__main__":
    main()
