"""What torch is told of a device's kernels, and what it says of them; plain facts out."""

from typing import Any

import torch

from automl.record.machine import gpu_driver


def let_cudnn_choose(device: torch.device) -> None:
    """On a card, cuDNN tries its convolutions at a shape's first use and keeps the fastest.

    The shapes of a training stay the same. Which one wins may differ from run to run.
    """
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = True


def device_facts(device: str) -> dict[str, Any]:
    """The device behind its name, and the libraries that choose its kernels."""
    if device.startswith("cuda") and torch.cuda.is_available():
        card = torch.cuda.get_device_properties(device)
        return {
            "name": str(card.name),
            "capability": f"{card.major}.{card.minor}",
            "memory_bytes": int(card.total_memory),
            "cuda": str(torch.version.cuda or torch.version.hip or ""),
            "cudnn": torch.backends.cudnn.version(),  # type: ignore[no-untyped-call]
            "driver": gpu_driver(),
        }
    return {
        "name": device,
        "kernels": str(torch.backends.cpu.get_cpu_capability()),
        "mkldnn": bool(torch.backends.mkldnn.is_available()),  # type: ignore[no-untyped-call]
        "mkl": bool(torch.backends.mkl.is_available()),  # type: ignore[no-untyped-call]
    }


def determinism(engine: str, device: str) -> dict[str, Any]:
    """The settings in force now, and in one word what they promise.

    `bits`: the same bits on the same machine with the same packages and threads; `algorithms`:
    torch was told to take deterministic ones; `seeded`: everything drawn is, rounding is not.
    """
    strict = torch.are_deterministic_algorithms_enabled()
    level = (
        "bits" if (engine, device) == ("native", "cpu") else "algorithms" if strict else "seeded"
    )
    return {
        "level": level,
        "deterministic_algorithms": strict,
        "warn_only": torch.is_deterministic_algorithms_warn_only_enabled(),
        "cudnn_deterministic": torch.backends.cudnn.deterministic,
        "cudnn_benchmark": torch.backends.cudnn.benchmark,
        **_tf32(),
        "threads": torch.get_num_threads(),
    }


def _tf32() -> dict[str, Any]:
    """Torch refuses to say so in the old words where somebody set it in the new ones."""
    try:
        return {
            "tf32_matmul": torch.backends.cuda.matmul.allow_tf32,
            "tf32_cudnn": torch.backends.cudnn.allow_tf32,
            "matmul_precision": torch.get_float32_matmul_precision(),
        }
    except RuntimeError:
        return {
            "tf32_matmul": torch.backends.cuda.matmul.fp32_precision,
            "tf32_cudnn": torch.backends.cudnn.conv.fp32_precision,  # type: ignore[attr-defined]
        }
