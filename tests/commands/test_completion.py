"""What a shell is told when a person presses the tab key."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from automl.cli import app
from automl.commands.completion import SCRIPTS, candidates

HEAVY = {"numpy", "pydantic", "yaml", "torch", "rich", "cv2"}


@pytest.fixture(autouse=True)
def workspace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AUTOML_RUNS", raising=False)
    return tmp_path


def run_folder(name: str, when: int) -> None:
    folder = Path("runs") / name
    folder.mkdir(parents=True)
    os.utime(folder, (when, when))


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ([], ["run"]),
        (["mod"], ["models"]),
        (["--v"], ["--version"]),
        (["run", "--bud"], ["--budget"]),
        (["models", "--task", "seg"], ["segmentation"]),
        (["models", "--fetch", "efficientnet_lite0"], ["efficientnet_lite0"]),
        (["completion", "f"], ["fish"]),
        (["sample", "digits-d"], ["digits-detection"]),
        (["run", "r.yaml", "--set", "model=efficientnet_lite1"], ["model=efficientnet_lite1"]),
    ],
)
def test_candidates__of_verbs_options_and_names(typed, found):
    answers = candidates(app, typed)
    assert set(found) <= set(answers)
    assert all(answer.startswith(typed[-1] if typed else "") for answer in answers)


def test_candidates__recipes_and_folders_but_no_other_files(workspace):
    Path("recipes").mkdir()
    for name in ("recipes/pets.yaml", "recipes/notes.txt", "rest.yml", "rest.md", ".hidden.yaml"):
        Path(name).touch()
    assert candidates(app, ["run", "re"]) == ["recipes/", "rest.yml"]
    assert candidates(app, ["run", "recipes/"]) == ["recipes/pets.yaml"]


def test_candidates__runs_the_newest_first(workspace):
    run_folder("a-old", 1_000)
    run_folder("b-new", 2_000)
    assert candidates(app, ["show", ""]) == ["latest", "b-new", "a-old"]
    assert candidates(app, ["compare", "a-old", "b"]) == ["b-new"]
    assert candidates(app, ["run", "--resume", "a"]) == ["a-old"]
    assert candidates(app, ["compare", "--json", "b"]) == ["b-new"]


def test_candidates__nothing_for_a_verb_that_is_not_there():
    assert candidates(app, ["rnu", ""]) == []


def test_completion__answers_without_heavy_imports(workspace):
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "automl", "plan", "--dev"],
        env={**os.environ, "_AUTOML_COMPLETE": "bash"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    loaded = {line.rpartition("|")[2].strip().split(".")[0] for line in done.stderr.splitlines()}
    assert done.stdout.split() == ["--device"]
    assert "typer" in loaded
    assert not loaded & HEAVY


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
def test_script__works_in_bash(workspace):
    run_folder("a-old", 1_000)
    program = Path("automl")
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m automl "$@"\n')
    program.chmod(0o755)
    press = 'COMP_WORDS=("$1" show a); COMP_CWORD=2; _automl "$1"; echo "${COMPREPLY[@]}"'
    told = subprocess.run(
        ["bash", "-c", f"{SCRIPTS['bash']}\n{press}", "bash", str(program.absolute())],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert told.stdout.split() == ["a-old"]
