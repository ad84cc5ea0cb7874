import os
import signal

import pytest

from automl.engines.stop_reasons import interrupted, is_out_of_memory, not_finite
from automl.errors import Interrupted
from automl.signals import watch


@pytest.mark.parametrize(
    ("finished", "kept"),
    [
        (0, "nothing to save yet"),
        (1, "1 finished epoch is saved"),
        (3, "3 finished epochs are saved"),
    ],
)
def test_interrupted__says_what_is_kept(finished, kept):
    def stopped() -> None:
        with watch() as stop:
            os.kill(os.getpid(), signal.SIGUSR1)
            raise interrupted(stop, finished)

    with pytest.raises(Interrupted) as caught:
        stopped()
    error = caught.value
    assert (str(error), error.exit_code) == (f"stopped by SIGUSR1; {kept}", 75)


@pytest.mark.parametrize(
    ("text", "lacks"),
    [
        ("CUDA out of memory. Tried to allocate 20.00 MiB", True),
        ("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory", True),
        ("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`", True),
        ("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`", True),
        ("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED", True),
        ("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR", True),
        ("Unable to find an engine to execute this computation", True),
        ("CUDA error: CUBLAS_STATUS_INVALID_VALUE when calling `cublasSgemm`", False),
        ("CUDA error: device-side assert triggered", False),
        ("mat1 and mat2 shapes cannot be multiplied", False),
    ],
)
def test_out_of_memory__as_the_libraries_say_it(text, lacks):
    assert is_out_of_memory(RuntimeError(text)) is lacks


def test_not_finite__names_step_place_and_cure():
    error = not_finite(2, 5, 3e-3, where="a.png, b.png")
    fault = error.faults[0]
    assert fault.message.endswith("epoch 2, step 5")
    assert fault.where == "a.png, b.png"
    assert "`--set train.lr=0.0003`" in fault.hint
