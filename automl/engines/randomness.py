"""Randomness as a function: a seed from (seed, purpose, counters), the same at every call."""

from hashlib import blake2b

import numpy as np


def seed_for(seed: int, purpose: str, *counters: int) -> int:
    """A 32-bit seed that depends on all arguments and on nothing else."""
    text = repr((seed, purpose, counters)).encode()
    return int.from_bytes(blake2b(text, digest_size=4).digest(), "big")


def epoch_order(seed: int, epoch: int, count: int) -> np.ndarray:
    """The order in which `count` samples are visited in an epoch, `int64 [count]`."""
    return np.random.default_rng(seed_for(seed, "order", epoch)).permutation(count)


def batches(order: np.ndarray, batch_size: int) -> list[np.ndarray]:
    """Splits an order into batches whose sizes differ by at most one and exceed no `batch_size`.

    Even batches avoid a last batch of one image, on which batch normalisation fails.
    """
    return np.array_split(order, -(-len(order) // batch_size))


def micro_batches(batch: np.ndarray, size: int, processes: int) -> list[list[np.ndarray]]:
    """For each process the micro-batches of one optimiser step, of at most `size` images.

    None is empty: where single images do not go round evenly, some processes have one fewer.
    """
    rounds = -(-len(batch) // (size * processes))
    pieces = np.array_split(batch, min(rounds * processes, len(batch)))
    return [pieces[rank::processes] for rank in range(processes)]
