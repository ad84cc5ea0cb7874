import pytest

from automl.data.images import read_image
from automl.dataset import Sample
from automl.engines.yolo_settings import arguments, frame, load_ultralytics, side
from automl.errors import DataError
from automl.plan import Augment
from tests.engines.toy import plan_of, toy_train

SETTINGS = {
    "image_size": (416, 416), "crop": (416, 416), "epochs": 40, "batch_size": 32, "lr": 2e-3,
    "micro_batch": 8, "weight_decay": 5e-4, "warmup_epochs": 2.5, "patience": 7, "workers": 3,
    "seed": 11,
}  # fmt: skip


def plan(device="cpu", policy="none", transforms=(), **train):
    return plan_of(
        "detection",
        model="yolo26n",
        engine="yolo",
        augment=Augment(policy=policy, transforms=transforms),
        train=toy_train(**{**SETTINGS, **train}),
        device=device,
        budget_s=60.0,
    )


def images(*sizes):
    return [Sample(f"{n}.png", "train", w, h, "") for n, (w, h) in enumerate(sizes)]


def given(tmp_path, made=None, samples=None):
    return arguments(made or plan(), samples or images((640, 480)), tmp_path, backbone=11)


def test_arguments__carry_the_plan(tmp_path):
    found = given(tmp_path)
    wanted = {
        "epochs": 40, "batch": 8, "nbs": 32, "imgsz": 416, "optimizer": "AdamW", "lr0": 2e-3,
        "lrf": 0.01, "cos_lr": True, "weight_decay": 5e-4, "warmup_epochs": 2.5, "patience": 7,
        "seed": 11, "workers": 3, "amp": False, "device": "cpu", "freeze": None, "cls_pw": 0.0,
        "deterministic": True, "plots": False, "save_period": -1, "pretrained": False,
        "close_mosaic": 10, "project": str(tmp_path), "exist_ok": True, "rect": False,
    }  # fmt: skip
    assert {key: found[key] for key in wanted} == wanted
    assert "time" not in found


@pytest.mark.parametrize(
    ("train", "wanted"),
    [
        ({"optimiser": "sgd"}, {"optimizer": "SGD", "momentum": 0.937}),
        ({"schedule": "constant"}, {"cos_lr": False, "lrf": 1.0}),
        ({"backbone_lr": 0.0}, {"freeze": 11}),
        ({"precision": "bf16"}, {"amp": "bf16"}),
        ({"class_weights": "balanced"}, {"cls_pw": 0.5}),
        ({"epochs": 6}, {"close_mosaic": 1}),
        ({"image_size": (300, 500)}, {"imgsz": 512}),
        ({"image_size": (32, 32)}, {"imgsz": 64}),
    ],
)
def test_arguments__follow_a_change(tmp_path, train, wanted):
    found = given(tmp_path, plan(**train))
    assert {key: found[key] for key in wanted} == wanted


@pytest.mark.parametrize(("device", "wanted"), [("cuda:0", "0"), ("mps", "mps")])
def test_arguments__device(tmp_path, device, wanted):
    assert given(tmp_path, plan(device))["device"] == wanted


def test_arguments__are_all_known_to_ultralytics(tmp_path):
    from automl.engines.yolo_settings import load_ultralytics

    load_ultralytics(tmp_path)
    from ultralytics.cfg import get_cfg

    found = given(tmp_path)
    assert {key: getattr(get_cfg(overrides=found), key) for key in found} == found


def test_arguments__rectangles_where_every_image_fills_one(tmp_path):
    made = plan(image_size=(312, 416))
    found = given(tmp_path, made, images((640, 480), (320, 240)))
    assert found["rect"]
    assert frame(made, found) == (320, 416)
    mixed = given(tmp_path, made, images((640, 480), (480, 640)))
    assert not mixed["rect"]
    assert frame(made, mixed) == (side(made), side(made)) == (416, 416)


def test_arguments__policy_and_list(tmp_path):
    flip = ({"HorizontalFlip": {"p": 0.5}},)
    none, heavy = given(tmp_path), given(tmp_path, plan(policy="heavy", transforms=flip))
    assert none["mosaic"] == none["fliplr"] == 0
    assert heavy["fliplr"] > 0
    assert none["augmentations"] == heavy["augmentations"] == []
    assert given(tmp_path, plan(policy="heavy"))["fliplr"] == 0  # a plan without mirroring
    custom = given(tmp_path, plan(policy="custom", transforms=flip))
    assert custom["fliplr"] == 0
    assert [type(t).__name__ for t in custom["augmentations"]] == ["HorizontalFlip"]


def test_load_ultralytics__leaves_pillow_as_it_is(tmp_path):
    load_ultralytics(None)
    (tmp_path / "a.jpg").write_bytes(b"something else")
    with pytest.raises(DataError, match="not an image"):
        read_image(tmp_path / "a.jpg")
