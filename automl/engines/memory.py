"""Memory of the training process on a CPU: freed blocks are kept for the next step."""

import ctypes

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
LARGEST = 1 << 30


def keep_freed_memory() -> bool:
    """Tells glibc to reuse large freed blocks; False where there is no glibc to tell.

    By default each activation of a step is mapped anew, zeroed by the kernel and given back: a
    quarter of the CPU time of a training step of EfficientNet-Lite0 at 224 px.
    `python benchmarks/memory.py` measures it.
    """
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, LARGEST) and mallopt(M_TRIM_THRESHOLD, LARGEST))
