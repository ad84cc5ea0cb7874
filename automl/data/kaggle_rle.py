"""Masks as tables of Kaggle hold them: pairs of start and length in text, down the columns from 1.

Such text says nothing of the size of its image, and nothing of the way that it counts.
"""

from collections.abc import Sequence

import numpy as np

NOTHING = ("", "-1", "nan", "none", "null")
"""What stands in a table where an image has no mask."""

ALIKE = 0.05
"""Share of a side by which width and height differ at least: edges that slant are not told else."""

SLANT = 0.1
"""Share of a line by which a run may begin before or after the one beside it."""


def lengths(text: str, size: tuple[int, int]) -> list[int]:
    """Run lengths as COCO counts them, zeros first; ValueError where it is no mask of this size."""
    height, width = size
    starts, long = pairs(text)
    ends = starts + long
    if (starts[1:] < ends[:-1]).any():
        raise ValueError("run lengths go back: starts of pixels are to be in ascending order")
    if ends[-1] > height * width + 1:
        last = int(ends[-1]) - 1
        raise ValueError(f"run lengths reach pixel {last} of {height * width}")
    apart = starts[1:] > ends[:-1]  # at the foot of a column a run may go on in the next one
    starts, ends = starts[np.append(True, apart)], ends[np.append(apart, True)]
    found: list[int] = np.diff(np.column_stack([starts, ends]).ravel(), prepend=1).tolist()
    rest = height * width + 1 - int(ends[-1])
    return [*found, rest] if rest else found


def pairs(text: str) -> tuple[np.ndarray, np.ndarray]:
    """Starts, counted from 1, and lengths; ValueError where the text is anything else."""
    words = text.replace(",", " ").split()
    if not words or len(words) % 2 or not all(w.isdecimal() and len(w) < 11 for w in words):
        raise ValueError(f"run lengths are pairs of start and length, not: {text[:40]}")
    numbers = np.array(words, np.int64)
    if numbers.min() < 1:
        raise ValueError("run lengths count pixels from 1, and none is empty")
    return numbers[0::2], numbers[1::2]


def goes_along_rows(texts: Sequence[str], size: tuple[int, int]) -> tuple[int, int]:
    """Masks that seem to count along rows, and masks that tell: neighbouring runs are a line apart.

    In an image that is square, or nearly so, nothing tells.
    """
    height, width = size
    near = abs(height - width) / 2
    votes = []
    for text in texts if near * 2 > ALIKE * max(size) else ():
        apart = np.diff(pairs(text)[0])
        rows, columns = (
            int((abs(apart - n) < min(near, SLANT * n)).sum()) for n in (width, height)
        )
        if rows + columns > 1:
            votes.append(rows > columns)
    return sum(votes), len(votes)
