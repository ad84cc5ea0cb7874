import numpy as np
import pytest

from automl.engines.randomness import batches, epoch_order, micro_batches, seed_for


def test_seed_for__every_argument_matters() -> None:
    seeds = {
        seed_for(0, "augment", 0, 0),
        seed_for(1, "augment", 0, 0),
        seed_for(0, "order", 0, 0),
        seed_for(0, "augment", 1, 0),
        seed_for(0, "augment", 0, 1),
    }
    assert len(seeds) == 5
    assert seed_for(3, "augment", 7, 9) == seed_for(3, "augment", 7, 9)


def test_epoch_order__is_a_permutation_that_changes_with_the_epoch() -> None:
    first, second = epoch_order(0, 0, 50), epoch_order(0, 1, 50)
    assert sorted(first) == sorted(second) == list(range(50))
    assert (first != second).any()
    assert (first == epoch_order(0, 0, 50)).all()


@pytest.mark.parametrize(("count", "size"), [(33, 32), (64, 32), (5, 8), (245, 16), (1, 4)])
def test_batches__are_even_and_complete(count: int, size: int) -> None:
    made = batches(np.arange(count), size)
    lengths = [len(b) for b in made]
    assert np.concatenate(made).tolist() == list(range(count))
    assert max(lengths) <= size
    assert max(lengths) - min(lengths) <= 1


def test_micro_batches__two_processes_see_what_one_sees() -> None:
    batch = np.arange(16)
    one = micro_batches(batch, size=4, processes=1)
    two = micro_batches(batch, size=4, processes=2)
    alone = [piece.tolist() for piece in one[0]]
    together = [piece.tolist() for pair in zip(*two, strict=True) for piece in pair]
    assert alone == together


@pytest.mark.parametrize(
    ("count", "size", "processes"), [(9, 1, 2), (5, 1, 4), (7, 2, 3), (4, 4, 4)]
)
def test_micro_batches__none_is_empty_however_many_processes(count, size, processes) -> None:
    shares = micro_batches(np.arange(count), size, processes)
    pieces = [piece for share in shares for piece in share]
    assert sorted(np.concatenate(pieces)) == list(range(count))
    assert all(1 <= len(piece) <= size for piece in pieces)
    assert all(shares)
