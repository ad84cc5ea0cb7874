from dataclasses import replace

import pytest

from automl.errors import MachineError, RecipeError
from automl.plan import EXPECTED
from automl.planning.rules import make_plan
from tests.planning.situations import (
    CPU,
    GPU,
    dataset,
    everything,
    lite0_only,
    nothing,
    plan_for,
    profile,
    recipe,
)

DIGITS = dict.fromkeys("0123456789", 140)


def test_model__digits_are_enlarged_and_learnt_by_all_layers():
    of = profile(
        "classification",
        images={"train": 1400, "val": 360},
        class_counts=DIGITS,
        classes=10,
        width=8,
        height=8,
        channels=1,
    )
    plan = plan_for(of)
    assert plan.model == "efficientnet_lite0"
    assert (plan.train.image_size, plan.train.fit) == ((64, 64), "squash")
    assert plan.train.backbone_lr == 1.0
    assert plan.expected_train_s is not None
    assert 20 < plan.expected_train_s < 110


def test_model__few_photos_keep_their_pretrained_features():
    of = profile("classification", images={"train": 245, "val": 153}, width=500, height=375)
    plan = plan_for(of)
    assert plan.model == "efficientnet_lite0"
    assert (plan.train.image_size, plan.train.fit) == ((224, 224), "crop")
    assert plan.train.backbone_lr == 0.1
    assert plan.expected_train_s is not None
    assert plan.expected_train_s < 160


@pytest.mark.parametrize("task", ["classification", "segmentation", "detection"])
def test_optimiser__sgd_has_a_rate_and_a_decay_of_its_own(task):
    usual = plan_for(profile(task))
    chosen = plan_for(profile(task), train={"optimiser": "sgd"})
    assert chosen.train.lr == pytest.approx(30 * usual.train.lr, rel=0.05)
    assert chosen.train.weight_decay == 5e-4 < usual.train.weight_decay
    assert "under SGD" in chosen.reasons["train.lr"].because
    own = plan_for(profile(task), train={"optimiser": "sgd", "lr": 0.5, "weight_decay": 0.1})
    assert (own.train.lr, own.train.weight_decay) == (0.5, 0.1)


def test_model__small_objects_in_detection_get_pixels():
    small = plan_for(profile("detection", object_size=(0.03, 0.1, 0.2)))
    large = plan_for(profile("detection", object_size=(0.3, 0.5, 0.8)))
    assert small.model.endswith("efficientnet_lite0")
    assert small.train.image_size[1] > large.train.image_size[1]
    assert small.train.fit == "letterbox"
    assert all(side % 32 == 0 for side in small.train.image_size)


def test_model__segmentation_keeps_the_shape_and_sees_rare_classes():
    pixels = {"road": 900_000, "tree": 300_000, "car": 200_000, "sign": 10_000}
    of = profile(
        "segmentation", width=480, height=360, class_counts=pixels, object_size=(0.01, 0.1, 0.5)
    )
    plan = plan_for(of)
    assert plan.train.image_size == (352, 480)
    assert plan.train.crop[0] <= 320
    assert plan.train.class_weights == "balanced"
    assert plan.model == "unet-efficientnet_lite0"


@pytest.mark.parametrize(
    "pixels",
    [
        {"background": 900_000, "nought": 9_000, "one": 5_000, "two": 8_000},  # thin strokes
        {"background": 900_000, "crack": 2_000},
    ],
)
def test_class_weights__a_large_background_alone_calls_for_none(pixels):
    plan = plan_for(profile("segmentation", class_counts=pixels, balance=0.005))
    assert plan.train.class_weights == "none"


def test_model__card_takes_a_better_net_than_a_cpu():
    of = profile("classification", images={"train": 5000, "val": 500})
    slow, fast = plan_for(of, at_hand=everything), plan_for(of, GPU, everything)
    assert slow.model != fast.model
    assert (fast.train.precision, slow.train.precision) == ("bf16", "fp32")
    assert fast.train.workers > 0
    assert fast.reasons["model"].runner_up


def test_workers__fewer_are_needed_where_pixels_are_kept():
    of = profile("classification", images={"train": 5000, "val": 500})
    many = replace(CPU, cores=16)
    counts = [
        plan_for(of, replace(machine, keeps_pixels=kept)).train.workers
        for machine in (GPU, many)
        for kept in (True, False)
    ]
    assert counts == [4, 8, 0, 4]
    assert "decoded once and kept" in plan_for(of, many).reasons["train.workers"].because


