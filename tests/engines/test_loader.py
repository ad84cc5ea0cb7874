"""Worker processes: they stay from epoch to epoch, and what is said where they cannot go on."""

import gc
import multiprocessing

import numpy as np
import pytest

from automl.engines.loader import BatchStream, TrainingSamples, _told_of_shared_memory
from automl.errors import MachineError
from tests.engines.toy import draw_set, toy_plan


def test_stream__workers_stay_whether_an_epoch_ends_or_is_left(tmp_path):
    dataset = draw_set("classification", tmp_path, train=12, val=2)
    samples = TrainingSamples(toy_plan("classification", dataset, workers=2), dataset)
    stream = BatchStream(samples, pin=False)
    order = [np.arange(i, i + 2) for i in range(0, 12, 2)]

    def at_work() -> set[int | None]:
        return {child.pid for child in multiprocessing.active_children()}

    before = at_work()
    next(stream.batches(0, order))  # left after a step, as where the memory ran out
    workers = at_work() - before
    assert len(workers) == 2
    for epoch in (0, 1):
        batches = list(stream.batches(epoch, order[::-1][:5]))
        assert at_work() - before == workers
        expected = [samples[epoch, indices] for indices in order[::-1][:5]]
        for batch, wanted in zip(batches, expected, strict=True):
            assert batch.paths == wanted.paths
            assert np.array_equal(batch.images.numpy(), wanted.images.numpy())
    del stream
    gc.collect()
    assert at_work() == before, "no worker is left behind"


def failing(text):
    yield "a batch"
    raise RuntimeError(text)


def test_stream__too_little_shared_memory_is_the_machines_fault_with_a_cure():
    told = "unable to allocate shared memory(shm) for file </torch_1>: No space left on device"
    batches = _told_of_shared_memory(failing(told), 4)
    assert next(batches) == "a batch"
    with pytest.raises(MachineError, match="shared memory .* 4 worker") as caught:
        next(batches)
    assert "--shm-size" in caught.value.faults[0].hint


def test_stream__another_error_stays_what_it_is():
    batches = _told_of_shared_memory(failing("a worker was killed"), 4)
    next(batches)
    with pytest.raises(RuntimeError, match="a worker was killed"):
        next(batches)
