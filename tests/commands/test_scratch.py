"""The folder of one command: gone when it ends, and when it was killed, by the next one."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from automl.commands.scratch import scratch

HELD = """
import sys
from automl.commands.scratch import scratch
with scratch() as folder:
    (folder / "a").touch()
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def test_scratch__is_gone_afterwards(place):
    with scratch() as folder:
        assert folder.is_dir()
    assert list(place.iterdir()) == []


def test_scratch__that_of_a_killed_command_goes_and_that_of_a_living_one_stays(place):
    held = subprocess.Popen(
        [sys.executable, "-c", HELD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with held:
        theirs = Path(held.stdout.readline().strip())
        with scratch():
            assert (theirs / "a").exists()
        os.kill(held.pid, signal.SIGKILL)
        held.wait()
    assert theirs.exists()
    with scratch() as ours:
        assert not theirs.exists()
        assert ours.exists()


def test_scratch__a_link_of_that_name_is_left_alone(place):
    (place / "kept/run").mkdir(parents=True)
    (place / "kept/lock").touch()
    (place / "automl-plan-x").symlink_to(place / "kept")
    with scratch():
        pass
    assert (place / "kept/run").is_dir()
