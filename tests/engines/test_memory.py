"""Freed blocks: kept by the process while it trains, given back after a trial."""

import subprocess
import sys

MEASURED = """
import sys
import numpy as np
from automl.engines.memory import give_back_freed_memory, keep_freed_memory

def resident():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * 4096 / 1e6

if not keep_freed_memory():
    sys.exit("no glibc")
before = resident()
blocks = [np.ones(8_000_000, np.uint8) for _ in range(25)]
del blocks
kept = resident()
give_back_freed_memory()
print(kept - before, resident() - before)
"""


def test_give_back_freed_memory__what_was_kept_goes_back_to_the_system():
    done = subprocess.run(
        [sys.executable, "-c", MEASURED], capture_output=True, text=True, check=True
    )
    kept, left = map(float, done.stdout.split())
    assert kept > 150
    assert left < 20
