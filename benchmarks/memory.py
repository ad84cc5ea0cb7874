"""Cost of a training step with and without `keep_freed_memory`, each in a process of its own.

python benchmarks/memory.py
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


def main() -> None:
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


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(*step_seconds(sys.argv[1] == "kept"))
    else:
        main()
