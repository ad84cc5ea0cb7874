"""The command line as its users meet it: exit codes, words, and what goes to which stream."""

import errno
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.main import get_command

from automl import __version__
from automl.cli import app
from automl.commands.exit_codes import exit_code
from automl.commands.terminal import Terminal, duration, table
from automl.errors import DataError, Fault, GateError, Interrupted, MachineError, NumbersError
from automl.recipe.schema import load_recipe

VERBS = get_command(app).commands  # type: ignore[attr-defined]


@pytest.fixture(autouse=True)
def workspace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AUTOML_RUNS", raising=False)
    return tmp_path


@pytest.fixture
def automl(monkeypatch, capsys):
    """Runs a command line in this process: exit code, stdout, stderr."""

    def run(*arguments: object, on: typer.Typer = app) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["automl", *map(str, arguments)])
        code = exit_code(on)
        return code, *capsys.readouterr()

    return run


def raising(error: BaseException) -> typer.Typer:
    """A command line with one verb that raises."""
    broken = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)

    @broken.command()
    def go() -> None:
        raise error

    return broken


def test_entry_points__module_and_script_say_the_version():
    for command in ([sys.executable, "-m", "automl"], [Path(sys.executable).parent / "automl"]):
        done = subprocess.run([*command, "--version"], capture_output=True, text=True, check=True)
        assert done.stdout == f"automl {__version__}\n"
        assert not done.stderr


def test_help__every_verb_and_every_option_is_explained(automl):
    code, out, err = automl("--help")
    assert (code, err) == (0, "")
    assert "..." not in out.partition("Commands:")[2], "a line of the list is cut off"
    for name, verb in VERBS.items():
        assert f"  {name} " in out
        assert automl(name, "--help")[0] == 0
        for parameter in verb.params:
            assert getattr(parameter, "help", None), f"{name} {parameter.name} has no help"


def test_no_arguments__show_the_help(automl):
    assert automl()[:2] == automl("--help")[:2]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["modles"], "Did you mean 'models'?"),
        (["run", "--smok"], "--smoke"),
        (["run"], "no recipe"),
        (["predict", "latest"], "PATH"),
        (["models", "--task", "poetry"], "segmentation"),
        (["predict", "latest", "x.png", "--min-confidence", "2"], "--min-confidence"),
        (["show", "nonsense"], "no run `nonsense`"),
        (["report"], "no run yet"),
        (["run", "--resume", "nonsense"], "no run `nonsense`"),
        (["run", "r.yaml", "--resume", "nonsense"], "no run `nonsense`"),
        (["run", "missing.yaml"], "No such file"),
        (["sample", "digits-clasification", "x"], "digits-classification"),
    ],
)
def test_wrong_arguments__exit_2_with_a_cure(automl, arguments, words):
    code, out, err = automl(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert words in err
    assert "hint: " in err
    assert "Traceback" not in err


def test_recipe_faults__are_all_shown_with_their_places(automl, workspace):
    (workspace / "r.yaml").write_text("task: detecton\ndata: x\ntrain: {epohcs: 1}\n")
    code, out, err = automl("plan", "r.yaml", "--set", "train.lr=no")
    assert (code, out) == (2, "")
    assert err == (
        "error: `train.lr` must be a number, not the text `no`\n  --set train.lr=no\n"
        "error: `task` cannot be the text `detecton`\n  r.yaml:1:7\n"
        "hint: did you mean `detection`?\n"
        "error: unknown key `epohcs` in `train`\n  r.yaml:3:9\nhint: did you mean `epochs`?\n"
    )


def test_unknown_model__is_found_before_data_is_read(automl, workspace):
    (workspace / "r.yaml").write_text("task: detection\ndata: nowhere\nmodel: yolo26nn\n")
    code, _, err = automl("run", "r.yaml")
    assert code == 2
    assert "`yolo26nn`" in err
    assert "  r.yaml:3:1\n" in err
    assert "did you mean `yolo26n`" in err
    assert not (workspace / "runs").exists()


def test_run_dir__that_holds_a_run_is_not_written_over(automl, workspace):
    (workspace / "r.yaml").write_text("task: detection\ndata: nowhere\n")
    (workspace / "mine").mkdir()
    (workspace / "mine/plan.yaml").write_text("task: detection\n")
    code, _, err = automl("run", "r.yaml", "--run-dir", "mine")
    assert code == 2
    assert "hint: `automl run --resume mine` continues it" in err


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (DataError("two", faults=[Fault("one"), Fault("other", "f")]), 2, "error: other\n  f\n"),
        (MachineError("no device", hint="use cpu"), 3, "hint: use cpu"),
        (NumbersError("NaN"), 4, "error: NaN"),
        (GateError("too low"), 5, "error: too low"),
        (Interrupted("stopped"), 75, "error: stopped"),
        (KeyboardInterrupt(), 75, "hint: run `automl --` again"),
        (OSError(errno.ENOSPC, "No space left on device", "/data/x"), 3, "  /data/x\n"),
        (PermissionError(errno.EACCES, "Permission denied", "y"), 3, "permission denied\n  y\n"),
        (OSError(errno.EMFILE, "Too many open files", "y"), 3, "ulimit"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "y"), 3, "moved"),
        (NotADirectoryError(errno.ENOTDIR, "Not a directory", "y/z"), 2, "  y/z\n"),
        (FileExistsError(errno.EEXIST, "File exists", "y"), 2, "in the way"),
        (OSError(errno.ENAMETOOLONG, "File name too long", "y" * 5000), 2, "y...\nhint: take a"),
    ],
)
def test_exit_codes__each_kind_of_error_has_its_own(automl, workspace, error, code, words):
    found, out, err = _go(automl, error)
    assert (found, out) == (code, "")
    assert words in err
    assert not list(workspace.glob("automl-crash-*"))


