"""Results of a stream of items in their order, while other threads work on the next few."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from automl.data.decoders import cores

T = TypeVar("T")
R = TypeVar("R")

MOST_THREADS = 8
"""So many decode faster than one process asks for images, and hold few of them in memory."""


def ahead(work: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """`work` of each item; what it raises comes where its result would. For work without the GIL.

    At most two results a thread are waiting.
    """
    threads = min(MOST_THREADS, cores())
    waiting: deque[Future[R]] = deque()
    with ThreadPoolExecutor(threads, "ahead") as pool:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
