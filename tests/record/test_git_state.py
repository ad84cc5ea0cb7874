"""A working tree's differences as a patch that brings the commit back to it."""

import subprocess

import pytest

from automl.record import git_state as states
from tests.record.test_provenance import git


@pytest.fixture
def repository(workspace):
    git(workspace, "init", "-q", "-b", "work")
    (workspace / "code.py").write_text("one\ntwo\nthree\n")
    (workspace / "picture.bin").write_bytes(bytes(range(256)))
    (workspace / "gone.py").write_text("old\n")
    git(workspace, "add", ".")
    git(workspace, "commit", "-qm", "one")
    return workspace


def applied(repository, patch, place):
    """The commit with the patch applied, in a worktree of its own."""
    git(repository, "worktree", "add", "-q", "--detach", str(place), "HEAD")
    subprocess.run(
        ["git", "apply", "--whitespace=nowarn"], cwd=place, input=patch.content, check=True
    )
    return place


def test_patch_of__applies_to_the_commit(repository, tmp_path):
    (repository / "code.py").write_text("one\n2  \nthree")
    (repository / "picture.bin").write_bytes(bytes(range(255, -1, -1)))
    (repository / "gone.py").unlink()
    folder = repository / "a folder"
    folder.mkdir()
    made = {
        "new.py": "print(1)\n",
        "no end.yaml": "a: 1\r\nb: 2",
        "empty.py": "",
        "a folder/ü.py": "ü\n\n",
        "script.py": "#!/bin/sh\n",
    }
    for name, text in made.items():
        (repository / name).write_bytes(text.encode())
    (repository / "script.py").chmod(0o755)
    (repository / "notes.txt").write_text("no code")

    patch = states.patch_of(folder)

    assert patch.left_out == ()
    restored = applied(repository, patch, tmp_path / "restored")
    for name in ("code.py", "picture.bin", *made):
        assert (restored / name).read_bytes() == (repository / name).read_bytes(), name
    assert (restored / "script.py").stat().st_mode & 0o100
    assert not (restored / "gone.py").exists()
    assert not (restored / "notes.txt").exists()


def test_patch_of__the_users_own_diff_settings_do_not_matter(repository, tmp_path):
    (repository / "code.py").write_text("one\nTWO\nthree\n")
    for key, value in (
        ("diff.noprefix", "true"), ("color.ui", "always"), ("diff.external", "false"),
        ("diff.renames", "copies"), ("core.quotepath", "on"), ("diff.relative", "true"),
    ):  # fmt: skip
        git(repository, "config", key, value)
    restored = applied(repository, states.patch_of(repository), tmp_path / "restored")
    assert (restored / "code.py").read_text() == "one\nTWO\nthree\n"


def test_patch_of__leaves_out_what_holds_a_secret_and_says_so(repository, monkeypatch):
    monkeypatch.setenv("STORE_TOKEN", "correct-horse-battery")
    (repository / "code.py").write_text("one\nurl = 'https://me:hunter2@example.com'\n")
    (repository / "env.py").write_text("x = 'correct-horse-battery'\n")
    (repository / "fine.py").write_text("y = 1\n")
    patch = states.patch_of(repository)
    assert b"fine.py" in patch.content
    assert b"hunter2" not in patch.content
    assert b"correct-horse" not in patch.content
    assert {left["path"] for left in patch.left_out} == {"code.py", "env.py"}
    assert all("secret" in left["why"] for left in patch.left_out)


def test_patch_of__is_limited_and_says_what_is_missing(repository, monkeypatch):
    (repository / "large.py").write_text("#" * (states.LARGEST_FILE + 1))
    (repository / "link.py").symlink_to("code.py")
    monkeypatch.setattr(states, "LARGEST_PATCH", 400)
    (repository / "a.py").write_text("a" * 100)
    (repository / "b.py").write_text("b" * 300)
    patch = states.patch_of(repository)
    assert b"a.py" in patch.content
    assert len(patch.content) <= 400
    assert {left["path"] for left in patch.left_out} == {"large.py", "link.py", "b.py"}


def test_patch_of__runs_and_data_are_no_code(repository):
    (repository / "runs" / "one").mkdir(parents=True)
    (repository / "runs" / "one" / "plan.yaml").write_text("a: 1\n")
    assert states.git_state(repository)["untracked"] == 1
    hidden = [repository / "runs"]
    assert states.patch_of(repository, hidden) == states.Patch()
    assert not states.git_state(repository, hidden)["dirty"]


def test_git_state__lists_untracked_files(repository):
    (repository / "new.py").write_text("x")
    (repository / "big.bin").write_bytes(bytes(states.LARGEST_FILE + 1))
    state = states.git_state(repository)
    small = next(f for f in state["untracked_files"] if f["path"] == "new.py")
    large = next(f for f in state["untracked_files"] if f["path"] == "big.bin")
    assert (small["bytes"], len(small["sha256"])) == (1, 64)
    assert large == {"path": "big.bin", "bytes": states.LARGEST_FILE + 1}


def test_patch_of__outside_of_git(workspace):
    assert states.patch_of(workspace) == states.Patch()
