"""The record in DVC, in real Git + DVC repositories by the real command."""

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from automl.dataset import Dataset
from automl.record import dvc_workspace
from automl.record.dvc_workspace import dvc_command, track

CHECKOUT = Path(__file__).parents[2]


def sh(*words: str, folder: Path | None = None) -> str:
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def dvc(*words: str) -> str:
    command = dvc_command()
    assert command
    return sh(command, *words)


@pytest.fixture
def repository(workspace, template_repository):
    shutil.copytree(template_repository, workspace, dirs_exist_ok=True)
    return workspace


@pytest.fixture
def bundled(run):
    run.model.mkdir()
    (run.model / "weights.safetensors").write_bytes(os.urandom(4096))
    (run.model / "model.json").write_text('{"engine": "native"}\n')
    return run


def digests(folder: Path) -> dict[str, str]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def track_run(run, recipe):
    return track(run, Dataset.read(run.dataset), recipe)


def test_track__links_data_and_bundle_without_a_copy(repository, bundled, recipe):
    data = repository / "data" / "pets"
    before = digests(data)
    inodes = {path: path.stat().st_ino for path in data.rglob("*.png")}
    config = (repository / ".dvc" / "config").read_text()

    record = track_run(bundled, recipe)

    assert digests(data) == before
    assert {path: path.stat().st_ino for path in data.rglob("*.png")} == inodes
    cached = {p.stat().st_ino for p in (repository / ".dvc" / "cache").rglob("*") if p.is_file()}
    weights = bundled.model / "weights.safetensors"
    assert {*inodes.values(), weights.stat().st_ino} <= cached
    assert weights.stat().st_nlink == 2
    assert (repository / ".dvc" / "config").read_text() == config
    assert not (repository / ".dvc" / "config.local").exists()
    written = yaml.safe_load((repository / "data" / "pets.dvc").read_text())
    assert record.data.md5 == written["outs"][0]["md5"]
    assert record.data.md5.endswith(".dir")
    assert record.model.path == f"runs/{bundled.id}/model"
    assert record.tags()["dvc.model.md5"] == record.model.md5
    assert dvc("status", "--json").strip() == "{}"
    assert record.note == (
        f"tracked by `data/pets.dvc` and `runs/{bundled.id}/model.dvc`; "
        "commit these files, then `dvc push`"
    )


def test_track__leaves_git_to_the_user_but_ignores_what_is_heavy(repository, bundled, recipe):
    bundled.checkpoints.mkdir()
    (bundled.checkpoints / "weights.safetensors").write_bytes(b"heavy")
    head = sh("git", "rev-parse", "HEAD")
    index = sh("git", "diff", "--cached", "--name-only")

    track_run(bundled, recipe)

    assert sh("git", "rev-parse", "HEAD") == head
    assert sh("git", "diff", "--cached", "--name-only") == index
    sh("git", "add", "--all")
    added = sh("git", "diff", "--cached", "--name-only").split()
    assert f"runs/{bundled.id}/model.dvc" in added
    assert "data/pets.dvc" in added
    assert not [name for name in added if name.endswith((".safetensors", ".png"))]


def test_track__twice_changes_nothing_and_new_images_are_taken_up(repository, bundled, recipe):
    first = track_run(bundled, recipe)
    assert track_run(bundled, recipe) == first

    (repository / "data" / "pets" / "cat" / "more.png").write_bytes(b"new")
    later = track_run(bundled, recipe)

    assert later.data.md5 != first.data.md5
    assert later.model == first.model


def test_track__survives_push_and_pull(repository, bundled, recipe, tmp_path):
    track_run(bundled, recipe)
    before = digests(bundled.model)
    dvc("remote", "add", "-d", "shelf", str(tmp_path / "shelf"))
    dvc("push")
    sh("git", "add", "--all")
    sh("git", "commit", "-qm", "run")
    clone = tmp_path / "clone"
    sh("git", "clone", "-q", str(repository), str(clone))
    command = dvc_command()
    sh(command, "pull", folder=clone)
    pulled = digests(clone / "runs" / bundled.id / "model")
    assert list(pulled.values()) == list(before.values())
    assert len(list((clone / "data" / "pets").rglob("*.png"))) == 6


@pytest.mark.slow
def test_track__keeps_what_the_user_set(repository, bundled, recipe):
    dvc("config", "cache.type", "copy")
    sh("git", "add", ".dvc/config")
    track_run(bundled, recipe)
    assert (bundled.model / "weights.safetensors").stat().st_nlink == 1


