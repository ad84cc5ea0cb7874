"""Threads that work ahead: the order stays, errors come in their place, little waits."""

import threading

import pytest

from automl.data import ahead as module
from automl.data.ahead import ahead
from automl.dataset import Sample


@pytest.fixture(autouse=True)
def two_threads(monkeypatch):
    monkeypatch.setattr(module, "cores", lambda: 2)


def test_ahead__keeps_the_order_whoever_is_first():
    second = threading.Event()

    def work(item):
        if item == 0:
            assert second.wait(10), "the next item is worked on meanwhile"
        if item == 1:
            second.set()
        return item * item

    assert list(ahead(work, range(20))) == [n * n for n in range(20)]


def test_ahead__an_error_comes_where_its_result_would():
    def work(item):
        if item == 5:
            raise ValueError("five")
        return item

    taken = []
    with pytest.raises(ValueError, match="five"):
        taken += ahead(work, range(9))
    found = ahead(work, range(9))
    assert [next(found) for _ in range(5)] == list(range(5))
    with pytest.raises(ValueError, match="five"):
        next(found)


def test_ahead__no_more_than_two_results_a_thread_wait():
    asked = []
    found = ahead(lambda item: item, (asked.append(n) or n for n in range(1000)))
    assert next(found) == 0
    assert len(asked) == 5
    found.close()
    assert len(asked) == 5
    assert not any(thread.name.startswith("ahead") for thread in threading.enumerate())


def test_ahead__images_that_fill_the_room_come_one_by_one():
    asked = []
    found = ahead(lambda item: item, (asked.append(n) or n for n in range(9)), module.ROOM // 2 + 1)
    assert next(found) == 0
    assert asked == [0]
    assert list(found) == list(range(1, 9))


def test_decoded_bytes__are_those_of_the_largest():
    samples = [Sample("a", "train", 10, 20, ""), Sample("b", "train", 300, 2, "")]
    assert module.decoded_bytes(samples) == 2 * 3 * 600
    assert module.decoded_bytes([]) == 0
