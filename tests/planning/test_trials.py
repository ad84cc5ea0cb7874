from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from automl.errors import MachineError
from automl.planning.candidates import CHOSEN, recorded_measurements
from automl.planning.rules import make_plan
from automl.planning.trials import (
    MEASURING_SHARE,
    Measurement,
    Transfer,
    TrialModel,
    blended,
    steady,
)
from tests.planning.situations import CPU, dataset, everything, nothing, profile, recipe
from tests.planning.situations import plan_for as table_plan

LITES = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")
PHOTOS = profile("classification", images={"train": 245, "val": 153}, width=500, height=375)


def lites_only(row: Any) -> Any:
    return everything(row) if row.encoder.startswith("tf_efficientnet_lite") else None


class Seen:
    """Answers with what a test says was measured, and remembers what it was asked."""

    def __init__(self, **found: Measurement) -> None:
        self.found, self.asked, self.seconds = found, (), 0.0

    def __call__(self, asked: Sequence[TrialModel], seconds: float) -> Mapping[str, Measurement]:
        self.asked, self.seconds = tuple(asked), seconds
        return self.found


def plan_of(measure: Any, of: Any = PHOTOS, at_hand: Any = lites_only, **fields: Any) -> Any:
    smoke = fields.pop("smoke", False)
    asked = recipe(of.task, **fields)
    return make_plan(asked, dataset(of), of, CPU, at_hand, measure=measure, smoke=smoke)


def measured(ms: float, error: float | None = None, images: int = 200) -> Measurement:
    transfer = None if error is None else Transfer(1 - error / 2, error, images)
    return Measurement(ms / 1000, transfer)


def test_choice__features_that_fit_better_win_at_equal_speed():
    fit = {name: measured(45, error) for name, error in zip(LITES, (0.3, 0.1, 0.3), strict=True)}
    assert plan_of(Seen(**fit)).model == "efficientnet_lite1"
    fit = {name: measured(45, error) for name, error in zip(LITES, (0.1, 0.3, 0.3), strict=True)}
    assert plan_of(Seen(**fit)).model == "efficientnet_lite0"


def test_choice__a_measured_slow_step_loses():
    slow = {name: measured(ms, 0.2) for name, ms in zip(LITES, (400, 45, 400), strict=True)}
    plan = plan_of(Seen(**slow))
    assert plan.model == "efficientnet_lite1"
    assert "speed measured" in plan.reasons["model"].because
    assert "features on 200 images" in plan.reasons["model"].because


@pytest.mark.parametrize(("error", "chosen"), [(0.1, LITES[2]), (0.6, LITES[0])])
def test_choice__in_a_budget_good_features_make_a_slow_net_affordable(error, chosen):
    better = dict(zip(LITES, (1.1 * error, error, 0.6 * error), strict=True))
    fit = {n: measured(ms, better[n]) for n, ms in zip(LITES, (45, 90, 300), strict=True)}
    assert plan_of(Seen(**fit), budget="2m").model == chosen


def test_choice__one_without_a_score_makes_all_go_by_the_table():
    fit = {"efficientnet_lite0": measured(45), "efficientnet_lite1": measured(60, 0.02)}
    plan = plan_of(Seen(**fit))
    assert all(c.transfer is None for c in plan.candidates)
    assert "quality by the publishers' scores" in plan.reasons["model"].because


def test_choice__a_short_budget_measures_nothing_but_goes_by_what_is_known_of_all():
    times = {name: measured(ms) for name, ms in zip(LITES, (45, 20, 90), strict=True)}
    small = profile("classification", images={"train": 1000, "val": 300}, width=32, height=32)
    seen = Seen(**times)
    assert plan_of(seen, of=small, budget="30s").model == "efficientnet_lite1"
    assert seen.seconds == 0
    unknown = {**times, "efficientnet_lite2": Measurement()}
    plan = plan_of(Seen(**unknown), of=small, budget="30s")
    assert all(not candidate.measured for candidate in plan.candidates)
    plan_of(seen, of=small, budget="10m")
    assert seen.seconds > 0


