"""Freed memory of the process on a CPU: kept for the next step, or given back to the system."""

import ctypes
from collections.abc import Callable

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
LARGEST, USUAL = 1 << 30, 1 << 17


def keep_freed_memory() -> bool:
    """Tells glibc to reuse large freed blocks; False where there is no glibc to tell.

    By default each activation of a step is mapped anew, zeroed by the kernel and given back: a
    quarter of the CPU time of a training step of EfficientNet-Lite0 at 224 px.
    `python benchmarks/memory.py` measures it.
    """
    return _map_blocks_from(LARGEST)


def give_back_freed_memory() -> None:
    """Hands freed blocks back to the system, after work that is not repeated at once."""
    _map_blocks_from(USUAL)
    trim = _of_glibc("malloc_trim")
    if trim is not None:
        trim(0)


def _map_blocks_from(size: int) -> bool:
    """Those of so many bytes and more are mapped, and so given back as soon as they are freed."""
    mallopt = _of_glibc("mallopt")
    if mallopt is None:
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, size) and mallopt(M_TRIM_THRESHOLD, size))


def _of_glibc(name: str) -> Callable[..., int] | None:
    try:
        found: Callable[..., int] = getattr(ctypes.CDLL("libc.so.6"), name)
    except (OSError, AttributeError):
        return None
    return found
