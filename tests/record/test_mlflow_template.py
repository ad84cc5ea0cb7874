"""A new SQLite store is a copy of an empty one that is kept."""

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from importlib import metadata
from pathlib import Path

import pytest

from automl.record import mlflow_template
from automl.record.mlflow_client import Store, opened

LEAN = """
import sys
from automl.record.mlflow_client import Store, opened, spare
spare()
with opened(Store(sys.argv[1], "automl")) as client:
    found = client.search_experiments()
assert not any(sys.modules.get(name) for name in ("pandas", "polars", "pyarrow", "scipy"))
print(found[0].name, found[0].artifact_location)
"""


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("AUTOML_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "mlflow"


@pytest.fixture
def kept(cache, template_store) -> Path:
    """A store that an earlier run has kept."""
    cache.mkdir(parents=True)
    empty = cache / "new.db"
    shutil.copy(template_store, empty)
    with closing(sqlite3.connect(empty)) as store:
        store.execute("DELETE FROM experiments")
        store.commit()
    digest = mlflow_template._digest(empty.read_bytes())
    return empty.rename(cache / f"{metadata.version('mlflow')}-{digest}.db")


def test_provide__a_copy_in_which_mlflow_finds_itself_at_home(kept, workspace):
    store = Store(f"sqlite:///{workspace / 'mlflow.db'}", "automl")
    code = [sys.executable, "-c", LEAN, store.uri]
    told = subprocess.run(code, check=True, capture_output=True, text=True).stdout.split()
    assert told == ["Default", str(workspace / "mlruns" / "0")]
    assert not list(workspace.glob(".mlflow.db*"))
    with opened(store) as client:
        client.create_experiment("mine")
    content = (workspace / "mlflow.db").read_bytes()
    mlflow_template.provide(workspace / "mlflow.db")
    assert (workspace / "mlflow.db").read_bytes() == content


def test_provide__makes_what_is_kept_anew_where_it_is_damaged(kept, cache, workspace):
    content = bytearray(kept.read_bytes())
    content[5000] ^= 1
    kept.write_bytes(content)
    mlflow_template.provide(workspace / "mlflow.db")
    (made,) = cache.iterdir()
    assert made.read_bytes() == (workspace / "mlflow.db").read_bytes() != bytes(content)
    with opened(Store(f"sqlite:///{workspace / 'mlflow.db'}", "automl")) as client:
        assert client.search_experiments()[0].name == "Default"


def test_provide__without_a_cache_or_a_folder_mlflow_does_it(monkeypatch, workspace):
    monkeypatch.setenv("AUTOML_CACHE", "off")
    mlflow_template.provide(workspace / "mlflow.db")
    mlflow_template.provide(workspace / "nowhere" / "mlflow.db")
    assert not (workspace / "mlflow.db").exists()


@pytest.mark.parametrize(
    ("uri", "file"),
    [
        ("sqlite:////a/b.db", "/a/b.db"),
        ("sqlite:////a/b.db?timeout=5", "/a/b.db"),
        ("sqlite:///:memory:", None),
        ("sqlite://", None),
        ("http://tracker/a.db", None),
    ],
)
def test_file__of_a_store(uri, file):
    found = Store(uri, "automl").file
    assert (str(found) if found else None) == file
