"""What recording a run costs: the same finished run recorded by MLflow and DVC, and by neither.

    python benchmarks/record.py [--rounds 5] [--code OTHER_CHECKOUT] [--whole EPOCHS]

A smoke run of the built-in digits is made once, in a fresh Git and DVC workspace. Copies of it, as
runs of their own, are then recorded in turns by `automl record`, in a process each, with both
stores on, one of them, or none; what the last takes is taken off. The record does not grow with
the training, so that its CPU seconds, of the whole process tree, are set beside a minute. In a
whole run MLflow is imported while the model is judged, which the seconds here do not show:
`--whole EPOCHS` times whole runs from outside instead, in turns with both stores on and off; take
as many epochs as make a minute, on idle cores.
`--code` has another checkout record as well, to compare two states of this program. The first
round, which makes the store and adds the data, is told apart.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from quality import ROOT, machine
from scale import Cost, measured

RECIPE = """task: classification
data: digits
model: efficientnet_lite0
checks:
  waive: {near_duplicate: enlarged digits, near_duplicate_across_splits: enlarged digits}
track: {mlflow: 'off', dvc: 'off'}
"""
STORES = {"neither": (), "DVC": ("dvc",), "MLflow": ("mlflow",), "both": ("dvc", "mlflow")}


def workspace(folder: Path) -> Path:
    """Git, DVC, the digits, and one finished run that is recorded nowhere."""
    automl = [sys.executable, "-m", "automl"]
    dvc = str(Path(sys.executable).with_name("dvc"))
    run = folder / "made"
    (folder / "recipe.yaml").write_text(RECIPE)
    for words in (
        ["git", "init", "-q"],
        [dvc, "init", "-q"],
        [*automl, "sample", "digits-classification", str(folder / "digits")],
        [*automl, "run", "recipe.yaml", "--smoke", "--run-dir", str(run)],
    ):
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        subprocess.run(words, cwd=folder, check=True, env=environment, capture_output=True)
    return run


def recorded(code: Path, folder: Path, made: Path, stores: str, number: int) -> Cost:
    """What recording a copy of the run costs."""
    run = folder / "runs" / f"digits-20260101-{number:06d}"
    shutil.copytree(made, run)
    text = (run / "recipe.yaml").read_text()
    for store in STORES[stores]:
        text = text.replace(f"{store}: 'off'", f"{store}: auto")
    (run / "recipe.yaml").write_text(text)
    variables = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(code)}
    words = [sys.executable, "-m", "automl", "record", str(run)]
    return measured(words, folder, {**os.environ, **variables})


def whole(folder: Path, epochs: int, rounds: int) -> None:
    """What is added to whole runs by both stores, on the clock and in CPU seconds."""
    costs: dict[str, list[Cost]] = {"both": [], "neither": []}
    settings = {"train.epochs": epochs, "train.instant": "none", "train.patience": 0}
    sets = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    for number in range(rounds + 1):
        for stores, taken in costs.items():
            kinds = ("mlflow", "dvc") if stores == "neither" else ()
            off = [word for kind in kinds for word in ("--set", f"track.{kind}=off")]
            words = [sys.executable, "-m", "automl", "run", "whole.yaml", *sets, *off]
            words += ["--run-dir", f"runs/{stores}-{number}"]
            environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
            taken.append(measured(words, folder, environment))
    print("| whole run | s | CPU s |\n|---|---|---|")
    for stores, taken in costs.items():
        shown = (" ".join(f"{getattr(c, kind):.1f}" for c in taken) for kind in ("seconds", "cpu"))
        print(f"| {stores}, the first and {rounds} more | {' | '.join(shown)} |")
    more = {
        kind: median(
            getattr(a, kind) / getattr(b, kind) - 1
            for a, b in zip(costs["both"][1:], costs["neither"][1:], strict=True)
        )
        for kind in ("seconds", "cpu")
    }
    print(f"\nboth over neither: {more['seconds']:+.1%} on the clock, {more['cpu']:+.1%} CPU")


def main() -> None:
    """Prints a Markdown table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--code", type=Path, action="append", default=[])
    parser.add_argument("--whole", type=int, metavar="EPOCHS")
    given = parser.parse_args()
    print(f"Machine: {machine()}\n")
    costs: dict[tuple[str, str], list[Cost]] = {}
    codes = [ROOT, *(code.absolute() for code in given.code)]
    with tempfile.TemporaryDirectory() as place:
        folders = {code: Path(place) / f"{n}" for n, code in enumerate(codes)}
        for folder in folders.values():
            folder.mkdir()
        made = workspace(folders[ROOT])
        if given.whole:
            tracked = RECIPE.replace("track: {mlflow: 'off', dvc: 'off'}\n", "")
            (folders[ROOT] / "whole.yaml").write_text(tracked)
            whole(folders[ROOT], given.whole, given.rounds)
            return
        for code in codes[1:]:
            shutil.copytree(folders[ROOT], folders[code], dirs_exist_ok=True, symlinks=True)
        for number in range(given.rounds + 1):
            for code in codes:
                for at, stores in enumerate(STORES):
                    cost = recorded(code, folders[code], made, stores, 10 * number + at)
                    costs.setdefault((code.name, stores), []).append(cost)
    print("| code | record | CPU s | of a minute | s | CPU s, first |\n|---|---|---|---|---|---|")
    for (code_, stores), taken in costs.items():
        none = costs[code_, "neither"]
        cpu = median(c.cpu for c in taken[1:]) - median(c.cpu for c in none[1:])
        seconds = median(c.seconds for c in taken[1:]) - median(c.seconds for c in none[1:])
        first = taken[0].cpu - median(c.cpu for c in none[1:])
        print(f"| {code_} | {stores} | {cpu:.2f} | {cpu / 60:.1%} | {seconds:.1f} | {first:.2f} |")


if __name__ == "__main__":
    main()
