"""The machine: device, memory, cores and how fast a convolution trains on it."""

import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from automl.errors import MachineError
from automl.planning import learnt
from automl.planning.overhead import USUAL_S

PROBE_SECONDS = 0.25
"""Longest measuring after the first, uncounted step."""
MOST_THREADS = 1024
SCALING = 0.9
"""Power of the number of cores by which training speeds up."""
CGROUPS = Path("/sys/fs/cgroup")
CGROUP_OF_THIS = Path("/proc/self/cgroup")
BF16_SINCE = 8
"""Compute capability of the first cards with bfloat16 in their tensor cores: Ampere."""


@dataclass(frozen=True)
class Hardware:
    """`device` is `cpu`, `cuda:N` or `mps`; `gflops` is the measured speed of training, 1e9 / s.

    On a CPU it is that of all `used_threads` while nothing else runs. `overhead_s`: seconds by
    stage of all that a run does beside its epochs, passed or usual. `threads` is what the
    environment asks for, if it does. `fastest` is the highest speed that was ever measured, where
    that is remembered: a busy moment is no slower machine. `processes` are those that `torchrun`
    has started: each has the device, cores and memory that stand here for itself, and takes its
    part of the images.
    """

    device: str
    name: str
    memory_bytes: int
    cores: int
    bf16: bool
    gflops: float
    overhead_s: Mapping[str, float] = field(default_factory=lambda: dict(USUAL_S))
    keeps_pixels: bool = True
    """Whether decoded pixels have a place between epochs."""
    threads: int | None = None
    processes: int = 1
    fastest: float = 0.0
    native_bf16: bool = False
    """Whether a CPU multiplies bfloat16 by instructions of its own; a net may gain by it or not."""


def require_device(device: str | None = None) -> str:
    """The full name of this device, or of the best one; MachineError where it is missing."""
    import torch

    return _choose(device, torch)


def probe(device: str | None = None) -> Hardware:
    """Looks at the asked device, or at the best one that is there."""
    import torch

    from automl.data.scan_cache import folder

    chosen = _choose(device, torch)
    memory, name, bf16 = _describe(chosen, torch)
    gflops = _measure(chosen, torch, bf16=bf16)
    what = f"{name}, {used_threads()} threads" if chosen == "cpu" else name
    return Hardware(
        device=chosen,
        name=name,
        memory_bytes=memory,
        cores=cores(),
        bf16=bf16,
        gflops=gflops,
        fastest=learnt.fastest(what, gflops),
        keeps_pixels=folder() is not None,
        threads=asked_threads(),
        processes=_started("WORLD_SIZE"),
        native_bf16=chosen == "cpu" and native_bf16(),
    )


