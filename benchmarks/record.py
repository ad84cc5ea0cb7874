"""What recording a run costs: the same small run with MLflow and DVC, and without, in turns.

    python benchmarks/record.py [--rounds 3] [--code OTHER_CHECKOUT]

A smoke run of the built-in digits in a fresh Git and DVC workspace whose MLflow store was made
before, each in a process of its own. The record does not grow with the training, so that its CPU
seconds are set beside a minute. CPU seconds are of the whole process tree; `waited` is the stage
`record` of the run, for which the person waits with the scores known. `--code` has another checkout
run as well, to compare two states of this program.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from quality import ROOT, machine
from scale import measured

RECIPE = """task: classification
data: digits
model: efficientnet_lite0
checks:
  waive: {near_duplicate: enlarged digits, near_duplicate_across_splits: enlarged digits}
track: {mlflow: MLFLOW, dvc: DVC}
"""


def workspace(folder: Path) -> None:
    """Git, DVC, the digits, and the two recipes."""
    automl = [sys.executable, "-m", "automl"]
    dvc = str(Path(sys.executable).with_name("dvc"))
    for words in (["git", "init", "-q"], [dvc, "init", "-q"]):
        subprocess.run(words, cwd=folder, check=True)
    made = [*automl, "sample", "digits-classification", str(folder / "digits")]
    subprocess.run(made, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
    for name, mlflow, dvc_ in (("on", "auto", "auto"), ("off", "'off'", "'off'")):
        text = RECIPE.replace("MLFLOW", mlflow).replace("DVC", dvc_)
        (folder / f"{name}.yaml").write_text(text)


def run(code: Path, folder: Path, recipe: str, number: int) -> tuple[float, float]:
    """CPU seconds of the run and seconds waited for its record."""
    target = folder / "runs" / f"{recipe}-{number}"
    variables = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(code)}
    words = [sys.executable, "-m", "automl", "run", f"{recipe}.yaml", "--smoke"]
    cost = measured([*words, "--run-dir", str(target)], folder, {**os.environ, **variables})
    return cost.cpu, _waited(target)


def _waited(target: Path) -> float:
    """From the line of the scores' end in the journal to the last file of the record."""
    from datetime import datetime

    lines = [json.loads(line) for line in (target / "journal.jsonl").read_text().splitlines()]
    ended = next(line for line in reversed(lines) if line["event"] == "end")
    written = (target / "record.json").stat().st_mtime
    return float(written - datetime.fromisoformat(ended["time"]).timestamp())


def main() -> None:
    """Prints a Markdown table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--code", type=Path, action="append", default=[])
    given = parser.parse_args()
    print(f"Machine: {machine()}\n")
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        workspace(folder)
        number = 0
        for turn in range(given.rounds + 1):
            for code in [ROOT, *given.code]:
                for recipe in ("off", "on"):
                    number += 1
                    cost = run(code.absolute(), folder, recipe, number)
                    if turn:  # the first makes the store and warms the caches
                        found.setdefault((code.name, recipe), []).append(cost)
    print("| code | record | CPU s of the run | s waited for the record |\n|---|---|---|---|")
    for (code_, recipe), costs in found.items():
        cpu, waited = (median(values) for values in zip(*costs, strict=True))
        print(f"| {code_} | {recipe} | {cpu:.1f} | {waited:.1f} |")


if __name__ == "__main__":
    main()
