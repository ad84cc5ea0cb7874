"""What the README and the other texts say is true: generated, compared, run."""

import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from typer.main import get_command

from automl.cli import app
from automl.recipe.schema import load_recipe
from tests.house.reference import BLOCKS, README, blocks, written

TOP = README.parent
VERBS = get_command(app).commands  # type: ignore[attr-defined]
TEXT = README.read_text(encoding="utf-8")


def fenced(language: str) -> list[str]:
    """The blocks between ``` and ```."""
    parts = re.split(r"^```", TEXT, flags=re.MULTILINE)[1::2]
    split = [part.partition("\n") for part in parts]
    return [body for head, _, body in split if head == language]


def commands(first: str) -> list[list[str]]:
    lines = [line for block in fenced("sh") for line in block.splitlines()]
    split = [shlex.split(line, comments=True) for line in lines]
    return [words for words in split if words[:1] == [first]]


def targets() -> dict[str, str]:
    """Each target of the Makefile with its commands."""
    text = (TOP / "Makefile").read_text(encoding="utf-8")
    return dict(re.findall(r"^([a-z][a-z-]*):[^\n]*\n((?:\t[^\n]*\n)*)", text, re.MULTILINE))


def test_reference__is_what_the_code_says():
    assert sorted(blocks(TEXT)) == sorted(BLOCKS)
    assert written(TEXT) == TEXT, "run `make docs`"


def test_first_line__says_what_it_is():
    first = TEXT.partition("\n")[0]
    assert first.startswith("# automl ")
    for word in ("classifiers", "segmenters", "detectors", "recipe"):
        assert word in first


def test_two_commands__are_targets_and_ci_runs_the_second():
    first = [line.split("#")[0].strip() for line in fenced("sh")[0].splitlines()]
    assert first == ["make run", "make test"]
    assert "automl run $(RECIPE)" in targets()["run"]
    assert "PYTEST := $(ONE_THREAD) $(BIN)/python -m pytest" in (TOP / "Makefile").read_text()
    assert "$(PYTEST)" in targets()["test"]
    last = (TOP / ".ci/run").read_text().rstrip().splitlines()[-1]
    assert last.startswith("exec make")
    assert last.endswith(" test")


def test_make_help__lists_every_target_for_people():
    # not as a part of `make test`, of which make tells
    own = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    done = subprocess.run(
        ["make", "help"], cwd=TOP, env=own, capture_output=True, text=True, check=True
    )
    listed = {line.split()[0] for line in done.stdout.splitlines()}
    assert listed == set(targets()) | {"setup"}


def test_commands__name_verbs_and_options_that_exist():
    found = commands("automl")
    assert len(found) >= 5
    inline = [shlex.split(c) for c in re.findall(r"`automl ([a-z]+ [^`]*)`", TEXT)]
    for words in [words[1:] for words in found] + inline:
        assert words[0] in VERBS, words
        known = {name for p in VERBS[words[0]].params for name in p.opts} | {"--help"}
        unknown = {w for w in words if w.startswith("--")} - known
        assert not unknown, f"{words}: {unknown}"


def test_commands__the_cheap_ones_run(tmp_path):
    """In the order of the README, in a workspace of their own."""
    (tmp_path / "recipes").symlink_to(TOP / "recipes")
    (tmp_path / "data").mkdir()
    cheap = [c for c in commands("automl") if c[1] == "sample"]
    assert cheap
    for words in [*cheap, ["automl", "runs"], ["automl", "models"]]:
        run = [sys.executable, "-m", "automl", *words[1:]]
        done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        assert done.stdout
    assert load_recipe(TOP / "recipes/digits-detection.yaml").task == "detection"


def test_recipe__of_the_readme_loads(tmp_path):
    for text in fenced("yaml"):
        (tmp_path / "r.yaml").write_text(text)
        assert load_recipe(tmp_path / "r.yaml").task == yaml.safe_load(text)["task"]


def test_error__of_the_readme_is_what_is_said(tmp_path):
    from automl.errors import RecipeError

    shown = next(block for block in fenced("") if block.startswith("error:"))
    (tmp_path / "r.yaml").write_text("task: detection\ndata: x\n\n\n\ntrain:\n  epchs: 3\n")
    with pytest.raises(RecipeError) as caught:
        load_recipe(tmp_path / "r.yaml")
    said = "\n".join(caught.value.faults[0].lines()) + "\n"
    assert said.replace(f"{tmp_path}/r.yaml", "recipes/pets.yaml") == shown


def test_files__named_in_the_texts_exist():
    for name in ("README.md", "CONTRIBUTING.md"):
        text = (TOP / name).read_text(encoding="utf-8")
        for path in re.findall(r"`((?:automl|tests|benchmarks|recipes)/[\w./-]+)`", text):
            if "/set" not in path:
                assert (TOP / path).exists(), f"{name} names {path}"


def tracked() -> dict[str, str]:
    """Every text file that belongs to the project."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=TOP, capture_output=True, text=True, check=True
    ).stdout
    found = {}
    for name in filter(None, listed.split("\0")):
        path = TOP / name
        raw = path.read_bytes() if path.is_file() else b""
        if b"\0" not in raw:
            found[name] = raw.decode("utf-8")
    return found


def test_tracked_files__name_no_registry_and_no_machine():
    hosts = "|".join(
        name + r"\." + end for name in ("pypi", "pythonhosted") for end in ("org", "io")
    )
    folders = "|".join(["work", "farm", "root", "home", "Users", "mnt"])
    rules = (re.compile(hosts), re.compile(rf"(?<![\w.~}}\])])/(?:{folders})/\w"))
    found = [
        f"{name}:{text.count(chr(10), 0, match.start()) + 1}: {match[0]}"
        for name, text in tracked().items()
        for rule in rules
        for match in rule.finditer(text)
    ]
    assert len(tracked()) > 50
    assert not found, "\n".join(found)


def test_lock__covers_every_requirement_and_names_no_index():
    text = (TOP / "requirements.lock").read_text()
    locked = {line.split("==")[0] for line in text.splitlines() if "==" in line}
    project = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *(name for extra in extras.values() for name in extra)]
    names = {re.split(r"[<>=!~\[ ]", name)[0].lower() for name in wanted}
    assert names <= locked, names - locked
    assert not re.search(r"--|://|@|file:", text)


def test_licence__is_whole_and_the_changelog_collects_what_is_coming():
    licence = (TOP / "LICENSE").read_text()
    assert "Apache License" in licence
    assert "END OF TERMS AND CONDITIONS" in licence
    coming = (TOP / "CHANGELOG.md").read_text().partition("## Unreleased\n")[2]
    assert re.search(r"^- \w", coming, re.MULTILINE)


RECIPES = sorted(path for path in (TOP / "recipes").rglob("*.y*ml"))


def test_recipes__are_there_and_small():
    tasks = {load_recipe(path).task for path in RECIPES}
    assert len(RECIPES) >= 7
    assert tasks == {"classification", "segmentation", "detection"}
    assert {"digits-" + task for task in tasks} <= {path.stem for path in RECIPES}


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipes__load_with_a_known_model(path: Path):
    from automl.commands.workspace import load

    assert 4 <= len(path.read_text().splitlines()) <= 25
    recipe = load(path)
    assert Path(recipe.data.path) == TOP / "data" / Path(recipe.data.path).name
