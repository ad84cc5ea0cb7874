"""Whatever the data and the machine, a plan is complete, valid and explained."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from automl.dataset import Profile
from automl.plan import Plan
from automl.plan_text import leaves
from automl.planning.backbones import TABLE, Backbone, find
from automl.planning.hardware import Hardware
from tests.planning.situations import CPU, GPU, everything, lite0_only, nothing, plan_for, profile

TASKS = ("classification", "segmentation", "detection")
MACHINES = (
    CPU,
    replace(CPU, cores=64, gflops=6000.0, memory_bytes=2**38),
    replace(CPU, cores=1, gflops=0.5, memory_bytes=2**29),
    GPU,
    Hardware("mps", "Apple GPU", 2**34, 8, bf16=False, gflops=3000.0),
    replace(GPU, name="", bf16=False, gflops=2000.0, memory_bytes=4 * 2**30),
)
SIZES = ((8, 8), (64, 48), (500, 375), (4000, 200), (33, 1000), (6000, 6000), (1, 1))
COUNTS = (1, 2, 7, 160, 3000, 1_200_000)
LICENCES = {"Apache-2.0", "BSD-3-Clause", "MIT", "AGPL-3.0", "CC-BY-NC-4.0"}


def situations(task: Any) -> Iterator[tuple[Profile, Hardware]]:
    """Many profiles, each on a machine; sizes and counts meet all machines in turn."""
    for number, ((width, height), count, classes) in enumerate(
        product(SIZES, COUNTS, (1, 2, 1000))
    ):
        size = None if task == "classification" else (0.001, 0.05, 0.9)
        yield (
            profile(
                task,
                images={"train": count, "val": count // 5},
                classes=classes,
                class_counts={f"c{i}": 1 for i in range(classes)},
                balance=0.0 if number % 2 else 1.0,
                width=width,
                height=height,
                object_size=size if number % 3 else None,
            ),
            MACHINES[number % len(MACHINES)],
        )


def judge(plan: Plan, of: Profile) -> None:
    """Every leaf has a reason, nothing else has one, and the numbers fit each other."""
    keys = {key for key, _value in leaves(plan)}
    assert keys == plan.reasons.keys()
    assert all(reason.because.strip() for reason in plan.reasons.values())
    train = plan.train
    assert 1 <= train.batch_size <= of.images["train"]
    assert train.batch_size % train.micro_batch == 0
    assert train.warmup_epochs <= train.epochs
    assert train.threads >= 1
    if plan.task != "classification":
        assert all(side % 32 == 0 for side in (*train.image_size, *train.crop))
    assert all(c <= s for c, s in zip(train.crop, train.image_size, strict=True))
    assert (train.precision == "bf16") <= plan.device.startswith("cuda")


@pytest.fixture(autouse=True)
def small_index(monkeypatch: pytest.MonkeyPatch) -> None:
    """An index of a million samples that says so without holding them."""
    from automl.dataset import Dataset
    from tests.planning import situations as toys

    class Counted(Dataset):
        def counts(self) -> dict[str, int]:
            return dict(self.samples)  # type: ignore[arg-type]

    def index(of: Profile) -> Dataset:
        pairs: Any = tuple((name, n) for name, n in of.images.items() if n)
        return Counted(of.task, "data", "folders", (), pairs, "digest")

    monkeypatch.setattr(toys, "dataset", index)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("at_hand", [lite0_only, nothing, everything])
def test_make_plan__any_profile_on_any_machine(task: Any, at_hand: Any) -> None:
    number = 0
    for of, hardware in situations(task):
        number += 1
        effort = ("quick", "standard", "thorough")[number % 3]
        judge(plan_for(of, hardware, at_hand, effort=effort), of)
        judge(plan_for(of, hardware, at_hand, smoke=True), of)
    assert number == len(SIZES) * len(COUNTS) * 3


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.task}-{row.name}")
def test_make_plan__every_row_can_be_named(row: Backbone, tmp_path: Any) -> None:
    of = profile(row.task)
    for smoke in (False, True):
        plan = plan_for(of, GPU, everything, smoke=smoke, model=row.name, licence="any")
        judge(plan, of)
        assert (plan.model, plan.engine) == (row.name, row.engine)
    plan.write(tmp_path / "plan.yaml")
    assert Plan.read(tmp_path / "plan.yaml") == plan


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.task}-{row.name}")
def test_table__facts_are_there(row: Backbone) -> None:
    assert find(row.name, row.task) is row
    assert row.parameters > 0
    assert row.gflops > 0
    assert row.activations > 0
    assert 0 <= row.published < 100
    assert row.for_tests or row.published > 0
    assert {row.licence, row.weights_licence} <= LICENCES
    assert row.image_size >= 160


def test_table__names_are_unique_and_many() -> None:
    names = [(row.task, row.name) for row in TABLE]
    assert len(set(names)) == len(names) >= 40
