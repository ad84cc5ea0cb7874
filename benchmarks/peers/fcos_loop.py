"""A plain loop for boxes: torchvision's FCOS on a timm backbone, as its reference trains it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from dense import arguments, judged, load, rgb, train
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision import tv_tensors
from torchvision.models.detection import FCOS
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.ops.feature_pyramid_network import FeaturePyramidNetwork, LastLevelP6P7
from torchvision.transforms import v2

from automl.prediction import Prediction, Truth


class Boxes(Dataset[Any]):
    """Images and boxes of a COCO file."""

    def __init__(self, data: Path, split: str, transform: Any) -> None:
        told = json.loads((data / "annotations" / f"{split}.json").read_text())
        self.folder, self.images = data / "images" / split, told["images"]
        ids = sorted(c["id"] for c in told["categories"])
        self.names = [c["name"] for c in sorted(told["categories"], key=lambda c: c["id"])]
        self.known: dict[int, list[tuple[list[float], int]]] = {i["id"]: [] for i in self.images}
        for one in told["annotations"]:
            self.known[one["image_id"]].append((one["bbox"], ids.index(one["category_id"])))
        self.transform = transform

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Any:
        about = self.images[index]
        image = torch.from_numpy(rgb(self.folder / Path(about["file_name"]).name))
        known = self.known[about["id"]]
        boxes = torch.tensor([b for b, _ in known], dtype=torch.float32).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        target = {
            "boxes": tv_tensors.BoundingBoxes(
                boxes, format="XYXY", canvas_size=(about["height"], about["width"])
            ),
            "labels": torch.tensor([label for _, label in known], dtype=torch.int64),
        }
        return self.transform(tv_tensors.Image(image.permute(2, 0, 1)), target)


class Pyramid(nn.Module):
    """Strides 8 to 128 as torchvision's FCOS has them."""

    def __init__(self, name: str, weights: Path) -> None:
        super().__init__()
        self.body = timm.create_model(name, features_only=True, out_indices=(2, 3, 4))
        load(self.body, weights)
        self.out_channels = 256
        more = LastLevelP6P7(256, 256)
        self.fpn = FeaturePyramidNetwork(self.body.feature_info.channels(), 256, extra_blocks=more)

    def forward(self, images: torch.Tensor) -> Any:
        """Maps by name."""
        images = images.contiguous(memory_format=torch.channels_last)
        return self.fpn({str(i): one for i, one in enumerate(self.body(images))})


def main() -> None:
    given = arguments()
    torch.manual_seed(given.seed)
    torch.set_num_threads(1)
    last = [v2.ToDtype(torch.float32, scale=True), v2.SanitizeBoundingBoxes(), v2.ToPureTensor()]
    learn = v2.Compose([v2.RandomPhotometricDistort(), v2.RandomZoomOut(side_range=(1, 2)), *last])
    sets = Boxes(given.data, "train", learn), Boxes(given.data, "val", v2.Compose(last))
    anchors = AnchorGenerator(((8,), (16,), (32,), (64,), (128,)), ((1.0,),) * 5)
    net = FCOS(
        Pyramid(given.net, given.weights),
        len(sets[0].names),
        anchor_generator=anchors,
        score_thresh=0.02,  # the default of 0.2 leaves out what average precision counts
        min_size=given.size,
        max_size=given.size,
        image_mean=[0.5] * 3,
        image_std=[0.5] * 3,
    ).to(memory_format=torch.channels_last)
    loader = DataLoader(
        sets[0], given.batch, shuffle=True, collate_fn=lambda rows: tuple(zip(*rows, strict=True))
    )

    def loss(batch: Any) -> torch.Tensor:
        images, targets = batch
        found: torch.Tensor = sum(net(list(images), list(targets)).values())
        return found

    def pairs() -> Iterator[tuple[Truth, Prediction]]:
        for image, target in sets[1]:  # type: ignore[attr-defined]
            (found,) = net([image])
            boxes, labels = target["boxes"].numpy(), target["labels"].numpy()
            order = found["scores"].argsort(descending=True)
            yield (
                Truth("", boxes=boxes, labels=labels, crowd=np.zeros(len(labels), bool)),
                Prediction(
                    "", boxes=found["boxes"][order].numpy(), labels=found["labels"][order].numpy(),
                    confidences=found["scores"][order].numpy(),
                ),
            )  # fmt: skip

    train(
        net, lambda: iter(loader), len(loader), loss,
        lambda: judged("detection", pairs(), sets[0].names), given,
    )  # fmt: skip


if __name__ == "__main__":
    main()