def _go(automl, error: BaseException) -> tuple[int, str, str]:
    return automl("--", on=raising(error))


def test_a_bug_of_ours__leaves_a_file_and_one_line(automl, workspace):
    secret = "https://" + "me:hunter2@example.org/x"
    code, out, err = _go(automl, ZeroDivisionError(f"halves of nothing at {secret}"))
    assert (code, out) == (1, "")
    assert err.count("\n") == 2
    assert "a bug in automl: ZeroDivisionError: halves of nothing" in err
    assert "hunter2" not in err
    story = (workspace / "automl-crash-1.txt").read_text()
    assert "Traceback" in story
    assert __version__ in story
    assert "hunter2" not in story
    _go(automl, ZeroDivisionError("again"))
    assert (workspace / "automl-crash-2.txt").exists()


def test_models__one_document_or_one_table(automl):
    code, out, _ = automl("models", "--json")
    rows = json.loads(out)
    assert code == 0
    assert len(rows) >= 30
    assert {row["task"] for row in rows} == {"classification", "segmentation", "detection"}
    assert any(row["weights"] and row["weights"]["source"] == "package" for row in rows)
    code, _, err = automl("models", "--fetch", "nobody")
    assert (code, "for detection" in err) == (2, False)
    assert "unknown model `nobody`" in err
    code, out, _ = automl("models", "--task", "detection")
    assert code == 0
    assert "AGPL-3.0" in out
    assert "classification" not in out


def test_runs__an_empty_workspace(automl):
    assert automl("runs")[:2] == (0, "no run yet; start with `automl run RECIPE`\n")
    assert json.loads(automl("runs", "--json")[1]) == []


@pytest.mark.parametrize(
    "name", ["digits-classification", "digits-detection", "digits-segmentation"]
)
def test_sample_then_init__give_a_recipe_that_loads(automl, workspace, name):
    code, out, _ = automl("sample", name, "data/set", "--images", 20, "--size", 32)
    assert (code, out) == (0, "data/set\n")
    code, out, err = automl("init", "data/set", "--out", "r.yaml")
    assert (code, out) == (0, "r.yaml\n")
    assert "next: automl run r.yaml" in err
    recipe = load_recipe(workspace / "r.yaml")
    assert recipe.task == name.removeprefix("digits-")
    assert recipe.data.path == str(workspace / "data/set")
    code, _, err = automl("init", "data/set", "--out", "r.yaml")
    assert code == 2
    assert "the recipe already exists" in err


