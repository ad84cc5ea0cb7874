"""Tiny trainings in processes of their own, forked from one that has imported torch, to be killed.

The fault is planted in the child alone: it counts the system calls of its saves, or dies at one.
"""

import hashlib
import json
import math
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import set_start_method
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import torch

from automl.dataset import Dataset, Task
from automl.engines import checkpoint as checkpoints
from automl.engines import native, progress
from automl.epoch_log import log_event, score_epoch
from automl.errors import AutomlError
from automl.record import journal
from automl.run_dir import RunDir
from automl.talk import Silent
from tests.engines.toy import draw_set, toy_plan
from tests.faults.forked import PRELOADED, forkserver

forkserver.set_forkserver_preload([*PRELOADED, "tests.faults.warm"])
EPOCHS = 3
CALLS = ("write", "fsync", "rename", "mkdir", "unlink", "rmdir")
"""What a save asks the system for; `Path` and `shutil` call them by these names."""
MODELS: dict[Task, str] = {
    "classification": "test_resnet",
    "segmentation": "fpn-test_resnet",
    "detection": "fcos-test_resnet",
}


@dataclass(frozen=True)
class Job:
    """One training in `folder`; the data lies beside it. `save_every_s` as in `progress`."""

    folder: Path
    task: Task
    workers: int = 0
    save_every_s: float = 600.0
    train: tuple[tuple[str, Any], ...] = ()

    @property
    def run(self) -> RunDir:
        return RunDir(self.folder)


def data_for(task: Task, folder: Path) -> None:
    """Draws the set once, with its index beside it."""
    draw_set(task, folder / "data", train=12, val=4).write(folder / "dataset.json")


def train(job: Job) -> None:
    """What `pipeline.train` does, less the provenance; exits as the program does."""
    set_start_method("fork", force=True)  # what a fresh process has, for its own workers
    torch.set_num_threads(1)
    progress.SAVE_EVERY_S = job.save_every_s
    progress.MOST_SHARE = math.inf  # each epoch has its checkpoint, short as it is
    dataset = Dataset.read(job.folder.parent / "dataset.json")
    settings = {"epochs": EPOCHS, "batch_size": 4, "micro_batch": 4, **dict(job.train)}
    plan = toy_plan(job.task, dataset, workers=job.workers, **settings)
    plan = plan.model_copy(update={"model": MODELS[job.task]})
    run = job.run
    journal.Journal(run.journal).write("start", anew=not run.journal.exists())
    try:
        native.train(
            plan,
            dataset,
            run,
            lambda epoch: score_epoch(epoch, plan, dataset, run, Silent()),
            lambda *_: None,
            lambda event: log_event(event, run, Silent()),
        )
    except AutomlError as error:
        sys.exit(error.exit_code)


def counted(job: Job, save: int, calls: Any) -> None:
    """Trains, and counts the system calls of one save into the shared `calls`."""
    _at_calls_of_save(save, lambda _name, _work: setattr(calls, "value", calls.value + 1))
    train(job)


def killed_at(job: Job, save: int, call: int, half: bool) -> None:
    """Trains, and dies of SIGKILL right before a system call of a save, or halfway through it."""
    left = [call]

    def at(name: str, work: Callable[[], Any]) -> None:
        left[0] -= 1
        if left[0] == 0:
            if half:
                with suppress(OSError):
                    work()
            os.kill(os.getpid(), signal.SIGKILL)

    _at_calls_of_save(save, at)
    train(job)


def watched(job: Job, saving: Any, saves: Any, started: Any) -> None:
    """Trains, and shows in shared memory whether it is inside of a save and of which one."""
    save = checkpoints.save

    def shown(*arguments: Any) -> None:
        saves.value, saving.value = saves.value + 1, 1
        save(*arguments)
        saving.value = 0

    checkpoints.save = shown
    started.value = time.time()
    train(job)


def _at_calls_of_save(number: int, at: Callable[[str, Callable[[], Any]], None]) -> None:
    """`at` is called before each system call of this save, with what does half of the call."""
    save, seen = checkpoints.save, [0]

    def counted_save(*arguments: Any) -> None:
        seen[0] += 1
        if seen[0] != number:
            save(*arguments)
            return
        real = {name: getattr(os, name) for name in CALLS}
        for name in CALLS:
            setattr(os, name, _told(name, real[name], at))
        try:
            save(*arguments)
        finally:
            for name in CALLS:
                setattr(os, name, real[name])

    checkpoints.save = counted_save


def _told(name: str, call: Callable[..., Any], at: Callable[..., None]) -> Callable[..., Any]:
    def instead(*arguments: Any, **named: Any) -> Any:
        def half() -> None:
            if name == "write":
                descriptor, data = arguments
                call(descriptor, data[: len(data) // 2])
            else:
                call(*arguments, **named)

        at(name, half)
        return call(*arguments, **named)

    return instead


def process(target: Callable[..., None], *arguments: Any) -> ForkServerProcess:
    """The function in a fresh child."""
    child = forkserver.Process(target=target, args=arguments)
    child.start()
    return child


def ended(target: Callable[..., None], *arguments: Any) -> int:
    """The same, waited for; its exit code, below zero for a signal."""
    child = process(target, *arguments)
    child.join(120)
    code = child.exitcode
    assert code is not None, "it hangs"
    child.close()
    return code


@dataclass(frozen=True)
class Result:
    """All that must be equal: tensors and facts of the last checkpoint, bundle, metric history."""

    tensors: str
    facts: str
    bundle: str
    history: str


def result(run: RunDir) -> Result:
    """What a finished training has left, less times of day and durations."""
    found = checkpoints.newest(run.checkpoints)
    assert found is not None
    assert found.epoch == EPOCHS
    digest = hashlib.sha256()
    for part in ("model", "averaged", "optimiser", "best"):
        for name, tensor in sorted(found.tensors[part].items()):
            digest.update(f"{part} {name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.contiguous().numpy().tobytes())
    facts = {k: v for k, v in found.facts.items() if k not in ("seconds", "epoch_seconds")}
    weights = (run.model / "weights.safetensors").read_bytes()
    return Result(
        digest.hexdigest(),
        json.dumps(facts, sort_keys=True),
        hashlib.sha256(weights).hexdigest(),
        json.dumps(history(run), sort_keys=True),
    )


def history(run: RunDir) -> list[dict[str, Any]]:
    """Every line of an epoch as it stands in the journal, twice if it is there twice."""
    events = [e for e in journal.read(run.journal) if e["event"] == "epoch"]
    return [{k: v for k, v in e.items() if k not in ("time", "seconds")} for e in events]
