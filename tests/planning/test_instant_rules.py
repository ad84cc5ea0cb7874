"""When a plan asks for an instant answer, by what, and when the run may end with it."""

from dataclasses import replace

import pytest

from automl.errors import RecipeError
from automl.planning import cost, instant_rules, smoke
from tests.planning.situations import CPU, GPU, everything, nothing, plan_for, profile

OF = profile("classification")


def test_instant__by_onnx_runtime_where_the_images_pay_for_it():
    few = replace(OF, images={"train": 20, "val": 4})
    assert plan_for(OF).train.instant == "onnx"
    assert plan_for(few).train.instant == "torch"
    assert "too few" in plan_for(few).reasons["train.instant"].because
    assert plan_for(OF, GPU, everything).train.instant == "torch"


@pytest.mark.parametrize("task", ["classification", "detection", "segmentation"])
def test_instant__needs_pretrained_weights_and_but_for_classification_a_cpu(task):
    of = profile(task)
    assert plan_for(of).train.instant != "none"
    assert plan_for(of, CPU, nothing, weights="none").train.instant == "none"
    assert (plan_for(of, GPU).train.instant == "none") == (task != "classification")


def test_instant__not_with_an_engine_that_has_none():
    with pytest.raises(RecipeError) as caught:
        plan_for(profile("detection"), train={"instant": "torch"}, model="yolo11n", licence="any")
    assert "`train.instant`" in caught.value.faults[0].message


@pytest.mark.parametrize("task", ["detection", "segmentation"])
def test_instant_steps__stay_a_small_share_of_the_training(task):
    of, few = profile(task), profile(task, images={"train": 40, "val": 8})
    for epochs, images in ((4, 40), (4, 300), (200, 300)):
        plan = plan_for(few if images == 40 else of, train={"epochs": epochs})
        steps = plan.train.instant_steps
        of_training = instant_rules.light_images(task, steps) / (epochs * images)
        assert of_training <= 0.25 + 0.01
        assert steps == instant_rules.LIGHT_STEPS or of_training > 0.23
    assert plan.train.instant_steps == instant_rules.LIGHT_STEPS
    assert plan_for(few, smoke=True).train.instant_steps <= smoke.STEPS
    with pytest.raises(RecipeError) as caught:
        plan_for(OF, train={"instant_steps": 5})
    assert "`train.instant_steps`" in caught.value.faults[0].message


@pytest.mark.parametrize("task", ["detection", "segmentation"])
def test_instant_steps__have_the_first_claim_on_a_budget(task):
    """In 20 s they bring the digits' detector to AP 0.73, where an epoch brings it to 0.31."""
    of = profile(task, width=192, height=192, images={"train": 160, "val": 40})
    found = {budget: plan_for(of, budget=budget) for budget in ("20s", "40s", "80s", "20m")}
    steps = [plan.train.instant_steps for plan in found.values()]
    assert steps[0] >= instant_rules.FEWEST_LIGHT
    assert steps == sorted(steps)
    assert steps[-1] == instant_rules.LIGHT_STEPS > steps[1] > steps[0]
    assert not any(plan.hopeless for plan in list(found.values())[1:])
    assert found["40s"].train.epochs == 1
    assert found["20m"].train.epochs > 20
    assert "more than epochs do" in found["40s"].reasons["train.instant_steps"].because
    asked = plan_for(of, budget="40s", train={"instant_steps": 3})
    assert asked.train.instant_steps == 3


def test_model__a_short_budget_is_no_reason_for_the_cheapest_detector():
    of = profile("detection", width=192, height=192, images={"train": 160, "val": 40})
    plan = plan_for(of, budget="40s")
    assert plan.model.startswith("fcos-")
    assert plan.train.image_size == (192, 192)


def test_model__not_one_that_learns_slowly_behind_a_frozen_backbone():
    """Of 30 seconds on a slow machine SSD made an AP of 0.01, FCOS of 0.27."""
    digits = replace(profile("detection"), images={"train": 160, "val": 40}, width=192, height=192)
    slow = replace(CPU, gflops=46.0, fastest=60.0, threads=1)
    for budget in ("25s", "30s", "40s"):
        assert "ssd" not in plan_for(digits, slow, budget=budget).model


