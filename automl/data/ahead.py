"""Results of a stream of items in their order, while other threads work on the next few."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from automl.data.decoders import cores
from automl.dataset import Sample

T = TypeVar("T")
R = TypeVar("R")

MOST_THREADS = 8
"""So many decode faster than one process asks for images."""
ROOM = 600_000_000
"""Bytes of decoded images that are there at the same time."""


def ahead(work: Callable[[T], R], items: Iterable[T], bytes_each: int = 0) -> Iterator[R]:
    """`work` of each item; what it raises comes where its result would. For work without the GIL.

    At most two results a thread are waiting, of `bytes_each` together with what makes them; none
    where they are so large that two would be too many.
    """
    room = ROOM // bytes_each if bytes_each else 2 * MOST_THREADS
    threads = min(MOST_THREADS, cores(), room // 2)
    if threads < 1:
        yield from map(work, items)
        return
    waiting: deque[Future[R]] = deque()
    with ThreadPoolExecutor(threads, "ahead") as pool:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def decoded_bytes(samples: Iterable[Sample]) -> int:
    """Of the largest image, and of what its decoder holds beside it."""
    return max((2 * 3 * sample.width * sample.height for sample in samples), default=0)
