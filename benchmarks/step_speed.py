"""Trains a few steps of some rows and sets the speed beside what the plan would expect.

python benchmarks/step_speed.py [NAME:SIZE ...]     # SIZE one number, or HEIGHTxWIDTH
"""

import sys
import time

import torch

from automl.model.build import build
from automl.planning.backbones import TABLE
from automl.planning.cost import seconds_per_image
from automl.planning.hardware import probe

DEFAULT = (
    "efficientnet_lite0:64 efficientnet_lite0:128 efficientnet_lite0:224 efficientnet_lite2:224 "
    "resnet18:224 mobilenetv2_100:224 vit_tiny:224 unet-efficientnet_lite0:192 "
    "unet-efficientnet_lite0:320 "
    "deeplabv3plus-efficientnet_lite0:192 fcos-efficientnet_lite0:192 "
    "fcos-efficientnet_lite0:320x416 ssd-efficientnet_lite0:320"
)
STEPS = 3


def seconds(name: str, size: tuple[int, int], batch: int, device: str) -> float:
    """Median seconds per image of forward, backward and update."""
    row = next(r for r in TABLE if r.name == name)
    net = build(row, 10, size).to(device).to(memory_format=torch.channels_last).train()
    optimiser = torch.optim.AdamW(net.parameters(), lr=1e-4)
    images = torch.rand(batch, 3, *size, device=device).to(memory_format=torch.channels_last)
    boxes = torch.tensor([[5.0, 5.0, 40.0, 40.0], [20.0, 30.0, 60.0, 60.0]], device=device)
    labels = torch.tensor([1, 2], device=device)
    times = []
    for _ in range(STEPS + 1):
        began = time.perf_counter()
        with torch.autocast(device.partition(":")[0], torch.bfloat16, enabled=device != "cpu"):
            if row.task == "detection":
                parts = net(list(images), [{"boxes": boxes, "labels": labels}] * batch)
                loss = sum(parts.values())
            else:
                loss = net(images).float().square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        loss.item()
        times.append(time.perf_counter() - began)
    return sorted(times[1:])[STEPS // 2] / batch


def main(asked: list[str]) -> None:
    """Prints a line per model and size."""
    hardware = probe()
    torch.set_num_threads(hardware.cores if hardware.device == "cpu" else torch.get_num_threads())
    hardware = probe()
    print(hardware)
    for entry in asked:
        name, _, text = entry.partition(":")
        sides = [int(side) for side in text.split("x")]
        size = (sides[0], sides[-1])
        row = next(r for r in TABLE if r.name == name)
        batch = {"classification": 32, "segmentation": 8, "detection": 8}[row.task]
        found = seconds(name, size, batch, hardware.device)
        expected = seconds_per_image(row, size, hardware.device, hardware.gflops)
        print(f"{entry:42s} {1 / found:8.1f} images/s, expected {1 / expected:8.1f}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:] or DEFAULT.split())
