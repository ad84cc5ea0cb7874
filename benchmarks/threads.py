"""Training with the program's threads and wait policy, alone and beside a busy process.

python benchmarks/threads.py [--model efficientnet_lite0] [--size 128] [--trials 8] [--steps 3]

Steps per wall second of several processes that live side by side and take turns: one thread, as
many as cores with the wait policy that `automl` sets, with some spinning, and as torch would. Needs
cores that nothing else uses: the load is printed, the best trial of each stands beside the median.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
OURS = "all cores, as automl sets it"
BATCH = 16
BUSY = "while True: pass"


def cases(cores: int) -> dict[str, tuple[int, dict[str, str]]]:
    """Threads and environment of each; the first is what the others are compared with."""
    from automl.environment import QUIET

    ours = {name: value for name, value in QUIET.items() if name.startswith(("OMP", "GOMP", "KMP"))}
    return {
        "one thread": (1, {}),
        OURS: (cores, ours),
        "all cores, 1,000 spins": (cores, {"GOMP_SPINCOUNT": "1000"}),
        "all cores, 10,000 spins": (cores, {"GOMP_SPINCOUNT": "10000"}),
        "all cores, torch's default": (cores, {}),
    }


def train(threads: int, name: str, size: int) -> None:
    """A process that trains as many steps as it is told on its standard input."""
    import torch

    from automl.engines.memory import keep_freed_memory
    from automl.model.build import build
    from automl.planning.backbones import find

    torch.set_num_threads(threads)
    keep_freed_memory()
    net = build(find(name, "classification"), 10, (size, size)).train()
    net = net.to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(net.parameters(), lr=1e-4, fused=True)
    images = torch.rand(BATCH, 3, size, size).to(memory_format=torch.channels_last)
    targets = torch.arange(BATCH) % 10

    def step() -> None:
        torch.nn.functional.cross_entropy(net(images), targets).backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)

    step()
    print("ready", flush=True)
    for line in sys.stdin:
        began = time.perf_counter()
        for _ in range(int(line)):
            step()
        print(int(line) * BATCH / (time.perf_counter() - began), flush=True)


def started(threads: int, told: dict[str, str], asked: argparse.Namespace) -> subprocess.Popen[str]:
    names = ("OMP_", "GOMP_", "KMP_", "MKL_NUM")
    plain = {name: value for name, value in os.environ.items() if not name.startswith(names)}
    command = [sys.executable, __file__, "--child", str(threads)]
    process = subprocess.Popen(
        [*command, "--model", asked.model, "--size", str(asked.size)],
        env={**plain, **told, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    process.stdout.readline()
    return process


def rate(process: subprocess.Popen[str], steps: int) -> float:
    """Images per second of the next steps."""
    process.stdin.write(f"{steps}\n")
    process.stdin.flush()
    return float(process.stdout.readline())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default="efficientnet_lite0")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    if asked.child:
        return train(asked.child, asked.model, asked.size)
    from automl.planning.hardware import cores

    processes = {
        label: started(threads, told, asked) for label, (threads, told) in cases(cores()).items()
    }
    for busy, goal in ((False, 1.15), (True, 0.85)):
        other = subprocess.Popen([sys.executable, "-c", BUSY]) if busy else None
        found: dict[str, list[float]] = {label: [] for label in processes}
        for _ in range(asked.trials):
            for label, process in processes.items():
                found[label].append(rate(process, asked.steps))
        if other:
            other.kill()
        one = statistics.median(found["one thread"]), max(found["one thread"])
        where = "beside one busy process" if busy else "alone"
        print(f"{asked.model} at {asked.size} px, {where}; load {os.getloadavg()[0]:.1f}")
        for label, rates in found.items():
            middle, best = statistics.median(rates), max(rates)
            told = f"  (goal: {goal})" if label == OURS else ""
            print(
                f"  {label:30s} {middle:6.1f} images/s ({middle / one[0]:.2f})   "
                f"best {best:6.1f} ({best / one[1]:.2f}){told}",
                flush=True,
            )
    for process in processes.values():
        process.stdin.close()
        process.wait()
    return None


if __name__ == "__main__":
    main()