def cores(root: Path = CGROUPS, of_this: Path = CGROUP_OF_THIS) -> int:
    """CPU cores that this process may use, by its affinity and by the quota of a container.

    A quota of one and a half cores is one: a second thread would wait for the next period. The
    processes that `torchrun` starts on a machine share its cores.
    """
    seen = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    quotas = (_quota(folder) for folder in _groups("cpu", root, of_this))
    granted = min([seen or 1, *(int(quota) for quota in quotas if quota)])
    return max(1, granted // _started("LOCAL_WORLD_SIZE"))


def asked_threads() -> int | None:
    """What the user wants of OpenMP; `torchrun` sets it to one where several processes compute."""
    asked = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return int(asked) if asked.isdigit() and 0 < int(asked) <= MOST_THREADS else None


def used_threads() -> int:
    """Threads that compute at the same time: those asked for, or all, on the cores there are."""
    return min(asked_threads() or cores(), cores())


def _started(variable: str) -> int:
    """Processes that `torchrun` has started, in all or on this machine."""
    return int(os.environ[variable]) if "TORCHELASTIC_RUN_ID" in os.environ else 1


def memory_limits(root: Path = CGROUPS, of_this: Path = CGROUP_OF_THIS) -> list[Path]:
    """Files that may limit the memory: of this process's control group and of those above it."""
    names = ("memory.max", "memory.limit_in_bytes")
    return [folder / name for folder in _groups("memory", root, of_this) for name in names]


def _quota(group: Path) -> float | None:
    """Cores that a control group grants; None where it sets no limit."""
    for names in (("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us")):
        try:
            words = " ".join((group / name).read_text(encoding="ascii") for name in names).split()
        except (OSError, UnicodeDecodeError):
            continue
        if len(words) == 2 and all(word.isdigit() for word in words) and int(words[1]):
            return int(words[0]) / int(words[1])
    return None


def _groups(controller: str, root: Path, of_this: Path) -> list[Path]:
    """The control group of this process and those above it, in both versions."""
    try:
        lines = of_this.read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    found = [root, root / controller]
    for line in lines:  # `0::/group` of version 2, `4:memory:/group` of version 1
        _, _, rest = line.partition(":")
        kinds, _, group = rest.partition(":")
        if kinds and controller not in kinds.split(","):
            continue
        place = root / controller if kinds else root
        parts = [part for part in group.split("/") if part not in ("", "..")]
        found += [place.joinpath(*parts[:end]) for end in range(1, len(parts) + 1)]
    return found


def cpu_memory(limits: Iterable[Path] | None = None) -> int:
    """Bytes of memory: what the machine has, or less where a control group limits it."""
    limits = memory_limits() if limits is None else limits
    if not hasattr(os, "sysconf"):
        return 4 * 2**30
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for file in limits:
        try:
            text = file.read_text(encoding="ascii").strip()
        except OSError:
            continue
        if text.isdigit():
            total = min(total, int(text))
    return total


def _choose(device: str | None, torch: Any) -> str:
    """The device by its full name; MachineError where it is not there."""
    cuda = torch.cuda.device_count() if torch.cuda.is_available() else 0
    mps = torch.backends.mps.is_available()
    there = ["cpu", *(f"cuda:{i}" for i in range(cuda)), *(["mps"] if mps else [])]
    if device is None or device == "auto":
        return "cuda:0" if cuda else "mps" if mps else "cpu"
    asked = "cuda:0" if device == "cuda" else device
    if asked not in there:
        raise MachineError(
            f"device `{device}` is not on this machine",
            hint=f"available: {', '.join(there)}; without `--device` the best one is used",
        )
    return str(asked)


def _describe(device: str, torch: Any) -> tuple[int, str, bool]:
    """Memory in bytes, name, and whether bfloat16 is native."""
    if device.startswith("cuda"):
        card = torch.cuda.get_device_properties(device)
        return int(card.total_memory), str(card.name), card.major >= BF16_SINCE
    if device == "mps":
        return cpu_memory(), "Apple GPU", False
    return cpu_memory() // _started("LOCAL_WORLD_SIZE"), cpu_name(), False


def cpu_name() -> str:
    """The processor as Linux names it."""
    import platform

    return _of_cpu("model name") or platform.processor() or platform.machine()


def native_bf16() -> bool:
    """Whether the processor has instructions for bfloat16, in vectors or in tiles."""
    return bool({"avx512_bf16", "amx_bf16", "bf16"} & set(_of_cpu("flags", "Features").split()))


def _of_cpu(*names: str) -> str:
    """What Linux says of the first processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(names)), "")


def _measure(device: str, torch: Any, *, bf16: bool) -> float:
    """Billions of operations a second of a 3x3 convolution, forward and backward."""
    on_card = device != "cpu"
    batch, channels, side = (64, 128, 56) if on_card else (2, 64, 56)
    layer = torch.nn.Conv2d(channels, channels, 3, padding=1, bias=False).to(device)
    layer = layer.to(memory_format=torch.channels_last)
    images = torch.rand(batch, channels, side, side, device=device)
    images = images.to(memory_format=torch.channels_last).requires_grad_()
    operations = 3 * 2 * batch * channels * channels * 9 * side * side

    def step() -> None:
        with torch.autocast(device.partition(":")[0], torch.bfloat16, enabled=bf16):
            loss = layer(images).float().mean()
        torch.autograd.grad(loss, [layer.weight, images])[0].sum().item()

    if on_card:
        return float(operations / _fastest(step, time.perf_counter, warm_up=5) / 1e9)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        # CPU time of one thread is the same on a busy machine; wall time is not.
        seconds = _fastest(step, time.process_time, warm_up=1)
    finally:
        torch.set_num_threads(threads)
    return float(operations / seconds / 1e9 * used_threads() ** SCALING)


def _fastest(step: Callable[[], None], clock: Callable[[], float], warm_up: int) -> float:
    """Seconds of the fastest of several steps on a clock."""
    for _ in range(warm_up):
        step()
    best, began = float("inf"), time.perf_counter()
    while time.perf_counter() - began < PROBE_SECONDS or best == float("inf"):
        start = clock()
        step()
        best = min(best, max(clock() - start, 1e-6))
    return best
