"""A run folder that is ready to be trained in a second or two: drawn data, a tiny net's plan."""

from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from automl.data.digest import digest_of
from automl.dataset import Dataset, Profile, Task
from automl.files import write_json
from automl.run_dir import RunDir
from tests.engines.toy import SIDE, draw_set, toy_plan


def planned_run(
    folder: Path, task: Task, name: str = "toy-20260102-030405", **train: Any
) -> RunDir:
    """`folder/runs/NAME` with recipe, index, profile and plan, `folder/data` with the images."""
    dataset = _with_digests(draw_set(task, folder / "data", train=16, val=8))
    run = RunDir(folder / "runs" / name)
    run.root.mkdir(parents=True)
    run.recipe.write_text(f"task: {task}\ndata: {folder / 'data'}\n")
    dataset.write(run.dataset)
    write_json(run.findings, [])
    counts = dict.fromkeys(dataset.names, 8)
    Profile(task, dataset.counts(), len(counts), counts, 1.0, SIDE, SIDE, SIDE, SIDE, 3, 8).write(
        run.profile
    )
    toy_plan(task, dataset, **train).write(run.plan)
    return run


def _with_digests(dataset: Dataset) -> Dataset:
    """The set with the digests of its files, as `prepare` finds them."""
    root = Path(dataset.root)
    samples = tuple(
        replace(
            sample,
            digest=_digest(root / sample.path),
            mask_digest=_digest(root / sample.mask) if sample.mask else None,
        )
        for sample in dataset.samples
    )
    found = replace(dataset, samples=samples)
    return replace(found, digest=digest_of(found))


def _digest(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()
