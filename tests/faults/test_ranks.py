"""SIGTERM to one of two processes that train together: both stop at the same step, saved."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from automl.engines import checkpoint as checkpoints
from automl.run_dir import RunDir
from tests.engines.test_distributed import RECIPE, class_folders

EPOCHS = 400


def started(folder: Path, rank: int, port: int) -> subprocess.Popen[str]:
    """One rank, with what `torchrun` would tell it."""
    told = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "MASTER_PORT": port}
    more = {"TORCHELASTIC_RUN_ID": "test", "MASTER_ADDR": "127.0.0.1", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "automl", "run", "recipe.yaml", "--run-dir", "two"],
        cwd=folder,
        env={**os.environ, **more, **{name: str(value) for name, value in told.items()}},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def test_signal__ends_a_rank_that_waits_for_the_first_at_once(tmp_path: Path) -> None:
    """As `torchrun` does where the first one has found a fault in the data."""
    class_folders(tmp_path)
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    port = free_port()
    store = torch.distributed.TCPStore("127.0.0.1", port, 2, is_master=True, wait_for_workers=False)
    waiting = started(tmp_path, 1, port)
    try:
        before, until = store.num_keys(), time.monotonic() + 120
        while store.num_keys() == before:
            assert time.monotonic() < until
            assert waiting.poll() is None, waiting.communicate()[1]
            time.sleep(0.1)
        waiting.send_signal(signal.SIGTERM)
        waiting.communicate(timeout=10)
        assert waiting.returncode == -signal.SIGTERM
    finally:
        waiting.kill()


@pytest.mark.slow
@pytest.mark.parametrize("asked", [0, 1])
def test_signal__to_one_of_two_ranks_stops_both_at_the_same_step(
    asked: int, tmp_path: Path
) -> None:
    class_folders(tmp_path)
    (tmp_path / "recipe.yaml").write_text(RECIPE.replace("epochs: 2", f"epochs: {EPOCHS}"))
    port = free_port()
    ranks = [started(tmp_path, rank, port) for rank in (0, 1)]
    folder = RunDir(tmp_path / "two").checkpoints
    until = time.monotonic() + 240
    while not list(folder.glob("epoch-*")):
        assert time.monotonic() < until
        assert all(rank.poll() is None for rank in ranks), [r.communicate()[1] for r in ranks]
        time.sleep(0.05)
    ranks[asked].send_signal(signal.SIGTERM)
    began = time.monotonic()
    said = [rank.communicate(timeout=60)[1] for rank in ranks]
    assert time.monotonic() - began < 30
    assert [rank.returncode for rank in ranks] == [75, 75], said
    lines = [re.search(r"stopped by SIGTERM .*; saved", text) for text in said]
    assert lines[0], said
    assert lines[1], said
    assert lines[0][0] == lines[1][0]
    kept = checkpoints.newest(folder)
    assert kept is not None
    assert 0 < kept.epoch < EPOCHS
    if kept.step:
        assert f"in epoch {kept.epoch + 1}, step {kept.step};" in lines[0][0]
