"""What a registered model says it needs."""

from importlib import metadata

from automl.record import mlflow_register
from automl.run_dir import RunDir


def test_requirements__name_releases_that_an_index_has(tmp_path, monkeypatch):
    run = RunDir(tmp_path)
    run.model.mkdir()
    (run.model / "model.json").write_text('{"engine": "native"}')
    own = metadata.version
    monkeypatch.setattr(
        metadata, "version", lambda name: "2.11.0+cu128" if name == "torch" else own(name)
    )
    needed = mlflow_register._requirements(run)
    assert "torch==2.11.0" in needed
    assert not [line for line in needed if "+" in line]
