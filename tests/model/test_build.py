"""Nets keep the promises that the engine relies on."""

import numpy as np
import pytest
import torch
from torch import nn

from automl.errors import RecipeError
from automl.model.build import build, normalisation, stages
from automl.planning.backbones import composed, find
from automl.tasks.detection import collate

NO_BOXES = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.long)}
DETECTORS = (
    "fcos-test_efficientnet",
    "retinanet-test_efficientnet",
    "ssd-test_resnet",
    "ssdlite320_mobilenet_v3_large",
    "fasterrcnn_mobilenet_v3_large_fpn",
)


def detector(name: str, classes: int = 3, side: int = 64) -> nn.Module:
    torch.manual_seed(0)
    return build(find(name, "detection"), classes, (side, side))


@pytest.mark.parametrize("name", DETECTORS)
def test_detector__images_without_boxes(name: str) -> None:
    net = detector(name).train()
    images = list(torch.randn(2, 3, 64, 64))
    total = sum(net(images, [NO_BOXES, NO_BOXES]).values())
    total.backward()
    assert torch.isfinite(total)
    assert all(torch.isfinite(p.grad).all() for p in net.parameters() if p.grad is not None)


@pytest.mark.parametrize("name", DETECTORS)
def test_detector__many_overlapping_boxes(name: str) -> None:
    net = detector(name).train()
    corners = torch.rand(400, 2) * 50
    boxes = torch.cat([corners, corners + 4 + torch.rand(400, 2) * 10], 1)
    target = {"boxes": boxes, "labels": torch.randint(0, 3, (400,))}
    total = sum(net(list(torch.randn(2, 3, 64, 64)), [target, NO_BOXES]).values())
    assert torch.isfinite(total)


