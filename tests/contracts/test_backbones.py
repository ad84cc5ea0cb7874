"""Every row of the model table is built, trained one step and used to predict."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from automl.model.build import build, stages
from automl.planning.backbones import DECODERS, HEADS, TABLE, Backbone, find

CLASSES, SIDE = 3, 64
LARGE = 30.0  # million parameters; these rows take seconds each
SLOW_YOLO = "smlx"


def rows(engine: str) -> list[Any]:
    """The rows of an engine, the large ones marked slow."""
    chosen = []
    for row in TABLE:
        if row.engine == engine:
            slow = row.parameters > LARGE or (engine == "yolo" and row.name[-1] in SLOW_YOLO)
            marks = [pytest.mark.slow] if slow else []
            chosen.append(pytest.param(row, id=f"{row.task}-{row.name}", marks=marks))
    return chosen


def targets() -> list[dict[str, Tensor]]:
    """Overlapping boxes on one image, none on the other."""
    boxes = torch.tensor([[4.0, 8, 40, 60], [10, 10, 44, 58], [50, 50, 58, 60]])
    return [
        {"boxes": boxes, "labels": torch.tensor([2, 0, 1])},
        {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.long)},
    ]


def loss(row: Backbone, net: nn.Module, images: Tensor) -> Tensor:
    match row.task:
        case "classification":
            return functional.cross_entropy(net(images), torch.tensor([0, 2]))
        case "segmentation":
            return functional.cross_entropy(net(images), (images[:, 0] > 0).long())
        case _:
            return sum(net(list(images), targets()).values(), torch.zeros(()))


def judge_prediction(row: Backbone, output: Any) -> None:
    """Shapes, types and ranges of what a net gives for two images."""
    if row.task == "classification":
        assert output.shape == (2, CLASSES)
    elif row.task == "segmentation":
        assert output.shape == (2, CLASSES, SIDE, SIDE)
    else:
        assert len(output) == 2
        for found in output:
            boxes, labels, scores = found["boxes"], found["labels"], found["scores"]
            assert boxes.shape == (len(labels), 4)
            assert len(scores) == len(labels) <= 300
            assert boxes.dtype == scores.dtype == torch.float32
            assert ((labels >= 0) & (labels < CLASSES)).all()
            assert ((boxes >= 0) & (boxes <= SIDE)).all()
            assert ((scores >= 0) & (scores <= 1)).all()


@pytest.mark.parametrize("row", rows("native"))
def test_row__builds_learns_and_predicts(row: Backbone) -> None:
    judge_net(row)


@pytest.mark.parametrize("head", [*DECODERS, *HEADS])
def test_composed__builds_learns_and_predicts(head: str) -> None:
    judge_net(find(f"{head}-lcnet_050", "segmentation" if head in DECODERS else "detection"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "encoder", ["mambaout_femto", "mobilevit_s", "dla34", "swinv2_cr_tiny_224"]
)
@pytest.mark.parametrize("head", ["unet", "upernet", "fcos"])
def test_composed__on_encoders_of_other_families(head: str, encoder: str) -> None:
    judge_net(find(f"{head}-{encoder}", "segmentation" if head in DECODERS else "detection"))


def judge_net(row: Backbone) -> None:
    """Built, trained one step and used to predict."""
    torch.manual_seed(0)
    net = build(row, CLASSES, (SIDE, SIDE)).train()
    images = torch.randn(2, 3, SIDE, SIDE)
    optimiser = torch.optim.SGD(net.parameters(), lr=1e-4)
    value = loss(row, net, images)
    value.backward()
    assert torch.isfinite(value)
    assert all(p.requires_grad and p.grad is not None for p in net.parameters())
    assert all(torch.isfinite(p.grad).all() for p in net.parameters() if p.grad is not None)
    moved = {stage: 0.0 for stage in range(6)}
    stage_of = stages(net, row)
    assert list(stage_of) == [name for name, _parameter in net.named_parameters()]
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None
        moved[stage_of[name]] += parameter.grad.abs().sum().item()
    assert min(moved.values()) > 0
    optimiser.step()
    assert torch.isfinite(loss(row, net, images))
    net.eval()
    with torch.no_grad():
        judge_prediction(row, net(list(images) if row.task == "detection" else images))


@pytest.fixture(scope="module")
def ultralytics(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """The library, set up as a quiet stranger that leaves nothing in the user's home."""
    with pytest.MonkeyPatch.context() as environment:
        folder: Path = tmp_path_factory.mktemp("ultralytics")
        environment.setenv("YOLO_CONFIG_DIR", str(folder))
        for name in ("YOLO_OFFLINE", "ULTRALYTICS_SKIP_REQUIREMENTS_CHECKS"):
            environment.setenv(name, "1")
        environment.setenv("YOLO_AUTOINSTALL", "0")
        environment.setenv("YOLO_VERBOSE", "0")
        pytest.importorskip("ultralytics", reason="the extra `yolo` is not installed")
        from ultralytics.cfg import get_cfg
        from ultralytics.nn.tasks import DetectionModel

        return SimpleNamespace(DetectionModel=DetectionModel, get_cfg=get_cfg)


@pytest.mark.parametrize("row", rows("yolo"))
def test_row__ultralytics_builds_learns_and_predicts(
    row: Backbone, ultralytics: SimpleNamespace
) -> None:
    torch.manual_seed(0)
    net = ultralytics.DetectionModel(row.architecture, nc=CLASSES, verbose=False)
    net.args = ultralytics.get_cfg()
    images = torch.rand(2, 3, SIDE, SIDE)
    batch = {
        "img": images,
        "batch_idx": torch.tensor([0.0, 0.0]),
        "cls": torch.tensor([[2.0], [0.0]]),
        "bboxes": torch.tensor([[0.5, 0.5, 0.4, 0.6], [0.3, 0.3, 0.2, 0.2]]),
    }
    net.train()
    losses, _parts = net.loss(batch)
    losses.sum().backward()
    assert torch.isfinite(losses).all()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())
    net.eval()
    with torch.no_grad():
        output = net(images)
    assert torch.isfinite(output[0]).all()
    assert output[0].shape[0] == 2
