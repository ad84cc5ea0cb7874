"""What a recipe names and does not exist is found before any data is read."""

from pathlib import Path

import pytest

from automl.commands.workspace import load
from automl.errors import Fault, RecipeError


def faults(folder: Path, text: str, task: str = "classification") -> tuple[Fault, ...]:
    file = folder / "r.yaml"
    file.write_text(f"task: {task}\ndata: nowhere\n{text}")
    with pytest.raises(RecipeError) as caught:
        load(file)
    return caught.value.faults


@pytest.mark.parametrize(
    ("text", "task", "message", "hint", "place"),
    [
        (
            "model: efficientnet_lit0",
            "classification",
            "unknown model `efficientnet_lit0`",
            "did you mean `efficientnet_lite0`",
            "3:1",
        ),
        ("model: resnet18.nonsense", "classification", "unknown model", "", "3:1"),
        ("model: hf-hub:someone/net", "classification", "unknown model", "", "3:1"),
        ("model: local-dir:/tmp", "classification", "unknown model", "", "3:1"),
        (
            "model: unet-resnet50",
            "detection",
            "is for segmentation, the task is detection",
            "",
            "3:1",
        ),
        ("model: yolo26n", "detection", "is not permissive: AGPL-3.0", "licence: any", "3:1"),
        (
            "goal: {metric: accurcy, at_least: 0.5}",
            "classification",
            "the goal's metric `accurcy` is not a metric of classification",
            "did you mean `accuracy`?",
            "3:8",
        ),
        ("goal: {metric: map50, at_least: 0.5}", "segmentation", "not a metric", "miou", "3:8"),
        ("goal: {metric: log_loss, at_least: 0.5}", "classification", "not a metric", "auc", "3:8"),
        (
            "goal: {metric: map, at_least: 85}",
            "detection",
            "map 85 cannot be reached",
            "`at_least: 0.85`",
            "3:21",
        ),
        (
            "augment: [{HorizontalFlipp: {}}]",
            "classification",
            "`HorizontalFlipp` in `augment` is not an Albumentations transform",
            "did you mean `HorizontalFlip`?",
            "3:11",
        ),
        (
            "augment: [{HorizontalFlip: {q: 1}}]",
            "detection",
            "'q' are not valid",
            "documen",
            "3:11",
        ),
        (
            "augment: [{HorizontalFlip: {p: 7}}]",
            "detection",
            "less than or equal to 1",
            "doc",
            "3:11",
        ),
        ("augment: [{RandomCrop: {}}]", "detection", "height; Field required", "doc", "3:11"),
        ("augment: [{}]", "detection", "0 transforms in one item", "HorizontalFlip", "3:11"),
        ("augment: [{Blur: {}, ToGray: {}}]", "detection", "2 transforms in one item", "", "3:11"),
        (
            "augment: [{Compose: {transforms: []}}]",
            "detection",
            "not an Albumentations",
            "",
            "3:11",
        ),
        ("augment: [{BasicTransform: {}}]", "detection", "not an Albumentations", "", "3:11"),
        ("augment: [{os: {}}]", "detection", "is not an Albumentations transform", "", "3:11"),
    ],
)
def test_unknown_names(tmp_path, text, task, message, hint, place):
    (fault,) = faults(tmp_path, text, task)
    assert message in fault.message
    assert "\n" not in fault.message
    assert hint in fault.hint
    assert fault.hint
    assert fault.where == f"{tmp_path}/r.yaml:{place}"


def test_unknown_names__all_at_once(tmp_path):
    found = faults(
        tmp_path,
        "model: nonsense\naugment: [{Blurr: {}}, {ToGray: {}}, {Flop: {}}]\n"
        "goal: {metric: f1, at_least: 0.5}\n",
    )
    assert [fault.where.partition("r.yaml:")[2] for fault in found] == [
        "3:1",
        "4:11",
        "4:38",
        "5:8",
    ]
