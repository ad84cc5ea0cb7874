"""Sets what `model: auto` chooses beside the table's fixed default, at equal budgets.

    python benchmarks/matched.py                      # all sets, 60 s and 240 s, three seeds
    python benchmarks/matched.py --sets hymenoptera digits-classification --budgets 60 --seeds 1

Real sets are looked for in `data/NAME` and `../shared/data/NAME`; those that are nowhere are left
out. One plan per set and budget measures the candidates; then the chosen one and the default train
for the epochs that fit either's measured time, so that both cost the same on a busy machine too.
CPU seconds are those of the whole command on one thread. Where both are the same net it runs once.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

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
PRIMARY = {"classification": "accuracy", "segmentation": "miou", "detection": "map"}
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


def call(words: list[str]) -> tuple[str, float]:
    """What a command prints, and the CPU seconds of all its processes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-m", "automl", *words],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return done.stdout, seconds


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
    file = recipe(name, data, folder)
    text, planning = call(["plan", str(file), "--json", "--set", f"budget={budget}s"])
    weighed = json.loads(text)["candidates"]
    known = {c["model"]: c for c in weighed}
    scores: dict[str, list[float]] = {}
    for kind, model in (("auto", weighed[0]["model"]), ("default", DEFAULT[SETS[name]])):
        if kind == "default" and model == weighed[0]["model"]:
            scores[kind] = scores["auto"]
            print(f"| {name} | {budget} | default | the same | | | | |", flush=True)
            continue
        found, costs = [], []
        for seed in range(seeds):
            score, cost = trained(file, known[model], seed, folder)
            found.append(score)
            costs.append(cost)
        scores[kind] = found
        shown = " ".join(f"{score:.4f}" for score in found)
        cells = [name, str(budget), kind, model, str(known[model]["epochs"]), shown]
        cells += [f"{statistics.mean(costs):.0f}", f"{planning:.0f}"]
        print(f"| {' | '.join(cells)} |", flush=True)
    return scores


def trained(file: Path, candidate: dict, seed: int, folder: Path) -> tuple[float, float]:
    """Score and CPU seconds of one run, for the epochs that the plan says fit."""
    with tempfile.TemporaryDirectory(dir=folder) as run:
        values = {
            "model": candidate["model"],
            "train.epochs": candidate["epochs"],
            "train.image_size": json.dumps(candidate["image_size"]),
            "train.threads": 1,
            "train.seed": seed,
        }
        sets = [word for key, value in values.items() for word in ("--set", f"{key}={value}")]
        _, cost = call(["run", str(file), *sets, "--run-dir", f"{run}/run"])
        scores = json.loads(Path(run, "run", "metrics.json").read_text(encoding="utf-8"))
        return scores[PRIMARY[scores["task"]]], cost


def main() -> None:
    """Prints a Markdown table and the mean over all sets and budgets."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=list(SETS))
    parser.add_argument("--budgets", nargs="+", type=int, default=[60, 240])
    parser.add_argument("--seeds", type=int, default=3)
    asked = parser.parse_args()
    print(f"Machine: {machine()}; load at the start {Path('/proc/loadavg').read_text().split()[0]}")
    print()
    print("| set | budget, s | model | is | epochs | score by seed | CPU s a run | CPU s to plan |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
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
