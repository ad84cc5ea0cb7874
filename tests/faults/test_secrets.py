"""Thirty secrets planted where people keep them: none reaches a run, a record, a log or Git."""

import os
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from automl import credentials
from automl.recipe.schema import load_recipe, write_recipe
from automl.record.secrets import without_secrets
from tests.engines.test_distributed import class_folders

ENVIRONMENT = (
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AZURE_STORAGE_KEY",
    "AZURE_CLIENT_SECRET",
    "HF_TOKEN",
    "GITHUB_TOKEN",
    "CI_JOB_TOKEN",
    "WANDB_API_KEY",
    "PGPASSWORD",
    "DATABASE_PASSWORD",
    "MY_CREDENTIAL",
)
TRACKED = {"s3": ("access_key_id", "secret_access_key", "session_token")}
LOCAL = {
    "ssh": ("password",),
    "azure": ("account_key", "sas_token", "client_secret", "connection_string"),
    "oss": ("oss_key_id", "oss_key_secret"),
    "gdrive": ("gdrive_client_secret",),
    "webdavs": ("token",),
}
FILES = ("dirty.yaml", "notes.py")
URLS = ("git remote", "recipe", "recipe query", "command line", "dvc url")


def secret(name: str) -> str:
    """A value that nothing else holds."""
    return f"Pl4nted{zlib.crc32(name.encode()):08x}x{len(name)}q"


def config(remotes: dict[str, tuple[str, ...]]) -> str:
    lines = []
    for remote, options in remotes.items():
        lines += [f"['remote \"{remote}\"']", f"    url = {remote}://host/path"]
        lines += [f"    {option} = {secret(f'{remote}.{option}')}" for option in options]
    return "\n".join(lines) + "\n"


@pytest.fixture
def planted(tmp_path, monkeypatch):
    """A workspace with secrets in it, and all of their values by name."""
    names = [*ENVIRONMENT, *FILES, *URLS]
    names += [f"{r}.{o}" for remotes in (TRACKED, LOCAL) for r in remotes for o in remotes[r]]
    home = tmp_path / "home"
    home.mkdir()
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "DVC_SITE_CACHE_DIR"):
        monkeypatch.setenv(name, str(home))
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "A Tester")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "tester@example.com")
    made("git", "init", "-q")
    made(sys.executable, "-m", "dvc", "init", "-q")
    quiet = "[core]\n    analytics = false\n    check_update = false\n"
    Path(".dvc/config").write_text(quiet)
    Path("dirty.yaml").write_text("a: 1\n")
    made("git", "add", "--all")
    made("git", "commit", "-qm", "start")
    class_folders(work)
    Path(".dvc/config").write_text(quiet + config(TRACKED))
    in_url = f"['remote \"http\"']\n    url = https://me:{secret('dvc url')}@host/x\n"
    Path(".dvc/config.local").write_text(config(LOCAL) + in_url)
    Path("dirty.yaml").write_text(f"password: {secret('dirty.yaml')}\n")
    Path("notes.py").write_text(f'API_TOKEN = "{secret("notes.py")}"\n')
    url = f"https://me:{secret('git remote')}@example.com/x.git"
    made("git", "remote", "add", "origin", url)
    for name in ENVIRONMENT:
        monkeypatch.setenv(name, secret(name))
    return {name: secret(name) for name in names}


def made(*words: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def automl(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "automl", *words],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )


def found_in(folder: Path, values: dict[str, str], but: tuple[str, ...] = ()) -> list[str]:
    """Which secrets lie in which files below a folder, in their plain bytes or inflated."""
    found = []
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        shown = path.relative_to(folder).as_posix()
        if shown.startswith(but):
            continue
        content = path.read_bytes()
        if "objects" in path.parts and len(path.name) == 38:
            content = zlib.decompress(content)
        found += [
            f"{name} in {shown}" for name, value in values.items() if value.encode() in content
        ]
    return found


MINE = (".git/config", ".dvc/config", "dirty.yaml", "notes.py", "recipe.yaml", ".dvc/tmp")
"""Where the secrets were planted."""


def recipe(track: str) -> None:
    Path("recipe.yaml").write_text(
        "task: classification\ndata: data\nmodel: test_efficientnet\nweights: none\neffort: quick\n"
        f"augment: none\ntrain: {{epochs: 1, image_size: 32, threads: 1}}\ntrack: {track}\n"
    )


def test_planted__are_thirty(planted):
    assert len(planted) >= 30
    assert len(set(planted.values())) == len(planted)


def test_run__recorded_in_a_store_of_its_own(planted, tmp_path):
    recipe("{mlflow: auto}")
    done = automl("run", "recipe.yaml", "--run-dir", "runs/one")
    assert done.returncode == 0, done.stderr
    assert Path("mlflow.db").is_file()
    assert "tracked by `data.dvc`" in done.stderr
    assert "`dvc remote modify --local s3 access_key_id ...`" in done.stderr
    heads = made("git", "rev-parse", "HEAD")
    made("git", "add", "--", "runs", "data.dvc")
    made("git", "commit", "-qm", "run")
    assert made("git", "rev-parse", "HEAD") != heads
    assert found_in(Path.cwd(), planted, MINE) == []
    said = done.stdout + done.stderr
    assert [name for name, value in planted.items() if value in said] == []


