"""When a plan asks for an instant answer, by what, and when the run may end with it."""

from dataclasses import replace

import pytest

from automl.errors import RecipeError
from tests.planning.situations import CPU, GPU, everything, nothing, plan_for, profile

OF = profile("classification")


def test_instant__by_onnx_runtime_where_the_images_pay_for_it():
    few = replace(OF, images={"train": 20, "val": 4})
    assert plan_for(OF).train.instant == "onnx"
    assert plan_for(few).train.instant == "torch"
    assert "too few" in plan_for(few).reasons["train.instant"].because
    assert plan_for(OF, GPU, everything).train.instant == "torch"


@pytest.mark.parametrize("task", ["segmentation", "detection"])
def test_instant__is_for_pretrained_classifiers(task):
    assert plan_for(profile(task)).train.instant == "none"
    assert plan_for(OF, CPU, nothing, weights="none").train.instant == "none"
    with pytest.raises(RecipeError) as caught:
        plan_for(profile(task), train={"instant": "torch"})
    assert "`train.instant`" in caught.value.faults[0].message


@pytest.mark.parametrize(("effort", "within"), [("quick", 0.33), ("standard", 0.5)])
def test_beat_instant_within__fine_tuning_has_a_part_of_the_epochs_to_gain_something(
    effort, within
):
    assert plan_for(OF, effort=effort).train.beat_instant_within == within
    for off in ({"instant": "none"}, {"beat_instant_within": 0}):
        assert plan_for(OF, effort=effort, train=off).train.beat_instant_within == 0
    assert plan_for(OF, effort=effort, smoke=True).train.beat_instant_within == 0


def test_beat_instant_within__thorough_effort_goes_to_the_end():
    assert plan_for(OF, effort="thorough").train.beat_instant_within == 0
    frozen = plan_for(OF, effort="thorough", train={"backbone_lr": 0})
    assert frozen.train.beat_instant_within == 0


def test_beat_instant_within__says_that_a_frozen_backbone_ends_with_it():
    reasons = plan_for(OF, train={"backbone_lr": 0}).reasons
    assert "ends with it" in reasons["train.beat_instant_within"].because
