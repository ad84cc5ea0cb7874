"""`automl init`: whatever the folders are called, the recipe loads or the answer says why not."""

import os
from pathlib import Path

import pytest

from automl.commands.init_recipe import write_starter
from automl.errors import DataError, UsageError
from automl.recipe.schema import load_recipe
from automl.scoring.score import goals_of
from tests.data import drawn
from tests.data.toys import toys, write_folders


class Heard:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)

    def progress(self, *_: object) -> None: ...


@pytest.fixture
def heard(tmp_path, monkeypatch) -> Heard:
    monkeypatch.chdir(tmp_path)
    write_folders(tmp_path / "my set", toys())
    return Heard()


def rename_a_class(to: bytes) -> None:
    first = min(p for p in Path("my set").rglob("*") if p.is_dir() and not split(p))
    first.rename(first.parent / os.fsdecode(to))


def split(folder: Path) -> bool:
    return folder.name in ("train", "val", "test")


@pytest.mark.parametrize(
    "name", [b"two\nlines", b"\x1b[31mred", b"caf\xe9", "日本 \u2028".encode()]
)
def test_write_starter__class_names_of_any_characters(heard, name):
    rename_a_class(name)
    written = write_starter(Path("my set"), None, heard)
    assert load_recipe(written).task == "classification"
    assert all(line.isprintable() for line in heard.lines)


def test_write_starter__the_next_command_can_be_pasted(heard):
    write_starter(Path("my set"), None, heard)
    assert heard.lines[-1] == "next: automl run 'my set.yaml'"


def test_write_starter__makes_the_folder_of_a_new_recipe(heard):
    made = write_starter(Path("my set"), Path("new/and/deep.yaml"), heard)
    assert load_recipe(made).data.path == str(Path("my set").absolute())


def test_write_starter__a_path_that_is_not_utf8_leaves_no_file(heard):
    named = Path(os.fsdecode(b"caf\xe9"))
    Path("my set").rename(named)
    with pytest.raises(UsageError) as caught:
        write_starter(named, Path("r.yaml"), heard)
    assert caught.value.faults[0].hint
    assert not Path("r.yaml").exists()


def test_write_starter__a_recipe_is_no_data(heard):
    Path("r.yaml").write_text("task: detection\ndata: x\n")
    with pytest.raises(DataError, match="no known layout"):
        write_starter(Path("r.yaml"), None, heard)


def test_write_starter__the_goal_is_a_score_of_the_set(heard):
    for written, several in ((drawn.write_many_labels, True), (drawn.write_parquet, False)):
        written(Path(f"set {several}"), toys())
        text = write_starter(Path(f"set {several}"), None, heard).read_text()
        metric = text.partition("goal: {metric: ")[2].partition(",")[0]
        assert metric == goals_of("classification", several_labels=several)[0]
    assert "goal: {metric: mean_ap" in Path("set True.yaml").read_text()


@pytest.mark.parametrize("task", ["detection", "segmentation"])
def test_write_starter__the_task_may_be_named_where_a_set_serves_several(heard, task):
    drawn.write_coco_outlines(Path("outlines"), toys())
    assert load_recipe(write_starter(Path("outlines"), None, heard, task)).task == task


def test_a_long_path__stays_on_one_line(heard, tmp_path):
    """YAML would be folded, and then no recipe."""
    deep = tmp_path / "a folder of many words in its name" / ("and another one " * 6) / "-my set"
    deep.parent.mkdir(parents=True)
    Path("my set").rename(deep)
    Path("far").mkdir()
    os.chdir("far")
    written = write_starter(deep, None, heard)
    assert load_recipe(written).data.path == str(deep)
    assert heard.lines[-1] == "next: automl run './-my set.yaml'"
