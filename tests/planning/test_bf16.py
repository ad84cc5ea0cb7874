"""bf16 on a CPU: taken where a step was measured to be faster, and measured only where it pays."""

from dataclasses import replace

import pytest

from automl.errors import RecipeError
from automl.plan import Plan
from automl.planning.rules import make_plan
from automl.planning.trials import TrialModel
from tests.planning.situations import CPU, GPU, dataset, lite0_only, profile, recipe

TILES = replace(CPU, native_bf16=True)
LARGE = profile("classification", images={"train": 3000, "val": 300})


class Gain:
    """Answers with one gain and remembers who asked."""

    def __init__(self, value: float | None) -> None:
        self.value = value
        self.asked: list[TrialModel] = []

    def __call__(self, asked: TrialModel) -> float | None:
        self.asked.append(asked)
        return self.value


def planned(gain: Gain, hardware=TILES, of=LARGE, **fields) -> Plan:
    asked = recipe(of.task, **fields)
    return make_plan(asked, dataset(of), of, hardware, lite0_only, measure_gain=gain)


@pytest.mark.parametrize(
    ("measured", "taken"), [(1.9, "bf16"), (1.2, "fp32"), (0.6, "fp32"), (None, "fp32")]
)
def test_precision__follows_what_was_measured(measured, taken):
    gain = Gain(measured)
    plan = planned(gain)
    assert plan.train.precision == taken
    assert [asked.row.name for asked in gain.asked] == [plan.model]
    assert gain.asked[0].crop == plan.train.crop
    if measured:
        assert f"{measured:.1f} times" in plan.reasons["train.precision"].because


@pytest.mark.parametrize(
    ("hardware", "of", "fields"),
    [
        (CPU, LARGE, {}),
        (GPU, LARGE, {}),
        (TILES, profile("segmentation", images={"train": 3000, "val": 300}), {}),
        (TILES, LARGE, {"train": {"precision": "fp32"}}),
        (TILES, LARGE, {"train": {"epochs": 1, "image_size": (32, 32)}}),
    ],
)
def test_gain__is_not_measured_where_it_decides_nothing(hardware, of, fields):
    gain = Gain(9.0)
    plan = planned(gain, hardware, of, **fields)
    assert not gain.asked
    assert (plan.train.precision == "bf16") == plan.device.startswith("cuda")


def test_precision__bf16_may_be_asked_for_where_the_chip_knows_it():
    asked = {"train": {"precision": "bf16"}}
    assert planned(Gain(None), **asked).train.precision == "bf16"
    with pytest.raises(RecipeError) as caught:
        planned(Gain(None), CPU, **asked)
    assert "a processor that knows bf16" in caught.value.faults[0].message
