"""What the native loop adds to a bare training step: its epoch over the same steps by hand.

python benchmarks/step_tax.py [NAME:SIZE ...] [--rounds 5] [--steps 6] [--device cpu]

Both train on synthetic tensors of the same shapes, in turns within one process. The bare loop is
forward, the task's loss, backward and optimiser on float images; ours takes uint8 ones and does all
else: loader, normalisation, clipping, averaged weights, watching the numbers. On a CPU the unit is
the CPU second, which other processes disturb little.
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from automl import pipeline
from automl.data.samples import write_sample
from automl.dataset import Class, Dataset, Sample, Task
from automl.engines import distributed
from automl.engines.divergence import LossMonitor
from automl.engines.loader import Batch, TrainingSamples
from automl.engines.memory import keep_freed_memory
from automl.engines.network import Learner, Network, build_network, loss_settings
from automl.engines.optimiser import build_optimiser
from automl.engines.progress import Checkpointer, Progress
from automl.engines.protocol import ignore_event
from automl.engines.steps import Session, train_epoch
from automl.plan import Plan
from automl.planning.backbones import TABLE
from automl.planning.hardware import probe
from automl.recipe.schema import load_recipe
from automl.run_dir import RunDir
from automl.signals import Stop
from automl.talk import Silent
from automl.tasks.protocol import LossSettings, module

DEFAULT = (
    "efficientnet_lite0:64",
    "efficientnet_lite0:128",
    "resnet18:128",
    "unet-efficientnet_lite0:128",
    "fcos-efficientnet_lite0:192",
)
BATCH = {"classification": 16, "segmentation": 8, "detection": 4}
CLASSES = 10


class Synthetic(TrainingSamples):
    """Always the same batch, so that reading costs nothing."""

    def __init__(self, plan: Plan, dataset: Dataset, images: torch.Tensor, targets: torch.Tensor):
        self.plan, self.samples = plan, dataset.split("train")
        self.batch = Batch(images, targets, [s.path for s in self.samples[: len(images)]])

    def __getitem__(self, key: tuple[int, np.ndarray]) -> Batch:
        return self.batch


def task_of(name: str) -> Task:
    """What a model of the table is for."""
    return next(row.task for row in TABLE if row.name == name)


def drawn(task: Task, side: int) -> tuple[torch.Tensor, Any]:
    """Images uint8 and targets of a batch, as the loader gives them."""
    count = BATCH[task]
    images = torch.randint(0, 256, (count, side, side, 3), dtype=torch.uint8).permute(0, 3, 1, 2)
    labels = torch.arange(count) % CLASSES
    if task == "classification":
        return images, labels
    if task == "segmentation":
        return images, torch.randint(0, CLASSES, (count, side, side), dtype=torch.uint8)
    boxes = torch.tensor([[0.1, 0.1, 0.3, 0.4], [0.5, 0.4, 0.9, 0.8], [0.2, 0.6, 0.4, 0.9]]) * side
    return images, [{"boxes": boxes, "labels": label.repeat(3)} for label in labels]


def plan_for(name: str, size: int, device: str, folder: Path) -> Plan:
    """What the rules choose for the built-in digits; only the sizes of this table are set."""
    task = task_of(name)
    (folder / "recipe.yaml").write_text(
        f"task: {task}\ndata: digits\nmodel: {name}\nweights: none\n"
        f"train: {{image_size: {size}, batch_size: {BATCH[task]}, micro_batch: {BATCH[task]}, "
        "ema: 0.99, epochs: 10, threads: 1, workers: 0, class_weights: none}\n"
    )
    write_sample(f"digits-{task}", folder / "digits", images=60)
    run = RunDir(folder / "run")
    recipe = load_recipe(folder / "recipe.yaml")
    pipeline.prepare(recipe, run, Silent())
    return pipeline.plan(recipe, run, Silent(), device=device)


class Ours:
    """The native engine's epoch."""

    def __init__(self, plan: Plan, steps: int, folder: Path) -> None:
        samples = tuple(
            Sample(f"{i}.png", "train", 1, 1, str(i)) for i in range(BATCH[plan.task] * steps)
        )
        classes = tuple(Class(i, str(i)) for i in range(CLASSES))
        dataset = Dataset(plan.task, str(folder), "none", classes, samples, "")
        device = torch.device(plan.device)
        self.network = build_network(plan, dataset, device)
        averaged = self.network.copy()
        optimiser = build_optimiser(self.network.net, self.network.stages, plan.train, device)
        monitor = LossMonitor(self.network.net, plan.train)
        self.progress = Progress(
            self.network, averaged, optimiser, monitor, steps, 10_000 * steps, BATCH[plan.task]
        )
        images, targets = drawn(plan.task, plan.train.image_size[0])
        self.session = Session(
            Synthetic(plan, dataset, images, targets),
            Learner(self.network, loss_settings(plan, dataset, device)),
            distributed.World(), Stop(), Checkpointer(folder, True), lambda *_: None, ignore_event,
        )  # fmt: skip

    def epoch(self) -> None:
        train_epoch(self.session, self.progress)
        self.progress.end_epoch()
        self.progress.step %= 8


