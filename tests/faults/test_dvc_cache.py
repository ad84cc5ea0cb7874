"""Bytes of DVC's cache that are not what its files say: planted one by one, found, and cured."""

import hashlib
import itertools
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from automl.errors import DataError
from automl.record.dvc_cache import check, check_bundle, listing
from automl.record.dvc_fetch import fetch
from automl.talk import Silent

DVC = str(Path(sys.executable).with_name("dvc"))
PLACES = ("first", "middle", "last", "nested", "single", "list", "weights", "model list")
CONFIG = """[core]
    analytics = false
    check_update = false
    remote = shelf
    no_scm = true
[cache]
    type = hardlink
['remote "shelf"']
    url = ../../shelf
"""
KINDS = ("flipped", "cut", "swapped", "deleted", "unlinked")
FILES = [f"cat/{n}.png" for n in range(4)] + [f"dog/{n}.png" for n in range(4)]
PATHS = {
    "first": "data/pets/cat/0.png",
    "middle": "data/pets/cat/3.png",
    "last": "data/pets/dog/3.png",
    "nested": "data/pets/dog/more/deep/0.png",
    "single": "data/labels.csv",
    "list": "data/pets",
    "weights": "runs/tiny/model/weights.safetensors",
    "model list": "runs/tiny/model",
}


