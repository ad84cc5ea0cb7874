import json
import subprocess

import numpy as np
import pytest

from automl.record import provenance


def git(folder, *words):
    subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def repository(workspace):
    git(workspace, "init", "-q", "-b", "work")
    (workspace / "code.py").write_text("one\n")
    git(workspace, "add", "code.py")
    git(workspace, "commit", "-qm", "one")
    return workspace


def test_collect__says_what_made_the_run(repository):
    found = provenance.collect(device="cpu", threads=2, seed=7, weights={"source": "none"})
    json.dumps(found)
    assert found["packages"]["numpy"] == np.__version__
    assert found["git"]["branch"] == "work"
    assert len(found["git"]["commit"]) == 40
    assert found["machine"]["cores"] >= 1
    assert found["machine"]["cpu"]
    assert (found["device"], found["threads"], found["seed"]) == ("cpu", 2, 7)
    assert found["weights"] == {"source": "none"}
    assert {"python", "time", "command"} <= set(found)


def test_git_state__clean_dirty_and_new_files_differ(repository):
    clean = provenance.git_state(repository)
    assert not clean["dirty"]
    assert clean["diff_digest"] == ""

    (repository / "code.py").write_text("two\n")
    changed = provenance.git_state(repository)
    (repository / "new.py").write_text("three\n")
    added = provenance.git_state(repository)
    (repository / "new.py").write_text("four\n")
    edited = provenance.git_state(repository)

    assert changed["dirty"]
    assert added["untracked"] == 1
    digests = {state["diff_digest"] for state in (clean, changed, added, edited)}
    assert len(digests) == 4


def test_git_state__before_the_first_commit_and_outside(workspace):
    assert provenance.git_state(workspace) is None
    git(workspace, "init", "-q")
    assert provenance.git_state(workspace)["commit"] == ""


def test_git_state__a_password_in_the_remote_stays_out(repository):
    git(repository, "remote", "add", "origin", "https://me:hunter2@example.com/a/b.git")
    found = provenance.collect(device="cpu", threads=1, seed=0)
    assert found["git"]["remote"] == "https://example.com/a/b.git"
    assert "hunter2" not in json.dumps(found)


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("postgresql://me:pw@host:5432/db", "postgresql://host:5432/db"),
        ("s3://bucket/path", "s3://bucket/path"),
        ("https://host/x?sig=abc&page=2", "https://host/x?sig=***&page=2"),
        ("https://host/x?X-Amz-Signature=abc", "https://host/x?X-Amz-Signature=***"),
        ("https://tok@host/x and mail a@b.c", "https://host/x and mail a@b.c"),
        ("uri: https://u:p/q@host", "uri: https://u:p/q@host"),
        ("plain text", "plain text"),
    ],
)
def test_without_secrets(text, safe):
    assert provenance.without_secrets(text) == safe
