"""Run lengths that count along rows all over a set, where they are read down the columns."""

from collections.abc import Sequence

from automl.data.kaggle_rle import goes_along_rows
from automl.data.reading import fatal
from automl.data.scan import Scanned
from automl.dataset import Finding

FEWEST = 3
"""Masks below which an odd shape is as likely as another order."""

_LOOKED_AT = 2000


def check_kaggle_rle(scanned: Sequence[Scanned]) -> list[Finding]:
    """One finding for the whole set, where most of its masks seem to be meant otherwise."""
    rows = told = 0
    for one in scanned:
        shapes = one.entry.shapes or ()
        # those that are no pairs, or lie outside, are findings of their own
        sound = one.traced and not one.traced.findings
        texts = [s.kaggle_rle for s in shapes if s.kaggle_rle] if sound else []
        along, of = goes_along_rows(texts, (one.image.height, one.image.width))
        rows, told = rows + along, told + of
        if told >= _LOOKED_AT:
            break
    if told < FEWEST or rows * 2 < told:
        return []
    reason = f"{rows} of {told} masks seem to count along rows; they are read down the columns"
    cure = "save the masks as PNG: in NumPy, `mask.reshape(height, width)` of what they count"
    return [fatal("runs_along_rows", ".", reason, cure)]