def test_choice__noise_of_a_few_percent_is_not_seen():
    times = dict(zip(LITES, (45.0, 62.0, 90.0), strict=True))
    plans = [
        plan_of(Seen(**{n: measured(ms * f, 0.2) for n, ms in times.items()}))
        for f in (0.97, 1.0, 1.03)
    ]
    assert len({plan.model for plan in plans}) == 1
    assert len({plan.digest() for plan in plans}) == 1


def test_look__is_asked_only_where_several_could_win():
    seen = Seen()
    plan_of(seen, model="efficientnet_lite0")
    plan_of(seen, smoke=True)
    plan_of(seen, at_hand=lambda row: everything(row) if row.name == LITES[0] else None)
    assert seen.asked == ()
    plan_of(seen)
    assert {a.row.name for a in seen.asked} == set(LITES)
    assert all(a.step_s > 0 and a.weights.source == "store" for a in seen.asked)


def test_look__takes_a_share_of_the_time():
    short, long = Seen(), Seen()
    plan_of(short, effort="quick")
    plan_of(long, effort="thorough")
    assert 0 < short.seconds < long.seconds
    assert short.seconds < MEASURING_SHARE * 600


def test_look__that_finds_nothing_leaves_the_table_s_choice():
    assert plan_of(Seen()).model == plan_of(None).model == table_plan(PHOTOS).model


def test_candidates__stand_in_the_plan_with_the_chosen_first():
    times = dict(zip(LITES, (45.0, 62.0, 90.0), strict=True))
    plan = plan_of(Seen(**{name: measured(ms, 0.2) for name, ms in times.items()}))
    assert [c.model for c in plan.candidates][0] == plan.model
    assert [c.verdict == CHOSEN for c in plan.candidates] == [True, False, False]
    assert {c.model: c.ms_per_image for c in plan.candidates} == times
    assert all(c.measured and c.images == 200 and c.expected_s > 0 for c in plan.candidates)
    bare = plan_of(None)
    assert bare.candidates
    assert not any(c.measured for c in bare.candidates)
    assert plan_of(None, model="efficientnet_lite0").candidates == ()


def test_candidates__are_no_part_of_what_is_trained(tmp_path):
    plan = plan_of(Seen(**{name: measured(45, 0.2) for name in LITES}))
    bare = plan.model_copy(update={"candidates": ()})
    assert plan.digest() == bare.digest()
    plan.write(tmp_path / "plan.yaml")
    assert type(plan).read(tmp_path / "plan.yaml") == plan


def test_recorded__gives_the_same_plan_again():
    fit = dict(zip(LITES, ((45, 0.3), (60, 0.05), (90, 0.3)), strict=True))
    plan = plan_of(Seen(**{name: measured(*found) for name, found in fit.items()}))
    assert plan.model == "efficientnet_lite1"
    again = plan_of(recorded_measurements(plan))
    assert (again.model, again.candidates) == (plan.model, plan.candidates)


def test_budget__epochs_follow_the_measured_time():
    quick, slow = (
        plan_of(Seen(**{n: measured(ms, 0.2) for n in LITES}), budget="3m") for ms in (20, 80)
    )
    assert quick.model == slow.model
    assert quick.train.epochs > slow.train.epochs


def test_weights__pretrained_takes_what_is_at_hand_and_names_the_cure():
    assert plan_of(None, weights="pretrained").model in LITES
    with pytest.raises(MachineError, match="none at hand") as caught:
        plan_of(None, at_hand=nothing, weights="pretrained")
    assert "automl models --fetch" in caught.value.faults[0].hint
    with pytest.raises(MachineError, match="`resnet50`"):
        plan_of(None, weights="pretrained", model="resnet50")


def test_blended__trusts_many_images_more_than_few():
    few, many = (blended(2.0, Transfer(0.99, 0.05, n)) for n in (48, 300))
    assert 2.0 < few < many
    assert blended(2.0, None) == 2.0
    assert blended(2.0, Transfer(1.0, 0.0, 300)) < 8


def test_steady__rounds_to_steps():
    assert steady(0.1) == steady(0.102)
    assert steady(0.1) / 0.1 == pytest.approx(1, abs=0.13)
