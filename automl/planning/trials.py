"""What is measured of the models that `auto` weighs, and what it is worth beside the table.

The measuring itself is handed in: planning asks for a step's time and for the fit of frozen
features to the classes, within seconds that it allows, and makes do with what comes back.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from automl.planning.backbones import Backbone
from automl.weights import Weights

MEASURING_SHARE = 0.05
"""Share of the expected training time that looking at the candidates' features may take."""
SPEED_STEP = 1.25
"""The choice sees measured times in steps of this factor, so that noise rarely changes it."""
TRUST_IMAGES = 150
"""With features of so many images, what they say counts as much as the table's prior."""
LEAST_ERROR = 0.02
"""No more is believed of features, however well they tell a few images apart."""


@dataclass(frozen=True)
class Transfer:
    """How well a linear head on frozen features tells images that it was not fitted on.

    `accuracy` is a share of them; `error` is the share of the classes' variance that is left,
    which is finer: 1 = as good as a guess, 0 = perfect.
    """

    accuracy: float
    error: float
    images: int


@dataclass(frozen=True)
class Measurement:
    """What is known of a candidate on this machine and this data; None: not measured.

    `step_s` are seconds to train on one image at the plan's size.
    """

    step_s: float | None = None
    transfer: Transfer | None = None


NOT_MEASURED = Measurement()


@dataclass(frozen=True)
class TrialModel:
    """A candidate as it would be trained; `step_s` is what the table expects."""

    row: Backbone
    weights: Weights
    size: tuple[int, int]
    crop: tuple[int, int]
    fit: str
    step_s: float


MeasureModels = Callable[[Sequence[TrialModel], float], Mapping[str, Measurement]]
"""Measures candidates; the seconds are for features, over all candidates. Keys are their names.

Where there are no seconds nothing is measured, and what comes back was measured before."""


def steady(seconds: float) -> float:
    """A measured time, rounded to a step."""
    return float(SPEED_STEP ** round(math.log(seconds, SPEED_STEP)))


def blended(prior: float, transfer: Transfer | None) -> float:
    """Halvings of the error: the table's, and those that the features show on this very data."""
    if transfer is None:
        return prior
    shown = -math.log2(min(1.0, max(transfer.error, LEAST_ERROR)))
    trust = transfer.images / (transfer.images + TRUST_IMAGES)
    return (1 - trust) * prior + trust * shown
