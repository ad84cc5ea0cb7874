"""Worker processes: they stay from epoch to epoch, and what is said where they cannot go on."""

import multiprocessing
import os
import signal
from threading import Event

import numpy as np
import pytest

from automl.engines import native
from automl.engines.loader import BatchStream, TrainingSamples, _told_of_trouble
from automl.errors import MachineError
from automl.run_dir import RunDir
from tests.engines.toy import draw_set, toy_plan


def at_work() -> set[int]:
    """The child processes of this one, by their numbers."""
    return {child.pid for child in multiprocessing.active_children() if child.pid}


def test_stream__workers_stay_whether_an_epoch_ends_or_is_left(tmp_path):
    dataset = draw_set("classification", tmp_path, train=12, val=2)
    samples = TrainingSamples(toy_plan("classification", dataset, workers=2), dataset)
    order = [np.arange(i, i + 2) for i in range(0, 12, 2)]

    before = at_work()
    with BatchStream(samples, pin=False) as stream:
        next(stream.batches(0, order))  # left after a step, as where the memory ran out
        workers = at_work() - before
        assert len(workers) == 2
        for epoch in (0, 1):
            batches = list(stream.batches(epoch, order[::-1][:5]))
            assert at_work() >= workers
            expected = [samples[epoch, indices] for indices in order[::-1][:5]]
            for batch, wanted in zip(batches, expected, strict=True):
                assert batch.paths == wanted.paths
                assert np.array_equal(batch.images.numpy(), wanted.images.numpy())
        assert at_work() - before == workers
    assert not at_work() & workers, "none is left behind"


@pytest.mark.parametrize("workers", [0, 1])
def test_stream__a_training_that_fails_leaves_no_worker(tmp_path, workers):
    dataset = draw_set("classification", tmp_path / "data", train=12, val=2)
    plan = toy_plan("classification", dataset, workers=workers)
    before, within = at_work(), set()

    def on_epoch(_):
        within.update(at_work() - before)
        raise ValueError("ours")

    with pytest.raises(ValueError, match="ours"):
        native.train(plan, dataset, RunDir(tmp_path / "run"), on_epoch, lambda *_: None)
    assert len(within) == workers
    assert not at_work() & within


def test_stream__a_worker_that_is_killed_is_the_machines_fault_wherever_the_training_is(tmp_path):
    dataset = draw_set("classification", tmp_path / "data", train=12, val=2)
    plan = toy_plan("classification", dataset, workers=2)
    before = at_work()

    def on_epoch(_):
        (first, _) = at_work() - before
        os.kill(first, signal.SIGKILL)
        Event().wait(20)  # in the validation; torch's handler of SIGCHLD raises here
        raise AssertionError("nothing was told")

    with pytest.raises(MachineError, match="worker process .* was killed") as caught:
        native.train(plan, dataset, RunDir(tmp_path / "run"), on_epoch, lambda *_: None)
    assert "train.workers=0" in caught.value.faults[0].hint
    assert at_work() <= before


def failing(text):
    yield "a batch"
    raise RuntimeError(text)


def test_stream__too_little_shared_memory_is_the_machines_fault_with_a_cure():
    told = "unable to allocate shared memory(shm) for file </torch_1>: No space left on device"
    batches = _told_of_trouble(failing(told), 4)
    assert next(batches) == "a batch"
    with pytest.raises(MachineError, match="shared memory .* 4 worker") as caught:
        next(batches)
    assert "--shm-size" in caught.value.faults[0].hint


def test_stream__another_error_stays_what_it_is():
    batches = _told_of_trouble(failing("a worker was killed"), 4)
    next(batches)
    with pytest.raises(RuntimeError, match="a worker was killed"):
        next(batches)