@pytest.mark.parametrize("name", DETECTORS)
def test_detector__box_without_area_is_left_out(name: str) -> None:
    net = detector(name).train()
    bare = {"bboxes": np.zeros((0, 4)), "labels": np.zeros(0)}
    flat = {"bboxes": np.array([[5.0, 5, 5, 9]]), "labels": np.array([1])}
    images = list(torch.randn(2, 3, 64, 64))
    torch.manual_seed(1)
    with_flat = net(images, collate([flat, bare]))
    torch.manual_seed(1)
    without = net(images, [NO_BOXES, NO_BOXES])
    for part, value in with_flat.items():
        assert value.item() == pytest.approx(without[part].item(), rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("name", DETECTORS)
def test_detector__autocast_keeps_boxes_in_float32(name: str) -> None:
    net = detector(name, side=512).train()
    images = list(torch.randn(1, 3, 512, 512))
    target = {"boxes": torch.tensor([[300.0, 301, 309, 311]]), "labels": torch.tensor([1])}
    with torch.autocast("cpu", torch.bfloat16):
        losses = net(images, [target])
        net.eval()
        with torch.no_grad():
            found = net(images)[0]
    assert all(value.dtype == torch.float32 and torch.isfinite(value) for value in losses.values())
    assert found["boxes"].dtype == found["scores"].dtype == torch.float32


@pytest.mark.parametrize("name", ["fcos-test_efficientnet", "ssd-test_resnet"])
def test_detector__learns_where_and_what(name: str) -> None:
    """One image by heart: class indices and pixels come back as they were given."""
    net = detector(name, classes=2)
    image = torch.zeros(3, 64, 64)
    image[0, 8:28, 8:28] = 2
    image[1, 36:60, 34:58] = 2
    boxes = torch.tensor([[8.0, 8, 28, 28], [34, 36, 58, 60]])
    target = {"boxes": boxes, "labels": torch.tensor([1, 0])}
    optimiser = torch.optim.AdamW(net.parameters(), lr=3e-3)
    net.train()
    for _step in range(50):
        optimiser.zero_grad()
        sum(net([image], [target]).values()).backward()
        optimiser.step()
    net.eval()
    with torch.no_grad():
        found = net([image])[0]
    best = {int(k): found["boxes"][found["labels"] == k][0] for k in (0, 1)}
    assert (best[1] - boxes[0]).abs().max() < 4
    assert (best[0] - boxes[1]).abs().max() < 4


def test_detector__images_of_different_size_share_a_batch() -> None:
    net = detector("fcos-test_efficientnet").eval()
    images = [torch.randn(3, 50, 70), torch.randn(3, 64, 32)]
    with torch.no_grad():
        found = net(images)
    for one, image in zip(found, images, strict=True):
        assert (one["boxes"][:, 2] <= image.shape[2]).all()
        assert (one["boxes"][:, 3] <= image.shape[1]).all()


def test_detector__large_images_have_one_more_level() -> None:
    row = find("fcos-test_efficientnet", "detection")
    levels = [
        len(build(row, 2, (side, side)).net.anchor_generator.sizes)  # type: ignore[union-attr]
        for side in (512, 640)
    ]
    assert levels == [4, 5]


@pytest.mark.parametrize("head", ["fcos", "retinanet", "ssd"])
def test_detector__on_a_backbone_of_one_scale(head: str) -> None:
    net = detector(f"{head}-test_vit").eval()
    with torch.no_grad():
        found = net(list(torch.randn(1, 3, 96, 64)))
    assert found[0]["boxes"].shape[1] == 4


@pytest.mark.parametrize(
    "decoder", ["unet", "unetplusplus", "fpn", "deeplabv3plus", "segformer", "upernet"]
)
def test_segmenter__trains_on_a_single_image(decoder: str) -> None:
    encoder = "convnext_tiny" if decoder == "upernet" else "test_efficientnet"
    row = find(f"{decoder}-{encoder}", "segmentation")
    net = build(row, 5, (64, 96)).train()
    output = net(torch.randn(1, 3, 64, 96))
    output.sum().backward()
    assert output.shape == (1, 5, 64, 96)


def test_segmenter__encoder_that_cannot_carry_it() -> None:
    row = composed("unet", find("test_vit", "classification"), 64, (1.0, 1.0, 1.0))
    with pytest.raises(RecipeError, match="`test_vit` cannot carry the decoder `unet`"):
        build(row, 3, (64, 64))


def test_build__yolo_has_its_own_engine() -> None:
    with pytest.raises(RecipeError, match="its own engine `yolo`"):
        build(find("yolo11n", "detection"), 3, (64, 64))


@pytest.mark.parametrize("name", ["test_vit", "vit_tiny", "swin_tiny_patch4_window7_224"])
def test_classifier__transformers_take_other_sizes(name: str) -> None:
    net = build(find(name, "classification"), 4, (96, 64)).eval()
    with torch.no_grad():
        assert net(torch.randn(1, 3, 96, 64)).shape == (1, 4)


def test_normalisation__follows_the_weights() -> None:
    half = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    assert normalisation(find("efficientnet_lite0", "classification")) == half
    assert normalisation(find("fcos-efficientnet_lite0", "detection")) == half
    assert normalisation(find("unet-resnet50", "segmentation"))[0] == (0.485, 0.456, 0.406)
    assert normalisation(find("yolo11n", "detection")) == ((0, 0, 0), (1, 1, 1))


def test_stages__from_the_head_to_the_input() -> None:
    row = find("efficientnet_lite0", "classification")
    stage = stages(build(row, 3, (64, 64)), row)
    assert stage["classifier.weight"] == 0
    assert stage["conv_head.weight"] == stage["blocks.6.0.conv_dw.weight"] == 1
    assert stage["conv_stem.weight"] == stage["blocks.0.0.conv_dw.weight"] == 5
    body = [value for name, value in stage.items() if not name.startswith("classifier")]
    assert body == sorted(body, reverse=True)


def test_stages__new_parts_are_the_head() -> None:
    row = find("fcos-efficientnet_lite0", "detection")
    stage = stages(build(row, 3, (64, 64)), row)
    assert {v for k, v in stage.items() if ".fpn." in k or ".head." in k} == {0}
    assert {v for k, v in stage.items() if ".body." in k} == {1, 2, 3, 4, 5}