@pytest.mark.parametrize("task", ["segmentation", "detection"])
def test_most_instant_steps__bound_what_a_budget_may_add(task):
    of = profile(task)
    plan = plan_for(of, budget="60s")
    assert plan.train.instant_steps <= plan.most_instant_steps <= instant_rules.LIGHT_STEPS
    given = plan_for(of, budget="60s", train={"instant_steps": 17})
    assert given.most_instant_steps == 17
    for other in (plan_for(of), plan_for(OF, budget="60s"), plan_for(of, budget="1h", smoke=True)):
        assert other.most_instant_steps is None
    assert plan.digest() != plan.model_copy(update={"most_instant_steps": 5}).digest()


def test_model__one_that_a_budget_makes_small_is_the_dearer_one_not_the_cheaper():
    """A budget affords Lite2 with fewer pixels only, at which it would cost less than Lite0."""

    def lites(row):
        return everything(row) if row.name[-5:] in ("lite0", "lite2") else None

    of = profile("segmentation", width=192, height=192, images={"train": 640, "val": 160})
    of = replace(of, object_size=(0.02, 0.1, 0.3))
    short, long = (plan_for(of, CPU, lites, budget=budget) for budget in ("2m", "20m"))
    assert (short.model, long.model) == ("unet-efficientnet_lite0", "unet-efficientnet_lite2")
    assert (96, 96) < short.train.image_size < long.train.image_size == (192, 192)


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


def test_instant_images__as_many_as_the_budget_has_time_for():
    many = replace(OF, images={"train": 15_000, "val": 1000})
    assert plan_for(many).train.instant_images == 15_000, "nothing is promised"
    assert plan_for(many, budget="40m").train.instant_images == 15_000
    short = plan_for(many, budget="60s")
    assert short.train.instant == "onnx"
    assert instant_rules.LEAST_IMAGES < short.train.instant_images < 15_000
    assert "more than the budget has" in short.reasons["train.instant_images"].because
    hopeless = plan_for(many, budget="5s").train
    assert (hopeless.instant, hopeless.instant_images) == ("onnx", instant_rules.LEAST_IMAGES)


def test_instant_images__decoding_counts_by_pixels_and_cores():
    many = replace(OF, images={"train": 15_000, "val": 1000})
    large = replace(many, width=1600, height=1200)

    def seen(of, hardware):
        return plan_for(of, hardware, budget="1m").train.instant_images

    assert instant_rules.LEAST_IMAGES < seen(large, CPU) < seen(many, CPU)
    few, more = replace(GPU, cores=2), replace(GPU, cores=8)
    assert instant_rules.LEAST_IMAGES < seen(large, few) < seen(large, more)
    seconds = seen(large, few) * 12.8e-3 / 2  # as measured, by two cores
    assert 20 < seconds < 55, "the better part of the minute, and no more"


@pytest.mark.parametrize("task", ["classification", "segmentation", "detection"])
def test_expected__scoring_decodes_what_it_scores(task):
    of = profile(task, images={"train": 300, "val": 100})
    for machine in (CPU, replace(GPU, cores=2)):
        usual, large = (
            plan_for(
                replace(of, width=w, height=h), machine, train={"image_size": (64, 64)}
            ).expected_s
            for w, h in ((64, 64), (4000, 3000))
        )
        decoded_s = 100 * 4000 * 3000 * cost.DECODE_S / 2
        assert large["evaluate"] - usual["evaluate"] == pytest.approx(decoded_s, rel=0.1)


def test_instant_images__the_fit_counts_too():
    """Its time grows with the classes, that of the features does not."""
    many = replace(OF, images={"train": 15_000, "val": 1000}, classes=500)
    seen = [plan_for(replace(many, classes=n), budget="4m").train.instant_images for n in (10, 500)]
    assert instant_rules.LEAST_IMAGES < seen[1] < seen[0]


def test_instant_images__never_more_than_a_linear_layer_learns_from():
    many = replace(OF, images={"train": 150_000, "val": 1000})
    assert plan_for(many).train.instant_images == instant_rules.MOST_IMAGES
    with pytest.raises(RecipeError) as caught:
        plan_for(profile("detection"), train={"instant_images": 5})
    assert "`train.instant_images`" in caught.value.faults[0].message


def test_expected__with_the_time_of_the_answer():
    for of in (OF, profile("segmentation"), profile("detection")):
        with_it, without = plan_for(of), plan_for(of, train={"instant": "none"})
        assert with_it.expected_s["setup"] > without.expected_s["setup"]
    fast, slow = plan_for(OF, budget="2m"), plan_for(OF, budget="2m", train={"instant": "none"})
    assert fast.train.epochs <= slow.train.epochs