def test_track__keeps_the_machine_s_settings(repository, bundled, recipe, tmp_path, monkeypatch):
    system = tmp_path / "system"
    system.mkdir()
    (system / "config").write_text(f"[cache]\n    dir = {tmp_path / 'shared-cache'}\n")
    monkeypatch.setenv("DVC_SYSTEM_CONFIG_DIR", str(system))
    track_run(bundled, recipe)
    assert (bundled.model / "weights.safetensors").stat().st_nlink == 2
    assert (tmp_path / "shared-cache" / "files" / "md5").is_dir()


@pytest.mark.slow
def test_track__takes_the_digest_of_a_stage_s_output(repository, bundled, recipe):
    stage = {"cmd": "true", "outs": [{"data/pets": {"persist": True}}]}
    Path("dvc.yaml").write_text(yaml.safe_dump({"stages": {"fetch": stage}}))
    dvc("commit", "--force")

    record = track_run(bundled, recipe)
    assert record.data.file == "dvc.lock"
    assert record.data.md5.endswith(".dir")
    assert not Path("data/pets.dvc").exists()

    (repository / "data" / "pets" / "cat" / "more.png").write_bytes(b"new")
    changed = track_run(bundled, recipe)
    assert changed.data is None
    assert "differs from what `dvc.lock` says" in changed.note


def test_track__inside_a_stage_adds_nothing(repository, bundled, recipe, monkeypatch):
    monkeypatch.setenv("DVC_STAGE", "record")
    assert track_run(bundled, recipe) == dvc_workspace.DvcRecord()
    assert not Path("data/pets.dvc").exists()


def test_track__data_outside_is_said(repository, bundled, recipe, tmp_path):
    outside = tmp_path / "elsewhere"
    Path("data/pets").rename(outside)
    text = bundled.dataset.read_text().replace(str(repository / "data" / "pets"), str(outside))
    bundled.dataset.write_text(text)
    record = track_run(bundled, recipe)
    assert record.data is None
    assert record.model is not None
    assert record.note == (
        f"tracked by `runs/{bundled.id}/model.dvc`; commit this file, then `dvc push`; "
        "the data is outside of the DVC workspace and stays untracked"
    )


@pytest.mark.slow
def test_track__a_run_folder_hidden_from_git_is_said_with_its_cure(repository, bundled, recipe):
    Path(".gitignore").write_text("/runs/\n")
    record = track_run(bundled, recipe)
    assert record.model is None
    assert "write `/runs/*/?*` and `!/runs/*/*.dvc`" in record.note
    Path(".gitignore").write_text("/runs/*/?*\n!/runs/*/*.dvc\n")
    assert track_run(bundled, recipe).model is not None


def test_track__the_checkout_s_own_rules_hide_nothing_from_dvc(repository, bundled, recipe):
    shutil.copy(CHECKOUT / ".gitignore", repository)
    record = track_run(bundled, recipe)
    assert "does not see" not in record.note
    seen = json.loads(dvc("data", "status", "--json"))["committed"]["added"]
    assert {"data/pets/", f"runs/{bundled.id}/model/"} <= set(seen)


def test_track__a_folder_that_dvc_skips_is_said_with_its_cure(repository, bundled, recipe):
    Path(".gitignore").write_text("/data/*\n!/data/*.dvc\n")
    record = track_run(bundled, recipe)
    assert record.data is None
    assert record.model is not None
    assert (
        "DVC does not see `data/pets.dvc`: in `.gitignore` write `/data/?*` and `!/data/*.dvc`"
        in record.note
    )


def test_track__elsewhere_says_how_to_get_there(bundled, recipe):
    record = track_run(bundled, recipe)
    assert record.data is None
    assert "`git init && dvc init`" in record.note
    assert "\n" not in record.note


def test_track__off(repository, bundled, recipe):
    off = recipe.model_copy(update={"track": recipe.track.model_copy(update={"dvc": "off"})})
    assert track_run(bundled, off) is None
    assert not Path("data/pets.dvc").exists()


def test_environment__nothing_calls_home():
    with dvc_workspace.environment() as environment:
        assert environment["DVC_NO_ANALYTICS"] == "1"
        config = (Path(environment["DVC_SYSTEM_CONFIG_DIR"]) / "config").read_text()
    assert "analytics = false" in config
    assert "check_update = false" in config
