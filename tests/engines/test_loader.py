"""What the loader says where its worker processes cannot hand their batches over."""

import pytest

from automl.engines.loader import _told_of_shared_memory
from automl.errors import MachineError


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