class Bare:
    """Forward, backward and optimiser on float tensors that are there."""

    def __init__(self, network: Network, plan: Plan, steps: int) -> None:
        self.network, self.steps = network.copy(), steps
        self.device, self.size = torch.device(plan.device), plan.train.image_size
        fused = self.device.type == "cuda"
        self.optimiser = torch.optim.AdamW(self.network.net.parameters(), lr=1e-3, fused=fused)
        self.loss = module(plan.task).loss
        self.settings = LossSettings(plan.train.label_smoothing, None)
        images, targets = drawn(plan.task, self.size[0])
        moved = Batch(images, targets, []).to(self.device)
        self.images, self.targets = moved.images.float() / 255, moved.targets

    def epoch(self) -> None:
        self.network.net.train()
        for _ in range(self.steps):
            with self.network.autocast(self.device):
                parts = self.loss(self.network.net, self.images, self.targets, self.settings)
            loss = torch.stack(list(parts.values())).sum()
            loss.backward()
            self.optimiser.step()
            self.optimiser.zero_grad(set_to_none=True)
        loss.item()


def seconds(loop: "Ours | Bare", device: str) -> float:
    clock = time.process_time if device == "cpu" else time.perf_counter
    began = clock()
    loop.epoch()
    return clock() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("entries", nargs="*", default=list(DEFAULT), metavar="NAME:SIZE")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--device")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    hardware = probe(asked.device)
    print(f"{hardware.name or hardware.device}, torch {torch.__version__}, batches {BATCH}")
    print(f"{'model':30s} {'bare':>10s} {'ours':>10s}   ours / bare, median of rounds")
    for entry in asked.entries:
        name, _, side = entry.partition(":")
        if name not in {row.name for row in TABLE}:
            sys.exit(f"no model `{name}` in the table")
        with tempfile.TemporaryDirectory() as folder:
            plan = plan_for(name, int(side), hardware.device, Path(folder))
            ours = Ours(plan, asked.steps, Path(folder))
            bare = Bare(ours.network, plan, asked.steps)
            took: dict[str, list[float]] = {"bare": [], "ours": []}
            for number in range(asked.rounds + 1):
                for label, loop in (("bare", bare), ("ours", ours)):
                    spent = seconds(loop, hardware.device)
                    if number:  # the first warms up
                        took[label].append(spent)
        images = BATCH[plan.task] * asked.steps
        ratios = [o / b for o, b in zip(took["ours"], took["bare"], strict=True)]
        print(
            f"{entry:30s} {images / statistics.median(took['bare']):8.1f}/s "
            f"{images / statistics.median(took['ours']):8.1f}/s   {statistics.median(ratios):.3f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