@pytest.mark.parametrize(
    ("task", "side", "expected"),
    [("classification", 3000, 288), ("classification", 200, 0), ("detection", 3000, 0)],
)
def test_stored_size__photos_wait_for_their_crops_at_a_little_more_than_those(task, side, expected):
    plan = plan_for(profile(task, width=side, height=side, smallest_side=side, largest_side=side))
    assert plan.train.stored_size == expected
    assert plan.reasons["train.stored_size"].because


def test_mosaic__is_for_yolo_as_the_policy_has_it_and_for_others_on_demand():
    of = profile("detection")
    assert plan_for(of).train.mosaic == 0.0
    assert plan_for(of, train={"mosaic": 0.25}).train.mosaic == 0.25
    yolo = plan_for(of, model="yolo11n", licence="any", weights="none", augment="heavy")
    assert yolo.train.mosaic == 1.0


def test_model__licence_policy_is_obeyed():
    of = profile("detection")
    for hardware in (GPU,):
        assert plan_for(of, hardware, everything).engine == "native"
        assert plan_for(of, hardware, everything, licence="any").engine in ("native", "yolo")
    with pytest.raises(RecipeError, match=r"AGPL-3\.0") as caught:
        plan_for(of, model="yolo11n")
    assert "licence: any" in caught.value.faults[0].hint
    assert plan_for(of, model="yolo11n", licence="any").engine == "yolo"


def test_model__weights_decide_the_licence_of_a_named_model():
    of = profile("classification")
    assert plan_for(of, model="convnextv2_tiny").weights.source == "none"
    with pytest.raises(RecipeError, match="CC-BY-NC"):
        plan_for(of, at_hand=everything, model="convnextv2_tiny")


def test_weights__at_hand_none_and_missing():
    of = profile("classification")
    assert plan_for(of).weights.source == "package"
    scratch = plan_for(of, weights="none")
    assert (scratch.weights.source, scratch.weights.covers) == ("none", "nothing")
    assert scratch.train.backbone_lr == 1.0
    assert scratch.train.epochs > plan_for(of).train.epochs
    bare = plan_for(of, at_hand=nothing, model="resnet18")
    assert "from scratch" in bare.reasons["weights.source"].because
    with pytest.raises(MachineError, match="none at hand"):
        plan_for(of, at_hand=nothing, weights="pretrained")


def test_recipe__values_win_and_are_said_to():
    of = profile("segmentation")
    plan = plan_for(of, train={"epochs": 3, "lr": 0.01, "image_size": (64, 96)})
    assert (plan.train.epochs, plan.train.lr, plan.train.image_size) == (3, 0.01, (64, 96))
    assert plan.train.crop == (64, 96)
    for key in ("epochs", "lr", "image_size"):
        assert plan.reasons[f"train.{key}"].because == "set in the recipe"


def test_budget__fits_and_shrinks_with_the_budget():
    of = profile("segmentation")
    short, long = plan_for(of, budget="2m"), plan_for(of, budget="2h")
    assert short.train.epochs < long.train.epochs
    assert short.budget_s == 120
    assert long.expected_train_s is not None
    assert long.expected_train_s < 7200


def test_effort__is_a_dial():
    of = profile("classification")
    epochs = [plan_for(of, effort=e).train.epochs for e in ("quick", "standard", "thorough")]
    assert epochs[0] < epochs[1] < epochs[2]


def test_speed__a_busy_hour_changes_no_decision():
    from dataclasses import replace

    from tests.planning.situations import CPU

    of = profile("detection")
    plans = [plan_for(of, replace(CPU, gflops=g)) for g in (120.0, 250.0, 500.0)]
    drop = set(EXPECTED)
    assert len({str(p.model_dump(exclude=drop)) for p in plans}) == 1


