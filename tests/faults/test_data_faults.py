"""Every kind of bad data has its outcome: fatal, told or fine; and no file of it is touched."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from automl.data.check import check
from automl.errors import MachineError
from automl.finding_codes import CODES
from automl.pipeline import prepare
from automl.recipe.schema import load_recipe
from automl.run_dir import RunDir
from automl.talk import Silent
from tests.faults.data_faults import KINDS, Kind

ROWS = set(range(1, 73)) - {36}  # row 36, a file that may not be read, has its own test


def tree(root: Path) -> list[tuple[str, str]]:
    """Every path and what it holds; pipes and links are not followed."""
    found = []
    for path in sorted(root.rglob("*"), key=lambda p: os.fsencode(p)):
        held = "folder or pipe"
        if path.is_symlink():
            held = f"link to {path.readlink()}"
        elif path.is_file():
            held = hashlib.sha256(path.read_bytes()).hexdigest()
        found.append((str(path), held))
    return found


def made(tmp_path: Path, kind: Kind) -> Path:
    root = tmp_path / "set"
    root.mkdir()
    kind.spoil(root)
    return root


def test_kinds__every_row_of_the_table_is_here():
    assert {kind.row for kind in KINDS} == ROWS


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: f"{k.row} {k.name} {k.task}")
def test_outcome(tmp_path, kind):
    root = made(tmp_path, kind)
    before = tree(tmp_path)
    if kind.outcome == "Machine":
        with pytest.raises(MachineError) as caught:
            check(root, Silent(), task=kind.task)
        assert kind.words in caught.value.faults[0].message
        assert str(root) in caught.value.faults[0].where
    else:
        found = check(root, Silent(), task=kind.task)
        severities = {f.severity for f in found.findings}
        told = [f"{f.code} {f.file}: {f.reason}" for f in found.findings]
        wanted = {"F": {"fatal"}, "W": {"warning"}, "OK": set()}[kind.outcome]
        assert severities - {"warning"} == wanted - {"warning"}, told
        assert kind.outcome != "OK" or not told, told
        assert kind.code in {f.code for f in found.findings} | {""}, told
        assert any(kind.words in line for line in told) or not kind.words, told
        assert all(f.file and f.reason and f.cure for f in found.findings), told
        assert {f.code for f in found.findings} <= set(CODES)
    assert tree(tmp_path) == before


def cli(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "automl", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
        errors="backslashreplace",
    )


def test_command_line__fatal_is_5_for_check_and_2_for_prepare(tmp_path):
    kind = next(k for k in KINDS if k.row == 3)
    root = made(tmp_path, kind)
    before = tree(root)
    (root / "train/ring/01.png").write_bytes(b"\n")
    (root / "train/ring/01.png").rename(root / "train/ring/a\nb.png")
    before = tree(root)
    write = tmp_path / "recipe.yaml"
    write.write_text("task: classification\ndata: set\ntrack: {mlflow: off, dvc: off}\n")
    checked = cli("check", "recipe.yaml", "--json", cwd=tmp_path)
    assert checked.returncode == 5, checked.stderr
    told = json.loads(checked.stdout)
    assert (told["fatal"], told["counts"]["broken_image"]) == (2, 2)
    prepared = cli("prepare", "recipe.yaml", cwd=tmp_path)
    assert prepared.returncode == 2, prepared.stderr
    lines = [line for line in prepared.stderr.splitlines() if line.startswith("train/")]
    assert len(lines) == 2
    assert "train/disc/00.png: file is empty: fetch it again" in prepared.stderr
    assert "train/ring/a\\nb.png: " in prepared.stderr
    assert "Traceback" not in checked.stderr + prepared.stderr
    assert tree(root) == before


def test_command_line__fifty_faults_and_a_count(tmp_path):
    for number in range(70):
        path = tmp_path / "set" / "train" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"no image")
    (tmp_path / "r.yaml").write_text("task: classification\ndata: set\n")
    prepared = cli("prepare", "r.yaml", cwd=tmp_path)
    assert prepared.returncode == 2
    assert len(prepared.stderr.splitlines()) == 51
    assert "more" in prepared.stderr.splitlines()[-1]
    checked = cli("check", "set", cwd=tmp_path)
    assert checked.returncode == 5
    assert "broken_image (70)" in checked.stdout


def test_command_line__a_name_that_is_not_utf8_in_every_output(tmp_path):
    root = made(tmp_path, next(k for k in KINDS if k.row == 28))
    odd = os.fsencode(root / "train/disc") + b"/\xff\xfe.png"
    Path(os.fsdecode(odd)).write_bytes(b"no image")
    shown = cli("check", "set", cwd=tmp_path)
    assert shown.returncode == 5
    assert "train/disc/\\udcff\\udcfe.png: " in shown.stdout
    told = json.loads(cli("check", "set", "--json", cwd=tmp_path).stdout)
    assert os.fsencode(told["findings"][0]["file"]) == b"train/disc/\xff\xfe.png"


@pytest.mark.skipif(os.getuid() != 0, reason="needs to become somebody else")
def test_row_36__a_file_that_may_not_be_read(tmp_path):
    root = made(tmp_path, next(k for k in KINDS if k.row == 26))
    victim = root / "train/disc/a b.png"
    victim.chmod(0)
    answer = tmp_path / "answer.txt"
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.seteuid(65534)
            with pytest.raises(PermissionError):
                victim.read_bytes()
            from automl.data.decoding import read_bytes

            read_bytes(victim)
        except MachineError as error:
            os.seteuid(0)
            answer.write_text("\n".join(error.faults[0].lines()))
            code = error.exit_code
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
    assert "chmod u+r" in answer.read_text()
    assert "a b.png" in answer.read_text()


def test_prepare__a_waived_fault_goes_on_with_its_reason(tmp_path):
    kind = next(k for k in KINDS if k.name == "copy in val")
    made(tmp_path, kind)
    recipe = tmp_path / "r.yaml"
    recipe.write_text(
        "task: classification\ndata: set\nchecks: {waive: {duplicate-across-splits: on purpose}}\n"
    )
    run = RunDir(tmp_path / "run")
    prepare(load_recipe(recipe), run, Silent())
    told = json.loads(run.findings.read_text())
    assert [(f["severity"], f["waived"]) for f in told] == [("warning", "on purpose")]
