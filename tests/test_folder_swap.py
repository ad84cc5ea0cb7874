"""A folder that takes the place of another, under kills at every call."""

import fcntl
import os
import signal
import sys
from pathlib import Path

import pytest

from automl import folder_swap
from automl.folder_swap import beside, put_back, replace_folder


def filled(folder: Path, text: str) -> Path:
    folder.mkdir()
    (folder / "text").write_text(text)
    return folder


def save(folder: Path, text: str) -> None:
    replace_folder(filled(beside(folder), text), folder)


def killed_at(number: int, folder: Path, *, exchanges: bool) -> int:
    """Saves in a child that dies right before so many renames or removals; its signal."""
    child = os.fork()
    if child:
        return os.WTERMSIG(os.waitpid(child, 0)[1])
    left = [number]

    def counted(call):
        def instead(*arguments, **named):
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*arguments, **named)

        return instead

    for name in ("rename", "rmdir", "unlink"):
        setattr(os, name, counted(getattr(os, name)))
    folder_swap.exchange = counted(folder_swap.exchange) if exchanges else lambda *_: False
    save(folder, "new")
    os._exit(0)


@pytest.mark.parametrize("exchanges", [True, False])
def test_replace__killed_anywhere_a_whole_one_is_there_or_put_back(exchanges, tmp_path):
    kills = gaps = 0
    for call in range(1, 20):
        folder = filled(tmp_path / str(call), "") / "model"
        save(folder, "old")
        if not killed_at(call, folder, exchanges=exchanges):
            break
        kills += 1
        gaps += not folder.exists()
        put_back(folder)
        assert (folder / "text").read_text() in ("old", "new")
        save(folder, "newer")
        assert (folder / "text").read_text() == "newer"
        assert {path.name for path in folder.parent.iterdir()} == {"model", "text"}
    assert kills >= 3
    assert gaps == (0 if exchanges and sys.platform == "linux" else 1)


def test_beside__keeps_the_only_whole_one(tmp_path):
    filled(tmp_path / ".model.old", "old")
    beside(tmp_path / "model")
    assert (tmp_path / "model" / "text").read_text() == "old"


def test_put_back__leaves_alone_what_another_process_works_in(tmp_path):
    filled(tmp_path / ".model.old", "old")
    with (tmp_path / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        put_back(tmp_path / "model")
        assert not (tmp_path / "model").exists()
    put_back(tmp_path / "model")
    assert (tmp_path / "model" / "text").read_text() == "old"


def test_replace__failure_leaves_the_older(tmp_path, monkeypatch):
    save(tmp_path / "model", "old")
    monkeypatch.setattr(folder_swap, "exchange", lambda *_: False)
    with pytest.raises(FileNotFoundError):
        replace_folder(tmp_path / "nothing", tmp_path / "model")
    assert (tmp_path / "model" / "text").read_text() == "old"


@pytest.mark.parametrize("exchanges", [True, False])
def test_replace__a_link_goes_and_what_it_leads_to_stays(exchanges, tmp_path, monkeypatch):
    if not exchanges:
        monkeypatch.setattr(folder_swap, "exchange", lambda *_: False)
    kept = filled(tmp_path / "kept", "old")
    for target in (kept, tmp_path / "nothing"):
        link = tmp_path / "model"
        link.symlink_to(target)
        save(link, "new")
        save(link, "newer")
        assert (link / "text").read_text() == "newer"
        link.rename(tmp_path / f"of-{target.name}")
    assert (kept / "text").read_text() == "old"
