from dataclasses import replace
from pathlib import Path

import pytest

from automl.errors import MachineError
from automl.planning.backbones import find
from automl.planning.cost import NOMINAL_CORE, seconds_per_image, steady_gflops
from automl.planning.hardware import (
    Hardware,
    asked_threads,
    cores,
    cpu_memory,
    memory_limits,
    probe,
    used_threads,
)


def test_probe__cpu_has_cores_memory_and_a_speed():
    found = probe("cpu")
    assert (found.device, found.bf16, found.cores) == ("cpu", False, cores())
    assert found.memory_bytes > 2**28
    assert 0.1 < found.gflops < 1e5
    assert found.name


@pytest.mark.parametrize("device", ["cuda:97", "tpu", "cuda:x"])
def test_probe__device_that_is_not_there_is_named_with_those_that_are(device):
    with pytest.raises(MachineError, match=device) as caught:
        probe(device)
    assert "cpu" in caught.value.faults[0].hint
    assert caught.value.exit_code == 3


def test_cpu_memory__control_group_limits_it(tmp_path: Path):
    limit = tmp_path / "memory.max"
    whole = cpu_memory((limit,))
    limit.write_text("max\n")
    assert cpu_memory((limit,)) == whole
    limit.write_text("1073741824\n")
    assert cpu_memory((limit,)) == 2**30


def test_memory_limits__of_the_group_and_of_all_above(tmp_path: Path):
    groups, of_this = tmp_path / "groups", tmp_path / "cgroup"
    (groups / "a" / "b").mkdir(parents=True)
    (groups / "memory" / "c").mkdir(parents=True)
    of_this.write_text("4:memory:/c\n1:cpu:/else\n0::/a/b\n")
    whole = cpu_memory(memory_limits(groups, of_this))
    (groups / "a" / "b" / "memory.max").write_text("max\n")
    (groups / "a" / "memory.max").write_text("1073741824\n")
    assert cpu_memory(memory_limits(groups, of_this)) == 2**30
    (groups / "memory" / "c" / "memory.limit_in_bytes").write_text("536870912\n")
    assert cpu_memory(memory_limits(groups, of_this)) == 2**29
    assert cpu_memory(memory_limits(tmp_path / "none", tmp_path / "none")) == whole


def machine(gflops: float) -> Hardware:
    return Hardware("cpu", "", 2**33, 2, bf16=False, gflops=gflops)


def test_steady_gflops__busy_machine_plans_as_an_idle_one():
    nominal = NOMINAL_CORE * 2**0.9
    assert {steady_gflops(machine(g)) for g in (110, 180, 265, 600)} == {nominal}
    assert steady_gflops(machine(10_000)) > 7 * nominal
    assert steady_gflops(machine(0.0)) > 0


def test_steady_gflops__a_core_that_is_not_to_compute_does_not_count():
    """Else one thread of two cores looks like a machine eight times slower."""
    assert steady_gflops(replace(machine(70), threads=1)) == NOMINAL_CORE
    assert steady_gflops(replace(machine(70), cores=1)) == NOMINAL_CORE


def test_seconds_per_image__grows_with_pixels_and_agrees_with_a_measured_step():
    row = find("efficientnet_lite0", "classification")
    # 18 images/s at 224 px were measured where the probe says 265.
    assert 1 / seconds_per_image(row, (224, 224), "cpu", 265.0) == pytest.approx(18, rel=0.2)
    assert 1 / seconds_per_image(row, (64, 64), "cpu", 265.0) == pytest.approx(125, rel=0.25)


def test_probe__leaves_torch_with_the_threads_it_had():
    import torch

    before = torch.get_num_threads()
    probe("cpu")
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(
    ("text", "granted"), [("max 100000", 64), ("150000 100000", 1), ("400000 100000", 4)]
)
def test_cores__no_more_than_a_container_grants(tmp_path, monkeypatch, text, granted):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(64)), raising=False)
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    new, old, of_this = tmp_path / "new", tmp_path / "old", tmp_path / "of_this"
    of_this.write_text("4:cpu,cpuacct:/job\n0::/slice/job\n")
    (new / "slice" / "job").mkdir(parents=True)
    (new / "slice" / "job" / "cpu.max").write_text(f"{text}\n")
    assert cores(new, of_this) == granted
    (old / "cpu" / "job").mkdir(parents=True)
    quota, period = text.replace("max", "-1").split()
    (old / "cpu" / "job" / "cpu.cfs_quota_us").write_text(f"{quota}\n")
    (old / "cpu" / "job" / "cpu.cfs_period_us").write_text(f"{period}\n")
    assert cores(old, of_this) == granted


def test_cores__are_shared_by_the_processes_of_torchrun(monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    assert cores(Path("none"), Path("none")) == 8, "somebody else has set it"
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    assert cores(Path("none"), Path("none")) == 2


@pytest.mark.parametrize(("asked", "used"), [("1", 1), ("2", 2), ("64", 4), ("", 4)])
def test_used_threads__compute_on_the_cores_there_are(monkeypatch, asked, used):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(4)), raising=False)
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", asked)
    assert used_threads() == min(used, cores())


@pytest.mark.parametrize(
    ("set_to", "found"), [("3", 3), ("4,2", 4), ("", None), ("many", None), ("0", None)]
)
def test_asked_threads__are_those_of_openmp(monkeypatch, set_to, found):
    monkeypatch.setenv("OMP_NUM_THREADS", set_to)
    assert asked_threads() == found
