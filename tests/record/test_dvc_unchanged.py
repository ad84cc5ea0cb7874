"""A tracked folder as `dvc add` left it, and changed in every way."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from automl.record.dvc_cache import place_of
from automl.record.dvc_config import cache_folder
from automl.record.dvc_files import tracked_by
from automl.record.dvc_unchanged import unchanged
from automl.record.dvc_workspace import dvc_command, environment


def dvc(*words: str) -> str:
    with environment() as variables:
        done = subprocess.run(
            [dvc_command(), *words], env=variables, capture_output=True, text=True, check=False
        )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def repository(workspace, template_repository) -> Path:
    shutil.copytree(template_repository, workspace, dirs_exist_ok=True)
    return workspace.resolve()


def bundle(folder: Path, weights: bytes = b"weights") -> Path:
    folder.mkdir(parents=True)
    (folder / "weights.safetensors").write_bytes(weights)
    (folder / "model.json").write_text("{}\n")
    return folder


def test_unchanged__what_was_added_and_another_folder_alike(repository):
    first, second = bundle(repository / "a" / "model"), bundle(repository / "b" / "model")
    dvc("add", "--", str(first), str(second))
    assert unchanged(repository, tracked_by(repository, first))
    assert unchanged(repository, tracked_by(repository, second))


def test_unchanged__a_damaged_list_of_files_is_not_trusted(repository):
    folder = bundle(repository / "a" / "model")
    dvc("add", "--", str(folder))
    known = tracked_by(repository, folder)
    kept = place_of(cache_folder(repository), known.md5)
    kept.chmod(0o644)
    kept.write_bytes(kept.read_bytes() + b" ")
    assert not unchanged(repository, known)


def test_unchanged__sees_every_kind_of_change(repository):
    folder = bundle(repository / "a" / "model")
    dvc("add", "--", str(folder))
    known = tracked_by(repository, folder)
    (folder / "more").write_bytes(b"")
    assert not unchanged(repository, known)
    (folder / "more").unlink()
    assert unchanged(repository, known)
    file = folder / "model.json"
    content = file.read_bytes()
    later = (repository / "a" / "model.dvc").stat().st_mtime_ns + 1
    file.chmod(0o644)
    file.write_bytes(b"[]\n")
    os.utime(file, ns=(later, later))
    assert not unchanged(repository, known), "changed in place, with the cache's"
    file.unlink()
    file.write_bytes(content)
    assert unchanged(repository, known), "a copy is as good as a link"
    file.write_bytes(b"[]\n")
    assert not unchanged(repository, known)
    file.unlink()
    assert not unchanged(repository, known)