@pytest.mark.parametrize("processes", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("images", [25, 60, 205, 300, 999])
@pytest.mark.parametrize("task", ["classification", "segmentation", "detection"])
def test_batch__every_process_has_an_image_of_every_batch(task, images, processes):
    of = profile(task, images={"train": images, "val": 10})
    batch = plan_for(of, replace(CPU, processes=processes)).train.batch_size
    assert images // -(-images // batch) >= processes


def test_epochs__several_processes_have_time_for_more():
    of = profile("classification", images={"train": 5000, "val": 100})
    one, four = (
        plan_for(of, replace(CPU, processes=n), budget="10m", train={"instant": "none"})
        for n in (1, 4)
    )
    assert four.train.epochs >= 2 * one.train.epochs


@pytest.mark.parametrize(
    ("images", "given", "chosen"),
    [
        (20, {"micro_batch": 4}, ("batch_size", 4)),
        (300, {"micro_batch": 5}, ("batch_size", 20)),
        (300, {"micro_batch": 300}, ("batch_size", 300)),
    ],
)
def test_batch__is_made_of_given_micro_batches(images, given, chosen):
    of = profile("classification", images={"train": images, "val": 10})
    key, value = chosen
    assert getattr(plan_for(of, train=given).train, key) == value


def test_epochs__are_no_fewer_than_warm_up():
    plan = plan_for(profile("classification"), budget="30s", train={"warmup_epochs": 2.5})
    assert plan.train.epochs == 3


def test_size__is_no_smaller_than_a_given_crop():
    of = profile("segmentation", images={"train": 4000, "val": 100}, width=1920, height=1080)
    free = plan_for(of, budget="60s", train={"instant": "none"})
    given = plan_for(of, budget="60s", train={"instant": "none", "crop": (288, 288)})
    assert min(free.train.image_size) < 288 <= min(given.train.image_size)


@pytest.mark.parametrize("policy", ["light", "medium", "heavy"])
def test_augment__a_named_policy_does_not_mirror_characters_either(policy):
    counts = dict.fromkeys("bdpq", 50)
    digits = profile("classification", classes=4, class_counts=counts)
    plan, cats = (plan_for(of, augment=policy) for of in (digits, profile("classification")))
    assert (plan.augment.policy, cats.augment.policy) == (policy, policy)
    assert "HorizontalFlip" not in str(plan.augment.transforms)
    assert "HorizontalFlip" in str(cats.augment.transforms)
    assert "not mirrored" in plan.reasons["augment.policy"].because


@pytest.mark.parametrize(
    ("task", "train", "text"),
    [
        ("segmentation", {"image_size": (100, 128)}, "multiples of 32"),
        ("detection", {"image_size": (90, 90)}, "multiples of 32"),
        ("segmentation", {"crop": (992, 992)}, "larger than"),
        ("classification", {"crop": (96, 96)}, "does not fit the task"),
        ("classification", {"image_size": (8, 8)}, "32 px at least"),
        ("detection", {"fit": "crop"}, "cut boxes"),
        ("classification", {"batch_size": 4096}, "`train.batch_size` is 4096, but only 300 images"),
        ("classification", {"micro_batch": 512}, "`train.micro_batch` is 512, but only 300 images"),
        ("classification", {"batch_size": 10, "micro_batch": 4}, "no multiple of"),
        ("classification", {"epochs": 2, "warmup_epochs": 5}, "more than"),
        ("classification", {"precision": "bf16"}, "graphics card"),
        ("detection", {"class_weights": "balanced"}, "balanced` does not fit the model `fcos-"),
        ("detection", {"compile": True}, "`train.compile` does not fit the task"),
        ("detection", {"stored_size": 200}, "`train.stored_size` does not fit the task"),
        ("segmentation", {"stored_size": 200}, "`train.stored_size` does not fit the task"),
    ],
)
def test_checks__impossible_combinations_are_errors_with_a_cure(task, train, text):
    with pytest.raises(RecipeError) as caught:
        plan_for(profile(task), train=train)
    assert any(text in fault.message for fault in caught.value.faults)
    assert all(fault.hint for fault in caught.value.faults)


def test_checks__what_ultralytics_would_pass_over_is_refused():
    asked = {"ema": 0.9, "layer_decay": 0.5, "frozen_epochs": 1, "clip_norm": 1.0, "fit": "squash"}
    for key, value in {**asked, "backbone_lr": 0.5, "instant": "torch"}.items():
        with pytest.raises(RecipeError) as caught:
            plan_for(profile("detection"), model="yolo11n", licence="any", train={key: value})
        (fault,) = caught.value.faults
        assert fault.message == f"`train.{key}` does not fit the model `yolo11n`"
    same = {"layer_decay": 1.0, "frozen_epochs": 0, "backbone_lr": 0.0, "fit": "letterbox"}
    weighed = {**same, "class_weights": "balanced"}
    plan_for(profile("detection"), model="yolo11n", licence="any", train=weighed)


@pytest.mark.parametrize("train", [{"backbone_lr": 0.0}, {"frozen_epochs": 1}])
def test_checks__a_backbone_that_knows_nothing_is_not_frozen(train):
    plan_for(profile("classification"), train=train)
    with pytest.raises(RecipeError) as caught:
        plan_for(profile("classification"), train=train, weights="none")
    (fault,) = caught.value.faults
    assert fault.message.startswith(f"`train.{next(iter(train))}` keeps a backbone as it is")


def test_checks__all_faults_at_once():
    with pytest.raises(RecipeError) as caught:
        plan_for(profile("detection"), train={"image_size": (90, 90), "batch_size": 4096})
    assert len(caught.value.faults) == 2


def test_smoke__shrinks_all_but_the_model():
    for task in ("classification", "segmentation", "detection"):
        of = profile(task, images={"train": 8, "val": 4})
        full, small = (
            plan_for(of, train={"epochs": 40}),
            plan_for(of, smoke=True, train={"epochs": 40}),
        )
        assert (small.model, small.weights) == (full.model, full.weights)
        assert small.train.epochs == 2
        assert max(small.train.image_size) <= 128
        assert small.train.crop == small.train.image_size
        assert (small.train.ema, small.train.patience, small.train.workers) == (0, 0, 0)
        assert "smoke" in small.reasons["train.epochs"].because


def test_micro_batch__fits_into_little_memory():
    from dataclasses import replace

    from tests.planning.situations import CPU

    of = profile("segmentation", width=2000, height=2000)
    tight = plan_for(of, replace(CPU, memory_bytes=2**30))
    assert tight.train.micro_batch < tight.train.batch_size
    assert tight.train.batch_size % tight.train.micro_batch == 0


def test_judge_on__test_split_where_there_is_one():
    of = profile("classification", images={"train": 50, "val": 10, "test": 10})
    assert plan_for(of).judge_on == "test"
    assert plan_for(profile("classification")).judge_on == "val"
    assert plan_for(profile("classification"), at_hand=lite0_only).goal is None


def test_budget__a_short_one_takes_smaller_images_and_a_net_that_is_no_slower():
    of = profile("classification", images={"train": 2000, "val": 300})
    plans = [plan_for(of, at_hand=everything, budget=budget) for budget in ("20s", "3m", "8h")]
    sides = [plan.train.image_size[0] for plan in plans]
    assert sides == sorted(sides)
    assert 112 <= sides[0] < sides[-1] == 224
    costs = [plan.expected_train_s / plan.train.epochs for plan in plans]
    assert costs == sorted(costs)
    assert plans[0].train.epochs < plans[0].most_epochs == plans[1].most_epochs
    assert "of the budget" in plans[0].reasons["train.image_size"].because


@pytest.mark.parametrize(("train", "side"), [({}, 224), ({"instant": "none"}, 128)])
def test_budget__photos_keep_the_size_that_a_head_on_frozen_features_has_time_for(train, side):
    of = profile("classification", images={"train": 2000, "val": 300})
    plan = plan_for(of, budget="60s", train=train, model="efficientnet_lite0")
    assert plan.train.image_size == (side, side)


def test_budget__a_smoke_run_does_not_fill_it():
    assert plan_for(profile("classification"), smoke=True, budget="8h").most_epochs == 2


def test_budget__given_sizes_and_epochs_stay():
    of = profile("segmentation", images={"train": 2000, "val": 300})
    plan = plan_for(of, budget="40s", train={"image_size": [352, 480], "epochs": 7})
    assert plan.train.image_size == (352, 480)
    assert (plan.train.epochs, plan.most_epochs) == (7, 7)


def test_budget__one_that_cannot_be_kept_is_a_warning():
    of = profile("classification")
    short, long = plan_for(of, budget="10s"), plan_for(of, budget="5m")
    assert short.hopeless
    assert "cannot be kept" in short.reasons["budget_s"].because
    assert not long.hopeless
    assert short.train.epochs == 1
    assert not plan_for(of).hopeless


def test_budget__a_short_one_measures_no_candidates():
    given: list[float] = []

    def measure(asked, seconds):
        given.append(seconds)
        return {}

    of = profile("classification", images={"train": 2000, "val": 300})
    for budget in ("40s", "8h"):
        asked = recipe(of.task, budget=budget)
        make_plan(asked, dataset(of), of, CPU, everything, measure=measure)
        assert bool(given.pop()) == (budget == "8h")


def test_compile__pays_on_a_card_for_long_trainings_alone():
    few = profile("classification", images={"train": 500, "val": 100})
    many = profile("classification", images={"train": 2_000_000, "val": 1000})
    boxes = profile("detection", images={"train": 2_000_000, "val": 1000})
    found = [plan_for(of, GPU, everything).train.compile for of in (few, many, boxes)]
    assert found == [False, True, False]
    assert not plan_for(many).train.compile
