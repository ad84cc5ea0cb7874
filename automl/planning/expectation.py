"""What a plan expects of its run: seconds by stage, and the memory at its fullest."""

from collections.abc import Mapping

from automl.planning.choice import Model, Situation
from automl.planning.settings import activation_bytes
from automl.planning.times import in_words

BASE_BYTES = 0.85e9
"""Of a process with torch and the model library, before it has a net."""
COPIES = {"adamw": 6, "sgd": 5}
"""Of the parameters: weights, gradients, the averaged and the best, and the optimiser's."""


def expected_seconds(at: Situation, judge_s: float, instant_s: float) -> dict[str, float]:
    """By stage, but for the epochs; `evaluate` with the images of the judged split."""
    seconds = {**at.hardware.overhead_s}
    seconds["setup"] = seconds.get("setup", 0.0) + instant_s
    seconds["evaluate"] = seconds.get("evaluate", 0.0) + judge_s
    return {name: round(float(f"{value:.3g}"), 2) for name, value in seconds.items()}


def peak_gb(
    at: Situation, model: Model, crop: tuple[int, int], micro: int, optimiser: str
) -> float:
    """Memory of the device; on a CPU with that of the process."""
    parameters = model.row.parameters * 1e6 * 4 * COPIES[optimiser]
    base = BASE_BYTES if at.hardware.device == "cpu" else 0.0
    return float(f"{(base + parameters + micro * activation_bytes(model, crop)) / 1e9:.2g}")


def budget_reason(budget: float | None, seconds: Mapping[str, float], set_by: str) -> str:
    """What a budget leaves for training, or that it cannot be kept."""
    if budget is None:
        return "the recipe sets none"
    around = sum(seconds.values())
    if around < budget:
        return f"{set_by}, for the whole run; {in_words(budget - around)} are for training"
    return (
        f"{set_by}, but cannot be kept: all but the training takes about "
        f"{in_words(around)}; the least possible is trained nevertheless"
    )
