"""Run lengths of masks as COCO writes them: lists or compressed text, to masks and back."""

from collections.abc import Iterable, Sequence

import numpy as np

from automl.data.reading import Runs

_LONGEST = 7
"""Characters of one number: 5 bits each, so that any image of 2**31 pixels has room."""


def decode(runs: Runs) -> np.ndarray:
    """The mask, bool `[H, W]`; ValueError where the runs do not fill the size."""
    height, width = runs.size
    counts = runs.counts if not isinstance(runs.counts, str) else numbers(runs.counts)
    lengths = np.asarray(counts, np.int64) if len(counts) else np.zeros(0, np.int64)
    if lengths.ndim != 1 or (lengths < 0).any() or (lengths > height * width).any():
        raise ValueError("run lengths are numbers from 0 to the size of the image")
    if int(lengths.sum()) != height * width:
        raise ValueError(f"runs cover {int(lengths.sum())} pixels of {height * width}")
    values = np.arange(len(lengths)) % 2 == 1
    down_the_columns = np.repeat(values, lengths).reshape(width, height)
    return np.ascontiguousarray(down_the_columns.T)


def encode(mask: np.ndarray) -> str:
    """The compressed text of a mask `[H, W]`; it always begins with a run of zeros."""
    return text(lengths(mask))


def lengths(mask: np.ndarray) -> list[int]:
    """Run lengths down the columns, zeros first."""
    flat = np.asarray(mask, bool).flatten(order="F")
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    found: list[int] = np.diff([0, *edges.tolist(), flat.size]).tolist()
    return [0, *found] if flat.size and flat[0] else found


def numbers(compressed: str) -> list[int]:
    """The run lengths in a compressed text: 5 bits a character, from the third on differences."""
    counts: list[int] = []
    value = place = 0
    for character in compressed.encode("ascii", "replace"):
        bits = character - 48
        if not 0 <= bits < 64 or place >= _LONGEST:
            raise ValueError("compressed runs hold a character that none are written with")
        value |= (bits & 0x1F) << 5 * place
        place += 1
        if bits & 0x20:
            continue
        if bits & 0x10:
            value -= 1 << 5 * place
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value = place = 0
    if place:
        raise ValueError("compressed runs end in the middle of a number")
    return counts


def text(counts: Sequence[int]) -> str:
    """Run lengths to their compressed text."""
    return "".join(_characters(counts))


def _characters(counts: Sequence[int]) -> Iterable[str]:
    for i, count in enumerate(counts):
        value = count - counts[i - 2] if i > 2 else count
        while True:
            bits, value = value & 0x1F, value >> 5
            done = value == (-1 if bits & 0x10 else 0)
            yield chr(bits + (0 if done else 0x20) + 48)
            if done:
                break
