"""What starting costs, as ratios: small verbs over a bare Typer program, a run over its imports.

python benchmarks/startup.py [--rounds 7] [--first-step-rounds 3]

CPU seconds of the process tree, median of interleaved rounds; byte code is compiled beforehand
into a folder of its own. The first step is that of `automl run` on 60 images of 28 px, with the
backbone efficientnet_lite0 at 64 px: from the command to the end of the loop's first optimiser
step, without the instant answer before it.
"""

import argparse
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

BARE = """
import typer
app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)
@app.command()
def first(number: int = 1) -> None:
    "One verb."
@app.command()
def second(number: int = 1) -> None:
    "Another."
app()
"""
UNTIL_FIRST_STEP = """
import importlib.abc, os, resource, sys
def left(optimiser, *_):
    if type(optimiser).__name__ != "LBFGS":  # which fits the head of the instant answer
        os._exit(0)
class Watch(importlib.abc.MetaPathFinder):
    "Hooks into torch when the program comes to its own optimiser."
    def find_spec(self, name, path=None, target=None):
        if name == "automl.engines.optimiser":
            from torch.optim.optimizer import register_optimizer_step_post_hook
            register_optimizer_step_post_hook(left)
sys.meta_path.insert(0, Watch())
from automl.cli import main
main()
"""
BROKEN = "task: classification\ndata: x\nmodle: auto\ntrain: {epochs: many}\n"
RECIPE = (
    "task: classification\ndata: small\nmodel: efficientnet_lite0\n"
    "train: {epochs: 1, image_size: 64, instant: none}\ntrack: {mlflow: off, dvc: off}\n"
)
SMALL = {
    "bare Typer, `--help`": (1.0, ["bare.py", "--help"]),
    "`automl --help`": (1.6, ["-m", "automl", "--help"]),
    "`automl --version`": (1.6, ["-m", "automl", "--version"]),
    "`automl models`": (1.6, ["-m", "automl", "models"]),
    "completion of `automl run --bud`": (1.6, ["-m", "automl", "run", "--bud"]),
    "a recipe with two faults": (3.0, ["-m", "automl", "run", "broken.yaml"]),
}
FIRST = {
    "import torch, timm": (1.0, ["-c", "import torch, timm"]),
    "first step, scan cache warm": (1.3, ["first.py", "run", "recipe.yaml", "--device", "cpu"]),
    "first step, scan cache cold": (1.3, ["first.py", "run", "recipe.yaml", "--device", "cpu"]),
}


def seconds(arguments: list[str], folder: Path, **more: str) -> float:
    """CPU seconds of a command and its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, **more},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def told(label: str, folder: Path) -> dict[str, str]:
    """What a case finds in its environment."""
    shell = {"_AUTOML_COMPLETE": "bash"} if label.startswith("completion") else {}
    fresh = tempfile.mkdtemp(dir=folder) if label.endswith("cold") else str(folder / "cache")
    return {
        **shell,
        "XDG_CACHE_HOME": fresh,
        "PYTHONPYCACHEPREFIX": str(folder / "bytecode"),
        "PYTHONDONTWRITEBYTECODE": "",
        "PYTHONPATH": str(Path(__file__).parents[1]),
        "OMP_NUM_THREADS": "1",
    }


def table(cases: dict[str, tuple[float, list[str]]], rounds: int, folder: Path) -> None:
    """Prints a line per case; the first is what the others are compared with."""
    took: dict[str, list[float]] = {label: [] for label in cases}
    for number in range(rounds + 1):
        for label, (_, arguments) in cases.items():
            spent = seconds(arguments, folder, **told(label, folder))
            if number:  # the first compiles
                took[label].append(spent)
    first = statistics.median(next(iter(took.values())))
    for label, (limit, _) in cases.items():
        spent = statistics.median(took[label])
        goal = f"  (goal: {limit:g})" if limit > 1 else ""
        print(f"{label:34s} {spent * 1000:7.0f} ms  {spent / first:5.2f}{goal}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--first-step-rounds", type=int, default=3)
    asked = parser.parse_args()
    print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "bare.py").write_text(BARE)
        (folder / "broken.yaml").write_text(BROKEN)
        (folder / "first.py").write_text(UNTIL_FIRST_STEP)
        (folder / "recipe.yaml").write_text(RECIPE)
        if asked.rounds:
            table(SMALL, asked.rounds, folder)
        if asked.first_step_rounds:
            sample = ["-m", "automl", "sample", "digits-classification", "small", "--images", "60"]
            seconds(sample, folder, **told("", folder))
            table(FIRST, asked.first_step_rounds, folder)


if __name__ == "__main__":
    main()
