"""A plain loop for masks: segmentation-models-pytorch with Albumentations."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import albumentations
import cv2
import numpy as np
import segmentation_models_pytorch as smp
import torch
from albumentations.pytorch import ToTensorV2
from dense import arguments, judged, load, rgb, train
from torch.utils.data import DataLoader, Dataset

from automl.prediction import Prediction, Truth


class Masks(Dataset[Any]):
    """Images and masks of a split; decoded and augmented anew each time."""

    def __init__(self, data: Path, split: str, transform: Any) -> None:
        self.rows = sorted((data / "images" / split).iterdir())
        self.masks, self.transform = data / "masks" / split, transform

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Any:
        path = self.rows[index]
        mask = cv2.imread(str(self.masks / f"{path.stem}.png"), cv2.IMREAD_UNCHANGED)
        done = self.transform(image=rgb(path), mask=mask)
        return done["image"], done["mask"].long()


def main() -> None:
    given = arguments()
    torch.manual_seed(given.seed)
    torch.set_num_threads(1)
    names = (given.data / "classes.txt").read_text().split()
    last = [albumentations.Normalize((0.5,) * 3, (0.5,) * 3), ToTensorV2()]
    learn = albumentations.Compose(
        [
            albumentations.Affine(scale=(0.8, 1.25), translate_percent=0.1, rotate=(-10, 10)),
            albumentations.ColorJitter(p=0.5),
            *last,
        ],
        seed=given.seed,
    )
    sets = Masks(given.data, "train", learn), Masks(given.data, "val", albumentations.Compose(last))
    net = smp.Unet(f"tu-{given.net}", encoder_weights=None, classes=len(names))
    load(net.encoder.model, given.weights)
    net = net.to(memory_format=torch.channels_last)
    dice = smp.losses.DiceLoss("multiclass")
    loader = DataLoader(sets[0], given.batch, shuffle=True, drop_last=True)

    def loss(batch: Any) -> torch.Tensor:
        images, masks = batch
        logits = net(images.contiguous(memory_format=torch.channels_last))
        found: torch.Tensor = torch.nn.functional.cross_entropy(logits, masks) + dice(logits, masks)
        return found

    def pairs() -> Iterator[tuple[Truth, Prediction]]:
        for images, masks in DataLoader(sets[1], 8):
            found = net(images.contiguous(memory_format=torch.channels_last)).argmax(1)
            for one, mask in zip(found.numpy(), masks.numpy(), strict=True):
                both = [part.astype(np.uint8) for part in (mask, one)]
                yield Truth("", mask=both[0]), Prediction("", mask=both[1])

    train(
        net,
        lambda: iter(loader),
        len(loader),
        loss,
        lambda: judged("segmentation", pairs(), names),
        given,
    )


if __name__ == "__main__":
    main()
