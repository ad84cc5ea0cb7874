"""Memory of a training step: what keeping freed blocks saves, and the bytes of an activation.

python benchmarks/memory.py [keeping | activations]

Each measurement has a process of its own. The bytes of an activation are the growth of the process
by two steps, less weights, gradients and the optimiser's state, over the activations of the model
table: `planning.settings.BYTES_PER_ACTIVATION` is to be no less.
"""

import resource
import subprocess
import sys

STEPS, BATCH, SIDE, ROUNDS = 6, 16, 224, 3


def step_seconds(keep: bool) -> tuple[float, float]:
    """CPU seconds in user space and in the kernel for an image's training step."""
    import timm
    import torch

    from automl.engines.memory import keep_freed_memory

    if keep:
        keep_freed_memory()
    torch.set_num_threads(1)
    net = timm.create_model("tf_efficientnet_lite0").to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(net.parameters())
    images = torch.rand(BATCH, 3, SIDE, SIDE).to(memory_format=torch.channels_last)
    for step in range(STEPS + 2):
        if step == 2:
            before = resource.getrusage(resource.RUSAGE_SELF)
        net(images).square().mean().backward()
        optimiser.step()
        optimiser.zero_grad()
    after = resource.getrusage(resource.RUSAGE_SELF)
    images_seen = STEPS * BATCH
    return (
        (after.ru_utime - before.ru_utime) / images_seen,
        (after.ru_stime - before.ru_stime) / images_seen,
    )


NETS = (
    ("efficientnet_lite0", "classification", 224, 8),
    ("efficientnet_lite0", "classification", 128, 32),
    ("mobilenetv2_100", "classification", 224, 8),
    ("resnet18", "classification", 224, 8),
    ("unet-efficientnet_lite0", "segmentation", 224, 4),
    ("fcos-efficientnet_lite0", "detection", 224, 2),
    ("vit_tiny", "classification", 224, 8),
)
STATE = 3
"""Copies of the weights that a step adds: gradients and two of AdamW."""


def activation_bytes(name: str, task: str, side: int, images: int) -> tuple[float, float]:
    """Gigabytes of the process before a step; bytes that an activation costs it."""
    import torch

    from automl.engines.memory import keep_freed_memory
    from automl.engines.transforms import dummy_annotation
    from automl.model.build import build
    from automl.planning.backbones import find
    from automl.tasks.protocol import LossSettings, module

    keep_freed_memory()
    torch.set_num_threads(1)
    row, steps = find(name, task), module(task)
    net = build(row, 5, (side, side)).to(memory_format=torch.channels_last).train()
    optimiser = torch.optim.AdamW(net.parameters())
    pixels = torch.rand(images, 3, side, side).to(memory_format=torch.channels_last)
    targets = steps.collate([dummy_annotation(task, side, side)] * images)
    before = peak()
    for _ in range(2):
        losses = steps.loss(net, pixels, targets, LossSettings())
        sum(losses.values()).backward()
        optimiser.step()
        optimiser.zero_grad()
    state = STATE * 4 * row.parameters * 1e6
    held = images * row.activations * 1e6 * side**2 / row.image_size**2
    return before / 1e9, (peak() - before - state) / held


def peak() -> int:
    """Bytes of this process at its fullest."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def activations() -> None:
    """Prints a line per net."""
    for net in NETS:
        command = [sys.executable, __file__, "activation", *map(str, net)]
        out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        base, each = (float(v) for v in out.split())
        name, task, side, images = net
        print(f"{name:26} {task:15} {side:4} px x {images:2}  {base:.2f} GB  {each:5.1f} bytes")


def keeping() -> None:
    """Prints the medians of interleaved rounds and their ratio."""
    found: dict[str, list[float]] = {"default": [], "kept": []}
    for _ in range(ROUNDS):
        for name in found:
            command = [sys.executable, __file__, name]
            out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            found[name].append(sum(float(v) for v in out.split()))
    medians = {name: sorted(values)[ROUNDS // 2] for name, values in found.items()}
    for name, value in medians.items():
        print(f"{name:8} {1000 * value:7.1f} CPU-ms an image")
    print(f"ratio    {medians['default'] / medians['kept']:7.2f}")


def main() -> None:
    """Measures in a child, or prints the tables that are asked for."""
    words = sys.argv[1:]
    if words[:1] == ["activation"]:
        name, task, side, images = words[1:]
        print(*activation_bytes(name, task, int(side), int(images)))
    elif words in (["default"], ["kept"]):
        print(*step_seconds(words == ["kept"]))
    else:
        if words != ["activations"]:
            keeping()
        if words != ["keeping"]:
            activations()


if __name__ == "__main__":
    main()
