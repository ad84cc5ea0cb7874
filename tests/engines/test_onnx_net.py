"""ONNX Runtime as a part of the program: it reports nothing to its maker."""

import os
import subprocess
import sys

import pytest

IMPORTED = "import onnxruntime"
BY_COMMAND = "from automl.environment import settle; settle(); import onnxruntime"
BY_ENGINE = """
import torch
from automl.engines.onnx_net import converted
net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Flatten()).eval()
assert converted(net, (8, 8), 1, "a net")(torch.zeros(1, 3, 8, 8).numpy())[0].shape == (1, 144)
"""


def left_at_home(home, code):
    """What is in the home folder of somebody who has run this."""
    known = {"PATH": os.environ["PATH"], "HOME": str(home), "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", code], check=True, env=known, timeout=300)
    return {path.name for path in home.rglob("*")}


@pytest.mark.parametrize("code", [BY_COMMAND, BY_ENGINE], ids=["command", "engine"])
def test_telemetry__is_off(tmp_path, code):
    assert "onnxruntime.db" not in left_at_home(tmp_path, code)


def test_telemetry__would_be_on(tmp_path):
    """The sign that the test above looks for; if it is gone, look for another."""
    assert "onnxruntime.db" in left_at_home(tmp_path, IMPORTED)
