"""Promised against spent: whole runs of `automl run --budget`, by stage, timed from outside.

python benchmarks/budget.py [SECONDS ...] [--set digits-segmentation] [--busy N]

`--busy N` starts N processes that compute without end when half of the promise has passed.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from automl.clock import STAGES

BUSY = "while True: sum(range(100000))"
TASKS = {"classification", "segmentation", "detection"}


def measure(name: str, budget: float, busy: int, place: Path) -> dict[str, object]:
    """One run in a process of its own; its wall time with all that surrounds it."""
    recipe = place / f"{name}.yaml"
    task = next(task for task in TASKS if task in name)
    recipe.write_text(f"task: {task}\ndata: {place / name}\n")
    command = [sys.executable, "-m", "automl", "run", str(recipe), "--budget", f"{budget:g}s"]
    others: list[subprocess.Popen[bytes]] = []

    def disturb() -> None:
        others.extend(subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(busy))

    timer = threading.Timer(budget / 2, disturb)
    began = time.monotonic()
    timer.start()
    try:
        done = subprocess.run(
            [*command, "--json"], cwd=place, capture_output=True, text=True, check=False
        )
        took = time.monotonic() - began
    finally:
        timer.cancel()
        for other in others:
            other.kill()
            other.wait()
    if done.returncode:
        raise SystemExit(done.stderr)
    facts = json.loads(done.stdout)
    return {"took": took, **facts}


def line(name: str, budget: float, busy: int, found: dict) -> str:
    """One row of the table."""
    stages = found["time"]["stages"]
    scores = found["scores"]
    left = budget - found["took"]
    kept = f"{left:+.1f} s ({left / budget:+.0%})"
    parts = " | ".join(f"{stages.get(stage, 0.0):.1f}" for stage in STAGES)
    score = f"{scores['primary']} {scores[scores['primary']]:.3f}"
    spent = f"{found['took']:.1f} | {kept} | {parts}"
    return f"| {name} | {busy} | {budget:g} | {spent} | {found['model']} | {score} |"


def main() -> None:
    """Prints the table; a first run that is not shown lets the machine's habits be known."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seconds", nargs="*", type=float, default=[30.0, 60.0, 120.0])
    parser.add_argument("--set", default="digits-classification")
    parser.add_argument("--busy", type=int, default=0)
    parser.add_argument("--cold", action="store_true", help="nothing is learnt beforehand")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="automl-budget-") as folder:
        place = Path(folder)
        os.environ["AUTOML_CACHE"] = str(place / "cache")
        subprocess.run(
            [sys.executable, "-m", "automl", "sample", asked.set, str(place / asked.set)],
            check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start")
        print(f"| set | busy | promised | spent | unused | {' | '.join(STAGES)} | model | score |")
        print("|---" * (7 + len(STAGES)) + "|")
        if not asked.cold:
            measure(asked.set, 25.0, 0, place)
        for budget in asked.seconds:
            found = measure(asked.set, budget, asked.busy, place)
            print(line(asked.set, budget, asked.busy, found), flush=True)


if __name__ == "__main__":
    main()
