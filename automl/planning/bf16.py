"""What bf16 brings on this CPU, where it is worth measuring: decisions so far in, a gain out."""

from collections.abc import Callable, Mapping
from typing import Any

from automl.planning.candidates import epoch_seconds
from automl.planning.choice import Model, Situation
from automl.planning.trials import TrialModel

MeasureGain = Callable[[TrialModel], float | None]
"""Measures how many times faster a training step is in bf16 than in fp32."""
WORTH_S = 30.0
"""Seconds of training, if it ends early, from which two seconds of measuring pay."""


def bf16_gain(
    at: Situation, model: Model, chosen: Mapping[str, Any], measure_gain: MeasureGain | None
) -> float | None:
    """The measured gain; None where the chip lacks bf16 or the training is short.

    Classification alone: what decoders and detection heads need in fp32 was not tried on a CPU.
    """
    usual = at.task == "classification" and model.row.engine == "native"
    if measure_gain is None or at.on_gpu or not (at.hardware.native_bf16 and usual):
        return None
    size, crop = chosen["image_size"], chosen["crop"]
    epoch_s = epoch_seconds(at, model.row, size, crop, steady=True)
    surely = epoch_s * chosen["epochs"] * (chosen["beat_instant_within"] or 1.0)
    if at.given("precision") or surely < WORTH_S:
        return None
    step_s = epoch_s / at.train_images
    return measure_gain(TrialModel(model.row, model.weights, size, crop, chosen["fit"], step_s))