@pytest.mark.slow
def test_run__for_a_server_that_is_down(planted):
    inside, query = planted["recipe"], planted["recipe query"]
    recipe(f"{{mlflow: 'http://me:{inside}@127.0.0.1:9/?token={query}', dvc: off}}")
    done = automl("run", "recipe.yaml", "--run-dir", "runs/one")
    assert done.returncode == 0, done.stderr
    assert "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD" in done.stderr
    assert "not recorded in MLflow" in done.stderr
    assert "mlflow: http://127.0.0.1:9" in Path("runs/one/recipe.yaml").read_text()
    again = automl("record", "runs/one")
    shown = automl("show", "runs/one", "--json")
    said = "".join(d.stdout + d.stderr for d in (done, again, shown))
    assert [name for name, value in planted.items() if value in said] == []
    assert found_in(Path.cwd(), planted, MINE) == []


def test_command_line__overrides_and_their_faults(planted):
    recipe("{dvc: off}")
    url = f"https://me:{planted['command line']}@127.0.0.1:9/"
    done = automl("prepare", "recipe.yaml", "--run-dir", "runs/one", "--set", f"track.mlflow={url}")
    wrong = automl("prepare", "recipe.yaml", "--set", f"trak.mlflow={url}")
    assert (done.returncode, wrong.returncode) == (0, 2)
    assert "https://127.0.0.1:9" in Path("runs/one/recipe.yaml").read_text()
    said = done.stdout + done.stderr + wrong.stdout + wrong.stderr
    assert planted["command line"] not in said
    assert found_in(Path.cwd(), planted, MINE) == []


def test_crash__its_file_and_its_line(planted):
    values = " ".join(planted[name] for name in ENVIRONMENT)
    url = f"https://me:{planted['command line']}@host/?sig={planted['recipe query']}"
    code = (
        "import sys, automl.cli, automl.record.runs as runs\n"
        f"def broken(*a, **k): raise RuntimeError({values!r} + ' ' + {url!r})\n"
        "runs.find = broken\n"
        f"sys.argv = ['automl', 'show']\n"
        "automl.cli.main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    crash = Path("automl-crash-1.txt").read_text()
    assert "RuntimeError" in crash
    known = [name for name in (*ENVIRONMENT, "command line", "recipe query")]
    assert [name for name in known if planted[name] in crash + done.stdout + done.stderr] == []


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://me:pw@host:5000/x", "http://host:5000/x"),
        ("https://host/x?a=1&token=abc", "https://host/x?a=1"),
        ("postgresql://me:pw@host/db", "postgresql://host/db"),
        ("sqlite:////tmp/mlflow.db", "sqlite:////tmp/mlflow.db"),
        ("file:///tmp/runs", "file:///tmp/runs"),
        ("off", "off"),
        ("http://[bad", "http://[bad"),
    ],
)
def test_bare__takes_away_what_opens(url, expected):
    assert credentials.bare(url) == expected


def test_whole__a_web_server_s_go_to_the_environment_and_a_database_s_come_back(monkeypatch):
    for name in ("USERNAME", "PASSWORD"):
        monkeypatch.delenv(f"MLFLOW_TRACKING_{name}", raising=False)
    assert credentials.whole("http://me:p%40w@host:5000") == "http://host:5000"
    assert os.environ["MLFLOW_TRACKING_USERNAME"] == "me"
    assert os.environ["MLFLOW_TRACKING_PASSWORD"] == "p@w"
    for name in ("USERNAME", "PASSWORD"):
        monkeypatch.delenv(f"MLFLOW_TRACKING_{name}")
    full = "postgresql://me:pw@host/db"
    assert credentials.whole(credentials.bare(full)) == full
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "mysql://you:pw@there/db")
    assert credentials.whole("mysql://there/db") == "mysql://you:pw@there/db"
    assert credentials.whole("http://plain") == "http://plain"


def test_write_recipe__without_the_password(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    class_folders(tmp_path)
    recipe("{mlflow: 'http://me:pw-to-hide@host/'}")
    write_recipe(load_recipe(Path("recipe.yaml")), Path("written/recipe.yaml"))
    assert "pw-to-hide" not in Path("written/recipe.yaml").read_text()
    assert load_recipe(Path("written/recipe.yaml")).track.mlflow == "http://host/"
    assert credentials.notice("http://me:pw-to-hide@host/")
    assert credentials.notice("http://host/") == ""


def test_without_secrets__leaves_plain_words_alone(monkeypatch):
    monkeypatch.setenv("CREDENTIAL_MODE", "standard")
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")
    text = "effort: standard\ntoken = next(tokens)\nseed: 0\nhttps://example.com/a?page=2"
    assert without_secrets(text) == text
    monkeypatch.setenv("DB_PASSWORD", "correcthorse")
    assert without_secrets("open correcthorse") == "open ***"
