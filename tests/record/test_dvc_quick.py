"""What is written without the `dvc` command is what the command would have written."""

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from automl.record import dvc_quick
from automl.record.dvc_files import tracked_by
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


def test_add__writes_what_the_command_writes(repository):
    ours, theirs = bundle(repository / "a" / "model"), bundle(repository / "b" / "model")
    assert dvc_quick.add(repository, ours)
    dvc("add", "--", str(theirs))
    assert Path("a/model.dvc").read_text() == Path("b/model.dvc").read_text()
    assert Path("a/.gitignore").read_text() == Path("b/.gitignore").read_text()
    assert stat.S_IMODE((ours / "model.json").stat().st_mode) == 0o444
    assert (ours / "model.json").stat().st_nlink == 2
    assert dvc("status", "--json").strip() == "{}"
    assert dvc_quick.unchanged(repository, tracked_by(repository, ours))
    assert dvc_quick.unchanged(repository, tracked_by(repository, theirs))


def test_add__a_file_that_the_cache_has_becomes_its_link(repository):
    first, second = bundle(repository / "a" / "model"), bundle(repository / "b" / "model")
    assert dvc_quick.add(repository, first)
    assert dvc_quick.add(repository, second)
    assert (first / "model.json").samefile(second / "model.json")


def test_add__a_damaged_cache_is_not_trusted(repository):
    assert dvc_quick.add(repository, bundle(repository / "a" / "model"))
    kept = repository / "a" / "model" / "weights.safetensors"
    kept.chmod(0o644)
    kept.write_bytes(b"waights")
    assert not dvc_quick.add(repository, bundle(repository / "b" / "model"))
    assert not Path("b/model.dvc").exists()


@pytest.mark.parametrize("case", ["known", "setting", "rule", "stage", "tracked", "hidden", "link"])
def test_add__leaves_what_is_out_of_the_ordinary_to_the_command(repository, case):
    folder = bundle(repository / "runs" / "model")
    match case:
        case "known":
            Path("runs/model.dvc").write_text("outs: []\n")
        case "setting":
            config = Path(".dvc/config")
            config.write_text(f"{config.read_text()}[cache]\n    type = copy\n")
        case "rule":
            Path(".dvcignore").write_text("*.json\n")
        case "stage":
            Path("dvc.yaml").write_text("stages: {}\n")
        case "tracked":
            subprocess.run(["git", "add", str(folder)], check=True)
        case "hidden":
            Path(".gitignore").write_text("/runs/\n")
        case "link":
            (folder / "more").symlink_to(folder / "model.json")
    assert not dvc_quick.add(repository, folder)
    assert (folder / "model.json").stat().st_nlink == 1


def test_unchanged__sees_every_kind_of_change(repository):
    folder = bundle(repository / "a" / "model")
    assert dvc_quick.add(repository, folder)
    known = tracked_by(repository, folder)
    (folder / "more").write_bytes(b"")
    assert not dvc_quick.unchanged(repository, known)
    (folder / "more").unlink()
    assert dvc_quick.unchanged(repository, known)
    file = folder / "model.json"
    content = file.read_bytes()
    later = (repository / "a" / "model.dvc").stat().st_mtime_ns + 1
    file.chmod(0o644)
    file.write_bytes(b"[]\n")
    os.utime(file, ns=(later, later))
    assert not dvc_quick.unchanged(repository, known), "changed in place, with the cache's"
    file.unlink()
    file.write_bytes(content)
    assert dvc_quick.unchanged(repository, known), "a copy is as good as a link"
    file.write_bytes(b"[]\n")
    assert not dvc_quick.unchanged(repository, known)
    file.unlink()
    assert not dvc_quick.unchanged(repository, known)
