"""The ends of a command that no verb knows of: readers that leave, arguments that hold nothing."""

import os
import signal
import subprocess
import sys

import pytest

AUTOML = [sys.executable, "-m", "automl"]


def run(*arguments: str, **more) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*AUTOML, *arguments], capture_output=True, text=True, **more)


@pytest.mark.parametrize("verb", [["models"], ["models", "--json"], ["runs"], ["--help"]])
def test_a_reader_that_has_gone__is_no_bug_and_no_noise(tmp_path, verb):
    """Short output is still in the buffer when the verb ends, long output is not."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [*AUTOML, *verb], stdout=writer, stderr=subprocess.PIPE, text=True, cwd=tmp_path
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, "")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "arguments", [["predict", "latest", ""], ["init", ""], ["run", "r.yaml", "--run-dir="], [""]]
)
def test_an_empty_argument__does_not_mean_the_current_folder(tmp_path, arguments):
    done = run(*arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "is empty" in done.stderr
    assert "hint: " in done.stderr


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        (["run", "r.yaml", "--epochs", "3"], "train.epochs"),
        (["plan", "r.yaml", "--imgsz=64"], "train.image_size"),
        (["run", "r.yaml", "--batch-size", "4"], "train.batch_size"),
        (["run", "r.yaml", "--modle", "x"], "model"),
        (["run", "r.yaml", "--buget", "3m"], ""),  # an option is near
        (["run", "r.yaml", "--foo"], ""),
        (["check", "folder", "--epochs", "3"], ""),  # takes no recipe's keys
    ],
)
def test_an_option_of_other_tools__is_a_key_of_the_recipe(tmp_path, arguments, key):
    done = run(*arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    meant = f"say `--set {key}=...`, or write it in the recipe; " if key else ""
    usage = f"`automl {arguments[0]} --help` shows its usage"
    assert done.stderr.splitlines()[-1] == f"hint: {meant}{usage}"


def test_a_stream_of_few_characters__takes_every_name(tmp_path):
    named = tmp_path / os.fsdecode(b"caf\xe9")
    streams = os.environ | {"PYTHONIOENCODING": "ascii"}
    done = run(
        "sample", "digits-classification", str(named), "--images=20", "--size=16", env=streams
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert r"caf\udce9" in done.stdout


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams__are_no_bug(tmp_path, closed):
    """As daemons start their programs."""
    (tmp_path / "empty").mkdir()
    command = f"'{sys.executable}' -m automl check empty {closed}"
    found = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True)
    assert found.returncode == 5
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


BUILDS = """
import os, signal, sys, time
import typer
from automl.commands.exit_codes import exit_code

app = typer.Typer()

@app.command()
def verb():
    try:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5)
    except KeyboardInterrupt as error:
        raise ValueError(f"cannot build: {error}") from None

@app.command()
def other(): ...

sys.exit(exit_code(app))
"""


def test_a_stop__that_a_library_turns_into_an_error_is_no_bug(tmp_path):
    """As pydantic does while it builds the check of a class."""
    command = [sys.executable, "-c", BUILDS, "verb"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 75
    assert "stopped by SIGINT" in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_stop__while_the_command_line_is_imported(tmp_path):
    (tmp_path / "typer.py").write_text("raise KeyboardInterrupt")
    done = run("runs", env=os.environ | {"PYTHONPATH": str(tmp_path)})
    assert (done.returncode, done.stdout, done.stderr) == (75, "", "")
