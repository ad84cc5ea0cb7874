"""A new SQLite store is there whole or not at all, whoever makes it at the same time."""

import signal
import subprocess
import sys

from automl.record.mlflow_client import Store, opened

OPENS = """
import sys
from automl.record.mlflow_client import Store, opened
print("ready", flush=True)
with opened(Store(sys.argv[1], "automl")) as client:
    print([found.name for found in client.search_experiments()])
"""


def opening(uri: str) -> subprocess.Popen:
    words = [sys.executable, "-c", OPENS, uri]
    return subprocess.Popen(words, stdout=subprocess.PIPE, text=True)


def test_opened__by_two_at_once_where_there_is_no_store_yet(workspace):
    uri = f"sqlite:///{workspace / 'mlflow.db'}"
    both = [opening(uri), opening(uri)]
    for process in both:
        told, _ = process.communicate()
        assert told.splitlines() == ["ready", "['Default']"]
        assert process.returncode == 0
    assert not list(workspace.glob(".mlflow.db*"))


def test_opened__a_kill_leaves_no_half_of_a_store(workspace):
    file = workspace / "mlflow.db"
    process = opening(f"sqlite:///{file}")
    while not list(workspace.glob(".mlflow.db*.new")):
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not file.exists()
    with opened(Store(f"sqlite:///{file}", "automl")) as client:
        assert [found.name for found in client.search_experiments()] == ["Default"]