def test_init__every_commented_line_is_a_valid_one(automl, workspace):
    automl("sample", "digits-segmentation", "digits", "--images", 20, "--size", 32)
    automl("init", "digits")
    lines = (workspace / "digits.yaml").read_text().splitlines()
    opened = [
        line.replace("# ", "", 1) if line.lstrip().startswith("# ") else line for line in lines[1:]
    ]
    assert opened != lines[1:]
    (workspace / "all.yaml").write_text("\n".join(opened))
    recipe = load_recipe(workspace / "all.yaml")
    assert recipe.goal is not None
    assert recipe.data.classes == ["sky", "road"]


def test_doctor__says_what_is_there(automl):
    code, out, _ = automl("doctor", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["healthy"]
    checks = {check["what"]: check["found"] for check in found["packages"]}
    assert checks["automl"] == __version__
    assert "torch" in checks
    assert "pytest (extra dev)" not in checks


def test_device__that_is_not_there(automl, workspace):
    automl("sample", "digits-classification", "digits", "--images", 20, "--size", 16)
    (workspace / "r.yaml").write_text("task: classification\ndata: digits\n")
    code, _, err = automl("plan", "r.yaml", "--device", "cuda:63")
    assert code == 3
    assert "cuda:63" in err
    assert "available: cpu" in err


@pytest.mark.parametrize("words", [["--device", "cuda:63"], ["--set", "data.path=nowhere"]])
def test_run__that_is_refused_leaves_no_folder(automl, workspace, words):
    automl("sample", "digits-classification", "digits", "--images", 20, "--size", 16)
    (workspace / "r.yaml").write_text("task: classification\ndata: digits\n")
    code, _, err = automl("run", "r.yaml", *words)
    assert code in (2, 3)
    assert "error" in err
    assert not list((workspace / "runs").iterdir())
    (workspace / "mine").mkdir()
    automl("run", "r.yaml", "--run-dir", "mine", *words)
    assert (workspace / "mine").is_dir()  # a folder of the user's own stays


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_terminal__a_progress_line_rewrites_itself():
    screen, clock = Screen(), Clock()
    terminal = Terminal(screen, clock)
    for step in range(1, 11):
        clock.now = step * 1.0
        terminal.progress("epoch 1", step, 10, "loss 0.5")
    terminal.say("done")
    text = screen.getvalue()
    assert "epoch 1: 1/10, loss 0.5" in text
    assert "epoch 1: 4/10, loss 0.5, 4 s left" in text
    assert text.endswith("\r\033[Kdone\n")
    assert text.count("\n") == 1


def test_terminal__a_file_gets_a_plain_line_now_and_then():
    file, clock = io.StringIO(), Clock()
    terminal = Terminal(file, clock)
    for step in range(1, 101):
        clock.now = step * 1.0
        terminal.progress("scan", step, 100)
    assert file.getvalue().splitlines() == [
        "scan: 31/100, 1 min 7 s left",
        "scan: 61/100, 38 s left",
        "scan: 91/100, 9 s left",
    ]


def test_terminal__quick_work_leaves_no_line():
    file = io.StringIO()
    terminal = Terminal(file, Clock())
    for step in range(1, 101):
        terminal.progress("scan", step, 100)
    assert file.getvalue() == ""


def test_table__numbers_stand_right():
    lines = table(("name", "n"), [("a", 5), ("bcd", 10.5)])
    assert lines == ["name     n", "a        5", "bcd   10.5"]
    assert table(("name",), []) == ["name"]


def test_duration():
    assert [duration(s) for s in (0.4, 59, 61, 3600, 7500)] == [
        "0 s",
        "59 s",
        "1 min 1 s",
        "1 h 0 min",
        "2 h 5 min",
    ]
