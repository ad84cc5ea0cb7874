import inspect

import numpy as np
import pytest

from automl.plan import Augment
from automl.planning.augmentation import (
    POLICIES,
    mirror_is_safe,
    mirrors,
    without_mirror,
    yolo_settings,
)
from tests.planning.situations import plan_for, profile

NAMES = ("none", "light", "medium", "heavy")
EVERY = [(task, name) for task in POLICIES for name in NAMES]


@pytest.mark.parametrize(("task", "policy"), EVERY)
def test_policies__run_without_a_warning_and_keep_shape(task, policy):
    import albumentations

    steps = [step for part in POLICIES[task][policy] for step in part.items()]
    transforms = []
    for name, arguments in steps:
        kind = getattr(albumentations, name)
        assert arguments.keys() <= inspect.signature(kind).parameters.keys()
        transforms.append(kind(**arguments))
    boxes = albumentations.BboxParams(format="pascal_voc", label_fields=["labels"])
    detects = task == "detection" and bool(transforms)
    compose = albumentations.Compose(transforms, bbox_params=boxes if detects else None, seed=1)
    image = np.random.default_rng(0).integers(0, 255, (64, 96, 3), dtype=np.uint8)
    given = {"image": image}
    if task == "segmentation":
        given["mask"] = np.zeros((64, 96), np.uint8)
    if detects:
        given |= {"bboxes": np.array([[10.0, 10, 50, 40]]), "labels": [2]}
    for _ in range(10):
        found = compose(**given)
        assert found["image"].shape == image.shape
        assert found["image"].dtype == np.uint8
        if task == "segmentation":
            assert set(np.unique(found["mask"])) <= {0, 255}


def test_policies__grow_stronger_and_never_flip_upside_down():
    for task, by_name in POLICIES.items():
        assert list(by_name) == list(NAMES), task
        assert by_name["none"] == ()
        used = {step for transforms in by_name.values() for part in transforms for step in part}
        assert "VerticalFlip" not in used
        jitter = [
            p["ColorJitter"]["brightness"][1]
            for n in NAMES[1:]
            for p in by_name[n]
            if "ColorJitter" in p
        ]
        assert jitter == sorted(set(jitter))


@pytest.mark.parametrize(
    ("names", "safe"),
    [
        (["cat", "dog"], True),
        (list("0123456789"), False),
        (["background", *"0123456789"], False),
        (["digit 1", "digit 2", "digit_3"], False),
        (["A", "B", "c"], False),
        (["left lung", "right lung", "heart"], False),
        (["hand_left", "hand_right"], False),
        (["bright", "leftover"], True),
        (["RBC", "WBC", "Platelets"], True),
    ],
)
def test_mirror_is_safe__judged_by_class_names(names, safe):
    found = mirror_is_safe(profile("classification", class_counts=dict.fromkeys(names, 5)))
    assert found.value is safe
    assert found.because


def test_auto__digits_are_not_mirrored_and_the_plan_says_why():
    digits = dict.fromkeys("0123456789", 140)
    of = profile("classification", class_counts=digits, classes=10, width=8, height=8, channels=1)
    plan = plan_for(of)
    assert plan.augment.policy == "light"
    assert not mirrors(plan.augment)
    assert plan.augment.transforms
    assert "characters" in plan.reasons["augment.policy"].because


def test_recipe__policy_and_list_are_taken_as_they_are():
    of = profile("detection")
    named = plan_for(of, augment="heavy").augment
    assert named == Augment(policy="heavy", transforms=POLICIES["detection"]["heavy"])
    own = [{"VerticalFlip": {"p": 0.5}}]
    plan = plan_for(of, augment=own)
    assert plan.augment == Augment(policy="custom", transforms=tuple(own))
    assert plan.reasons["augment.transforms"].because == "set in the recipe"


def test_without_mirror__takes_flips_out_only():
    heavy = POLICIES["classification"]["heavy"]
    assert len(without_mirror(heavy)) == len(heavy) - 1


def test_yolo_settings__every_key_is_ultralytics_own():
    ultralytics = pytest.importorskip("ultralytics.cfg")
    for policy in (*NAMES, "custom"):
        settings = yolo_settings(policy)
        assert settings.keys() <= ultralytics.DEFAULT_CFG_DICT.keys()
    assert yolo_settings("heavy")["mosaic"] == 1.0
    assert yolo_settings("medium", mirror=False)["fliplr"] == 0.0
    assert not any(yolo_settings("none").values())
