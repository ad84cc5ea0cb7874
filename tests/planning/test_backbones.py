import subprocess
import sys

import pytest

from automl.errors import RecipeError
from automl.planning.backbones import TABLE, find, size_of


def test_find__row_by_name_and_by_architecture():
    assert find("efficientnet_lite0", "classification").architecture == "tf_efficientnet_lite0"
    assert find("tf_efficientnet_lite0", "classification").name == "efficientnet_lite0"
    assert find("resnet50", "classification").source == "timm"


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


def test_find__suggests_names():
    with pytest.raises(RecipeError) as caught:
        find("efficientnet_lit0", "classification")
    assert "`efficientnet_lite0`" in caught.value.faults[0].hint


def test_find__names_the_task_of_a_model_at_odds():
    with pytest.raises(RecipeError, match="for detection, the task is classification"):
        find("yolo11n", "classification")


def test_find__refuses_a_pyramid_on_a_plain_transformer():
    with pytest.raises(RecipeError, match="pyramid"):
        find("unet-vit_small", "segmentation")


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
