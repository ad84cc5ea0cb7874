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


def shards(batch: np.ndarray, micro_batch: int, world: int) -> list[list[np.ndarray]]:
    """The micro-batches of each of `world` processes for one optimiser step."""
    rounds = -(-len(batch) // (micro_batch * world))
    pieces = np.array_split(batch, rounds * world)
    return [pieces[rank::world] for rank in range(world)]
