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


def test_stop_at_instant__quick_effort_may_and_no_other():
    assert plan_for(OF, effort="quick").train.stop_at_instant
    assert not plan_for(OF).train.stop_at_instant
    assert not plan_for(OF, effort="quick", train={"instant": "none"}).train.stop_at_instant
    assert not plan_for(OF, effort="quick", train={"stop_at_instant": False}).train.stop_at_instant
    assert not plan_for(OF, effort="quick", smoke=True).train.stop_at_instant
