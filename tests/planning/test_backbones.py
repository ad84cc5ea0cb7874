import subprocess
import sys

import pytest

from automl.errors import RecipeError
from automl.planning.backbones import DECODERS, HEADS, TABLE, find, size_of


def test_find__row_by_name_and_by_architecture():
    assert find("efficientnet_lite0", "classification").architecture == "tf_efficientnet_lite0"
    assert find("tf_efficientnet_lite0", "classification").name == "efficientnet_lite0"
    assert find("resnet50", "classification").source == "timm"


@pytest.mark.parametrize(
    ("name", "attends"),
    [
        ("repvit_m1_1", False),
        ("convnext_tiny", False),
        ("efficientnet_lite0", False),
        ("vit_tiny", True),
        ("flexivit_small", True),
        ("mvitv2_tiny", True),
        ("swinv2_tiny_window8_256", True),
    ],
)
def test_transformer__by_what_carries_the_net(name, attends):
    assert find(name, "classification").transformer is attends


def test_find__composes_any_timm_classifier_with_measured_facts():
    row = find("ghostnet_100", "classification")
    assert (row.source, row.head, row.licence) == ("timm", "linear", "Apache-2.0")
    assert 3 < row.parameters < 5.5
    assert 0.2 < row.gflops < 0.4
    assert row.size == "small"


def test_find__composes_decoder_and_head_on_any_encoder():
    unet = find("unet-resnet18", "segmentation")
    assert (unet.source, unet.architecture, unet.head) == ("smp", "tu-resnet18", "unet")
    assert find("unet-resnet18", "segmentation").encoder == "resnet18"
    ssd = find("ssd-mobilenetv4_conv_small", "detection")
    assert (ssd.source, ssd.architecture, ssd.head) == ("timm", "mobilenetv4_conv_small", "ssd")
    assert ssd.gflops > 0


def test_find__composed_facts_agree_with_a_measured_row():
    from automl.planning import backbones

    measured = find("unet-resnet50", "segmentation")
    composed = backbones._on_encoder("unet", "resnet50")
    assert composed is not None
    assert composed.name == measured.name
    assert composed.gflops == pytest.approx(measured.gflops, rel=0.5)


@pytest.mark.parametrize("encoder", ["resnet18.a1_in1k", "test_resnet", "convnext_atto"])
@pytest.mark.parametrize("head", [*DECODERS, *HEADS])
def test_find__composes_every_head(head, encoder):
    row = find(f"{head}-{encoder}", "segmentation" if head in DECODERS else "detection")
    carrier = find(encoder, "classification")
    assert (row.name, row.head, row.encoder) == (f"{head}-{encoder}", head, encoder)
    assert row.parameters >= round(carrier.parameters, 1)
    assert row.gflops >= round(carrier.gflops, 2)
    assert row.activations > 0
    assert row.image_size % 32 == 0
    assert row.engine == "native"


def test_find__an_encoder_alone_is_no_detector():
    with pytest.raises(RecipeError, match="is for classification, the task is detection"):
        find("resnet50", "detection")
    assert find("retinanet_resnet50_fpn_v2", "detection").source == "torchvision"


@pytest.mark.parametrize(
    ("name", "task", "meant"),
    [
        ("efficientnet_lit0", "classification", "efficientnet_lite0"),
        ("ghostnett_100", "classification", "ghostnet_100"),
        ("yolo26nn", "detection", "yolo26n"),
        ("unett-resnet18", "segmentation", "unet-resnet18"),
        ("upernet-convnext_attto", "segmentation", "upernet-convnext_atto"),
        ("fcos-resnet-18", "detection", "fcos-resnet18"),
    ],
)
def test_find__suggests_names(name, task, meant):
    with pytest.raises(RecipeError, match="unknown model") as caught:
        find(name, task)
    assert caught.value.faults[0].hint == f"did you mean `{meant}`?"


@pytest.mark.parametrize("name", ["nothing_like_it_at_all", "resnet18.no_tag", "", "-", "unet-"])
def test_find__unknown_names(name):
    for task in ("classification", "segmentation", "detection"):
        with pytest.raises(RecipeError, match="unknown model"):
            find(name, task)


def test_find__names_the_task_of_a_model_at_odds():
    with pytest.raises(RecipeError, match="for detection, the task is classification"):
        find("yolo11n", "classification")


@pytest.mark.parametrize(
    ("name", "task", "lack"),
    [
        ("unet-vit_small", "segmentation", "no pyramid"),
        ("fcos-levit_128s", "detection", "no feature maps of images of any size"),
        ("unet-shvit_s1", "segmentation", "no pyramid"),
        ("fpn-mobilevitv2_050", "segmentation", "any size"),  # sides in multiples of 64 only
        ("deeplabv3plus-hgnetv2_b4", "segmentation", "cannot be dilated"),
    ],
)
def test_find__refuses_an_encoder_without_the_maps(name, task, lack):
    with pytest.raises(RecipeError, match=lack):
        find(name, task)


@pytest.mark.parametrize("encoder", ["vit_small", "eva02_small", "test_vit", "shvit_s1"])
@pytest.mark.parametrize("head", HEADS)
def test_find__detectors_resample_what_an_encoder_lacks(head, encoder):
    assert find(f"{head}-{encoder}", "detection").gflops > 0


def test_find__measures_families_that_are_hard_to_measure():
    assert 11 < find("cait_xxs24_224", "classification").parameters < 12.5


def test_fixed_size__what_keeps_its_size():
    names = ("vit_tiny", "eva02_small", "levit_128s", "resnet50", "mobilevit_s", "tv_swin_t")
    assert [n for n in names if find(n, "classification").fixed_size] == list(names[:3])


def test_size_of__words():
    assert [size_of(p) for p in (3, 25, 80)] == ["small", "medium", "large"]


def test_permissive__weights_count_only_where_they_are_used():
    row = find("convnextv2_tiny", "classification")
    assert row.permissive(pretrained=False)
    assert not row.permissive(pretrained=True)
    assert not find("yolo26n", "detection").permissive(pretrained=False)


def test_import__costs_no_heavy_library():
    code = (
        "import sys; import automl.planning.rules, automl.planning.hardware, automl.plan_text;"
        "heavy = {'torch', 'timm', 'numpy', 'albumentations', 'torchvision', 'cv2'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


def test_table__holds_every_task_in_every_size():
    there = {(row.task, row.size) for row in TABLE if not row.for_tests}
    tasks = ("classification", "segmentation", "detection")
    assert there == {(t, s) for t in tasks for s in ("small", "medium", "large")}


def test_find__a_decoder_in_front_says_its_task_and_no_test_net_is_offered():
    with pytest.raises(RecipeError, match="`unet-resnet18` is for segmentation") as caught:
        find("unet-resnet18", "classification")
    assert "test_" not in caught.value.faults[0].hint