class Heard(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


def dvc(*words: str) -> str:
    done = subprocess.run([DVC, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """Tracked data, a tracked file and a tracked bundle, with a remote that has it all."""
    root = tmp_path_factory.mktemp("tracked") / "work"
    root.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        for name in [*FILES, "dog/more/deep/0.png"]:
            path = root / "data" / "pets" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(name.encode() * 40)
        (root / "data" / "labels.csv").write_text("image,label\n" * 9)
        bundle = root / "runs" / "tiny" / "model"
        bundle.mkdir(parents=True)
        (bundle / "model.json").write_text("{}")
        (bundle / "weights.safetensors").write_bytes(b"weights" * 99)
        dvc("init", "--no-scm", "--quiet")
        Path(".dvc/config").write_text(CONFIG)
        dvc("add", "--quiet", "data/pets", "data/labels.csv", "runs/tiny/model")
        dvc("push", "--quiet")
    return root.parent


@pytest.fixture
def tracked(template, tmp_path, monkeypatch):
    """A copy in which the workspace's files are links into the cache, as DVC leaves them."""
    subprocess.run(["cp", "-a", f"{template}/.", str(tmp_path)], check=True)
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    assert Path("data/pets/cat/0.png").stat().st_nlink == 2
    return tmp_path / "work"


@dataclass(frozen=True)
class Place:
    """A planted file: where the cache has it and what it must hold."""

    cached: Path
    expected: str
    workspace: Path


def place(name: str) -> Place:
    path = Path(PATHS[name])
    if path.is_dir():
        digest = next(
            line.split()[-1]
            for line in Path(f"{path}.dvc").read_text().splitlines()
            if "md5" in line
        )
        return Place(in_cache(digest), digest, path)
    return Place(in_cache(md5(path)), md5(path), path)


def in_cache(digest: str) -> Path:
    return Path(".dvc/cache/files/md5") / digest[:2] / digest[2:]


def plant(name: str, kind: str) -> Place:
    at = place(name)
    before = at.cached.read_bytes()
    at.cached.chmod(0o644)
    match kind:
        case "flipped":
            with at.cached.open("r+b") as file:
                file.seek(len(before) // 2)
                file.write(bytes([before[len(before) // 2] ^ 1]))
        case "cut":
            os.truncate(at.cached, len(before) // 2)
        case "swapped":
            other = next(
                p
                for p in sorted(Path(".dvc/cache").rglob("*"))
                if p.is_file() and p != at.cached and p.suffix == at.cached.suffix
            )
            other.rename("spare")
            at.cached.rename(other)
            Path("spare").rename(at.cached)
        case "deleted":
            at.cached.unlink()
        case "unlinked":
            shutil.rmtree(at.workspace) if at.workspace.is_dir() else at.workspace.unlink()
    at.cached.exists() and at.cached.chmod(0o444)
    now = at.cached.read_bytes() if at.cached.exists() else None
    assert now != before or not at.workspace.exists()  # the fault is there
    return at


def told(name: str) -> str:
    """All that a person is told; a spare fault of a bundle is a line, for it can be used."""
    heard = Heard()
    try:
        if name in ("weights", "model list"):
            check_bundle(Path(PATHS["model list"]), heard)
        else:
            check(Path("data/labels.csv" if name == "single" else "data/pets"), heard)
    except DataError as error:
        return "\n".join(line for fault in error.faults for line in fault.lines())
    return "\n".join(heard.lines)


def cure(said: str) -> None:
    """Runs the commands between the backticks that follow `hint:` or `fix:`."""
    hints = re.findall(r"(?:hint|fix): (.*)", said)
    commands = [hint.split("`")[1] for hint in hints]
    for number, command in enumerate(commands, start=1):
        shown = command.replace("dvc ", f"{shlex.quote(DVC)} ")
        done = subprocess.run(shown, shell=True, capture_output=True, text=True, check=False)
        assert done.returncode == 0 or number < len(commands), command + done.stderr


def try_one(name: str, kind: str) -> None:
    at = plant(name, kind)
    said = told(name)
    assert at.expected in said or (kind == "unlinked" and "not there" in said), said
    assert str(at.workspace) in said
    if kind in ("flipped", "cut", "swapped"):
        assert md5(at.cached) in said


def test_check__what_is_whole_costs_no_word(tracked):
    assert told("list") == told("single") == told("weights") == ""


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("middle", "flipped"),
        ("nested", "cut"),
        ("first", "swapped"),
        ("last", "deleted"),
        ("last", "unlinked"),
        ("list", "flipped"),
        ("single", "cut"),
        ("weights", "flipped"),
    ],
)
def test_check__finds_and_names(tracked, name, kind):
    try_one(name, kind)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "kind"), list(itertools.product(PLACES, KINDS)))
def test_check__finds_names_and_its_cure_cures(tracked, name, kind):
    before = sorted((str(p), md5(p)) for p in Path().rglob("*/*.*") if p.is_file())
    try_one(name, kind)
    for each in ("list", "single", "model list"):  # a swap has two sides
        cure(told(each))
    assert told(name) == ""
    after = sorted((str(p), md5(p)) for p in Path().rglob("*/*.*") if p.is_file())
    assert [x for x in after if ".dvc/" not in x[0]] == [x for x in before if ".dvc/" not in x[0]]
    assert "up to date" in dvc("status")


def test_check__a_damaged_cache_beside_a_right_copy_is_cured_without_a_remote(tracked):
    path = Path(PATHS["first"])
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content)
    cached = in_cache(md5(path))
    cached.chmod(0o644)
    cached.write_bytes(b"other")
    said = told("list")
    assert f"`rm -f {cached} && dvc commit --force data/pets.dvc`" in said
    shutil.rmtree(tracked.parent / "shelf")
    cure(said)
    assert told("list") == ""
    assert cached.read_bytes() == path.read_bytes() == content


def test_check__tells_all_at_once(tracked):
    for name, kind in (("first", "flipped"), ("middle", "deleted"), ("last", "unlinked")):
        plant(name, kind)
    with pytest.raises(DataError) as caught:
        check(Path("data/pets"), Silent())
    assert [fault.where.split()[0] for fault in caught.value.faults] == [
        PATHS[name] for name in ("first", "middle", "last")
    ]


@pytest.mark.slow
def test_check__the_cures_of_several_faults_cure_together(tracked):
    for name, kind in (("first", "flipped"), ("middle", "deleted"), ("last", "unlinked")):
        plant(name, kind)
    edited = Path("data/pets/cat/1.png")
    edited.unlink()
    edited.write_bytes(b"my own")
    cure(told("list"))
    assert told("list").startswith("dvc: 1 files are not as")
    assert edited.read_bytes() == b"my own"


def test_check__a_hundred_faults_are_fifty_lines_and_a_count(tracked):
    folder = Path("data/many")
    folder.mkdir()
    for number in range(100):
        (folder / f"{number}.png").write_bytes(b"%d" % number)
    dvc("add", "--quiet", "data/many")
    for path in folder.iterdir():
        path.chmod(0o644)
        path.write_bytes(path.read_bytes() + b"!")  # through the link
    with pytest.raises(DataError) as caught:
        check(folder, Silent())
    assert len(caught.value.faults) == 51
    assert caught.value.faults[-1].message == "and 50 more"


def test_check__an_edit_of_one_s_own_is_one_line(tracked):
    for name, content in (("cat/0.png", b"repainted"), ("cat/new.png", b"new")):
        path = Path("data/pets") / name
        path.unlink(missing_ok=True)
        path.write_bytes(content)
    Path("data/pets/cat/1.png").rename("data/pets/dog/was-cat-1.png")
    assert told("list") == (
        "dvc: 4 files are not as `data/pets.dvc` has them: data/pets/cat/0.png, "
        "data/pets/cat/1.png, data/pets/cat/new.png, ..."
    )


def test_check__data_that_came_without_a_cache_is_compared_as_a_whole(tracked):
    shutil.rmtree(".dvc/cache")
    assert told("list") == ""
    Path("data/pets/cat/0.png").chmod(0o644)
    Path("data/pets/cat/0.png").write_bytes(b"other")
    assert "1 files are not as `data/pets.dvc` has them" in told("list")


def test_check__data_that_was_not_pulled_says_how(tracked):
    shutil.rmtree("data/pets")
    assert "`dvc pull data/pets.dvc` fetches it" in told("list")


def test_check__no_tracked_data_is_no_matter(tracked):
    Path("elsewhere").mkdir()
    check(Path("elsewhere"), Silent())


def test_check__keys_in_a_tracked_configuration_are_warned_of(tracked):
    section = "['remote \"s3\"']\n    url = s3://box\n    secret_access_key = hush\n"
    Path(".dvc/config.local").write_text(section)
    assert told("list") == ""
    Path(".dvc/config").write_text(section)
    said = told("list")
    assert "`dvc remote modify --local s3 secret_access_key ...`" in said
    assert "hush" not in said


def test_fetch__from_the_cache_and_from_the_remote(tracked, tmp_path):
    at = place("list")
    expected = {p.relative_to("data/pets"): md5(p) for p in Path("data/pets").rglob("*.png")}
    fetch(tracked, at.expected, tmp_path / "one" / "pets")
    shutil.rmtree(".dvc/cache")
    shutil.rmtree("data/pets")
    fetch(tracked, at.expected, tmp_path / "two" / "pets")
    for number in ("one", "two"):
        top = tmp_path / number / "pets"
        assert {p.relative_to(top): md5(p) for p in top.rglob("*.png")} == expected
    assert not list(tracked.glob("automl-fetch-*"))


def test_fetch__says_what_cannot_be_had_and_what_is_damaged(tracked, tmp_path):
    with pytest.raises(DataError, match="no data of digest"):
        fetch(tracked, "0" * 32 + ".dir", tmp_path / "set")
    at = plant("first", "flipped")
    with pytest.raises(DataError) as caught:
        fetch(tracked, place("list").expected, tmp_path / "set")
    assert str(at.cached) in caught.value.faults[0].where
    assert not (tmp_path / "set").exists()


def test_listing__is_what_dvc_writes(tracked):
    listed = listing(place("list").cached.read_bytes())
    assert sorted(listed) == sorted([*FILES, "dog/more/deep/0.png"])
