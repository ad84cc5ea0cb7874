"""Scores of resampled images in, 95 % intervals out: the percentile bootstrap with one fixed draw.

The unit is the image, since objects and pixels of one image are not independent. Where every draw
gives the same value, as with a perfect score, the bootstrap says nothing and there is no interval,
except for a share of images, whose Wilson interval needs no spread.
"""

from collections.abc import Iterator
from math import sqrt

import numpy as np

Array = np.ndarray
Interval = tuple[float, float]

REPLICATES = 1000
"""Draws; at 1,000 the ends of an interval move by about a tenth of its width between seeds."""
SEED = 20260
SPREAD = 1e-9
"""Narrower than this are equal draws that were summed in another order."""
Z = 1.959963984540054
"""The 97.5 % quantile of the normal distribution."""
BLOCK = 100
"""Draws at a time, so that 20,000 images take 16 MB."""


def resample(images: int, replicates: int = REPLICATES) -> Iterator[Array]:
    """How often each image was drawn, in blocks of at most 100 draws: float64 [draws, images]."""
    generator = np.random.default_rng(SEED)
    for first in range(0, replicates, BLOCK):
        draws = min(BLOCK, replicates - first)
        drawn = generator.integers(images, size=(draws, images))
        drawn += np.arange(draws)[:, None] * images
        counts = np.bincount(drawn.ravel(), minlength=draws * images)
        yield counts.reshape(draws, images).astype(float)


def resample_cells(counts: Array) -> Array:
    """Images drawn anew, counted by cell: int [draws, cells]; the same law as image by image."""
    total = int(counts.sum())
    return np.random.default_rng(SEED).multinomial(total, counts / total, size=REPLICATES)


def bounds(**drawn: Array) -> dict[str, Interval]:
    """The middle 95 % of each metric's draws; one without a value or without spread is left out."""
    found: dict[str, Interval] = {}
    for name, values in drawn.items():
        known = values[~np.isnan(values)]
        if known.size:
            low, high = np.percentile(known, [2.5, 97.5])
            if high - low > SPREAD:
                found[name] = (float(low), float(high))
    return found


def wilson(hits: int, images: int) -> Interval:
    """The score interval of a share (Wilson 1927), which holds at 0 and 1 as well."""
    share, z2 = hits / images, Z * Z
    middle = (share + z2 / (2 * images)) / (1 + z2 / images)
    half = Z * sqrt(share * (1 - share) / images + z2 / (4 * images**2)) / (1 + z2 / images)
    return max(0.0, middle - half), min(1.0, middle + half)
