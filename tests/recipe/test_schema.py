"""Recipes: what is read, what is refused, and with which words."""

import random
import time
from pathlib import Path

import pytest

from automl.errors import Fault, RecipeError
from automl.plan import Train
from automl.recipe.faults import _OF_OTHER_TOOLS, _sections
from automl.recipe.schema import Recipe, load_recipe, read_recipe, write_recipe
from automl.suggestions import nearest

GOOD = "task: detection\ndata: cells\n"


def load(folder: Path, text: str | bytes, *overrides: str, **more) -> Recipe:
    file = folder / "r.yaml"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return load_recipe(file, overrides, **more)


def faults(folder: Path, text: str | bytes, *overrides: str, **more) -> list[Fault]:
    with pytest.raises(RecipeError) as caught:
        load(folder, text, *overrides, **more)
    assert caught.value.exit_code == 2
    return list(caught.value.faults)


def the_fault(folder: Path, text: str | bytes, *overrides: str, **more) -> Fault:
    found = faults(folder, text, *overrides, **more)
    assert len(found) == 1, found
    return found[0]


def faults_or_none(folder: Path, text: str) -> tuple[Fault, ...]:
    try:
        load(folder, text)
    except RecipeError as error:
        return error.faults
    return ()


def test_load_recipe__shorthands_and_defaults(tmp_path):
    recipe = load(tmp_path, GOOD + "train: {image_size: 224, lr: 1e-3, crop: }\ngoal:\n")
    assert recipe.data.path == str(tmp_path / "cells")
    assert recipe.train.image_size == (224, 224)
    assert recipe.train.lr == 0.001
    assert recipe.train.crop is None
    assert recipe.goal is None
    assert (recipe.model, recipe.effort, recipe.licence) == ("auto", "standard", "permissive")


def test_load_recipe__paths_are_relative_to_the_file_that_says_them(tmp_path, monkeypatch):
    (tmp_path / "recipes").mkdir()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    params = tmp_path / "params.yaml"
    params.write_text("set: {data: from_params}\nother: 1\n")
    text = "task: detection\ndata: ../data/x\n"
    folder = tmp_path / "recipes"
    assert load(folder, text).data.path == str(tmp_path / "data/x")
    assert load(folder, text, params=params).data.path == str(tmp_path / "from_params")
    assert load(folder, text, "data=y").data.path == str(tmp_path / "elsewhere/y")


def test_load_recipe__overrides_win_over_params_over_the_recipe(tmp_path):
    params = tmp_path / "params.yaml"
    params.write_text("recipe: r.yaml\nset:\n  train: {epochs: 2, lr: 0.5}\n")
    text = GOOD + "train: {epochs: 1, lr: 0.1, seed: 7}\n"
    recipe = load(tmp_path, text, "train.epochs=3", params=params)
    assert (recipe.train.epochs, recipe.train.lr, recipe.train.seed) == (3, 0.5, 7)
    assert recipe.place("train.epochs") == "--set train.epochs=3"
    assert recipe.place("train.lr") == f"{params}:3:22"
    assert recipe.place("train.seed") == f"{tmp_path}/r.yaml:3:29"
    assert recipe.place("model") == ""


def test_load_recipe__an_empty_value_leaves_a_key_open(tmp_path):
    params = tmp_path / "params.yaml"
    params.write_text("set:\n")
    recipe = load(tmp_path, GOOD + "budget: 5m\n", "budget=null", params=params)
    assert recipe.budget is None
    assert recipe.place("budget") == ""


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("no", "no"),
        ("on", "on"),
        ("yes", "yes"),
        ("0123", "0123"),
        ("12:30", "12:30"),
        ("2026-11-23", "2026-11-23"),
        ("0x1f", "0x1f"),
        ("1_000", "1_000"),
        ("7", "7"),
        ("1e-3", "1e-3"),
        ("true", "true"),
        ("'quoted: yes'", "quoted: yes"),
        ("Straße", "Straße"),
    ],
)
def test_load_recipe__class_names_stay_what_was_written(tmp_path, written, read):
    recipe = load(tmp_path, f"task: detection\ndata: {{path: x, classes: [{written}, b]}}\n")
    assert recipe.data.classes == [read, "b"]


def test_load_recipe__classes_may_be_a_map_from_ids(tmp_path):
    recipe = load(tmp_path, "task: segmentation\ndata: {path: x, classes: {0: sky, 7: no}}\n")
    assert recipe.data.classes == {0: "sky", 7: "no"}


@pytest.mark.parametrize("key", ["0123", "12:30", "0o17", "0x10", "1_000", "yes", "'5'", "5.0"])
def test_load_recipe__a_number_is_only_what_looks_like_one(tmp_path, key):
    fault = the_fault(tmp_path, GOOD + f"train: {{epochs: {key}}}\n")
    assert "`train.epochs` must be a whole number, not" in fault.message
    assert fault.where == f"{tmp_path}/r.yaml:3:17"


def test_load_recipe__a_boolean_is_no_number(tmp_path):
    assert "not `true`" in the_fault(tmp_path, GOOD + "train: {seed: true}\n").message
    assert "not `True`" in the_fault(tmp_path, GOOD + "train: {lr: True}\n").message


def test_load_recipe__every_fault_at_once_in_the_order_of_the_file(tmp_path):
    text = (
        "tsk: detection\ndata: {path: x, splt: 1}\ntrain:\n  epohcs: 3\n  lr: -1\n  ema: 1\n"
        "effort: fast\nepochs: 3\ngoal: {metric: map}\n"
    )
    found = faults(tmp_path, text)
    shown = [(f.message, f.where.rpartition("r.yaml:")[2], f.hint) for f in found]
    assert shown == [
        ("unknown key `tsk`", "1:1", "did you mean `task`?"),
        ("unknown key `splt` in `data`", "2:17", "did you mean `split`?"),
        ("unknown key `epohcs` in `train`", "4:3", "did you mean `epochs`?"),
        ("`train.lr` must be more than 0, not `-1`", "5:7", ""),
        ("`train.ema` must be less than 1, not `1`", "6:8", ""),
        (
            "`effort` cannot be the text `fast`",
            "7:9",
            "one of: `quick`, `standard`, `thorough`",
        ),
        ("unknown key `epochs`", "8:1", "`epochs` belongs in `train`"),
        (
            "the key `goal.at_least` is missing",
            "9:7",
            "add `at_least: ...` (the lowest value that passes)",
        ),
    ]


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("imgsz: 64", "train.image_size"),
        ("learning_rate: 1", "train.lr"),
        ("train: {bs: 4}", "train.batch_size"),
        ("pretrained: true", "weights"),
    ],
)
def test_load_recipe__keys_of_other_tools_name_ours(tmp_path, line, meant):
    assert the_fault(tmp_path, f"{GOOD}{line}\n").hint == f"did you mean `{meant}`?"


def test_words_of_other_tools__all_name_a_key_that_there_is():
    keys = {".".join((*path, k)) for path, model in _sections(Recipe) for k in model.model_fields}
    assert set(_OF_OTHER_TOOLS.values()) <= keys
    ours = {key.rpartition(".")[2] for key in keys}
    assert not ours & _OF_OTHER_TOOLS.keys()  # a word that is ours means what it means here


def test_load_recipe__a_missing_key_is_named_with_its_meaning(tmp_path):
    fault = the_fault(tmp_path, "data: x\n")
    assert fault.message == "the key `task` is missing"
    assert fault.hint == "add `task: ...` (what is learnt)"


def test_load_recipe__a_doubled_key_names_both_lines(tmp_path):
    fault = the_fault(tmp_path, GOOD + "train:\n  lr: 1\n  seed: 1\n  lr: 2\n")
    assert fault.message == "`lr` stands twice, in line 4 and in line 6"
    assert fault.where == f"{tmp_path}/r.yaml:6:3"


@pytest.mark.parametrize(
    ("augment", "message", "hint"),
    [
        ("hevy", "`augment` cannot be the text `hevy`", "did you mean `heavy`?"),
        ("[{HorizontalFlip: 3}]", "`augment.0.HorizontalFlip` must be a mapping, not `3`", ""),
        ("[5]", "`augment.0` must be a mapping, not `5`", ""),
        (
            "5",
            "`augment` must be one of `auto`, `none`, `light`, `medium`, `heavy` or a list, "
            "not `5`",
            "",
        ),
    ],
)
def test_load_recipe__a_union_is_judged_by_the_branch_that_was_meant(
    tmp_path, augment, message, hint
):
    fault = the_fault(tmp_path, GOOD + f"augment: {augment}\n")
    assert (fault.message, fault.hint) == (message, hint)


def test_load_recipe__a_fault_of_an_override_says_so(tmp_path):
    found = faults(tmp_path, GOOD, "train.lr=fast", "modle=auto", "nonsense", "a..b=1")
    assert [(f.message, f.where) for f in found] == [
        ("an override must have the form `key=value`", "--set a..b=1"),
        ("unknown key `modle`", "--set modle=auto"),
        ("an override must have the form `key=value`", "--set nonsense"),
        ("`train.lr` must be a number, not the text `fast`", "--set train.lr=fast"),
    ]


@pytest.mark.parametrize(
    ("text", "words", "place"),
    [
        ("[" * 20_000, "nested deeper than 32 levels", ":1:34"),
        ("a: &x [1]\nb: *x\n", "an anchor or an alias", ":1:4"),
        ("a: !!python/object/apply:os.system [ls]\n", "a tag", ":1:4"),
        ("a: 1\n---\nb: 2\n", "a second document", ":2:1"),
        ("a:\n\t- b\n", "not valid YAML", ":2:1"),
        ("a: [1,\n", "not valid YAML", ":2:1"),
        ("a: 'b\n", "not valid YAML", ":2:1"),
        ("a: \x01\n", "a control character", ":1:4"),
        ("? [a]\n: 1\n", "a key that is no word or number", ":1:3"),
        ('a: "\\ud800"\n', "half a character", ":1:4"),
        ("task: detection\n".encode("utf-16"), "not UTF-8 text", ""),
        (b"task: \xff\n", "not UTF-8 text", ":1:7"),
        (b"#" * (2**20 + 1), "larger than 1 MiB", ""),
        ("", "the recipe is empty", ":1:1"),
        ("- a\n", "the recipe is not a mapping", ":1:1"),
    ],
)
def test_load_recipe__what_is_no_recipe_is_one_clear_line(tmp_path, text, words, place):
    began = time.process_time()
    found = faults(tmp_path, text)
    assert time.process_time() - began < 2
    assert words in found[0].message
    assert found[0].where == f"{tmp_path}/r.yaml{place}"
    assert "\n" not in found[0].message


def test_load_recipe__an_alias_bomb_is_refused_at_its_first_line(tmp_path):
    levels = "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 9))
    began = time.process_time()
    the_fault(tmp_path, "a0: &a0 [x]\n" + levels)
    assert time.process_time() - began < 0.1


def test_load_recipe__byte_order_mark_and_windows_lines_are_fine(tmp_path):
    text = b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode()
    assert load(tmp_path, text).task == "detection"


def test_load_recipe__a_missing_file_is_said(tmp_path):
    with pytest.raises(RecipeError) as caught:
        load_recipe(tmp_path / "none.yaml")
    assert "No such file" in caught.value.faults[0].message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("budget: 10\n", "`budget` cannot be `10`"),
        ("budget: 0m\n", "`budget` cannot be `0m`"),
        (f"budget: {'9' * 400}h\n", "`budget` cannot be `9999"),
        ("train: {image_size: 100}\n", "`train.image_size` is 100x100; detection needs multiples"),
        ("train: {image_size: 1000000}\n", "`train.image_size` must be at most 8192"),
        ("train: {threads: 100000}\n", "`train.threads` must be at most 1024"),
        ("train: {workers: 100000}\n", "`train.workers` must be at most 256"),
        ("train: {batch_size: 99999999999}\n", "`train.batch_size` must be at most 65536"),
        ("train: {crop: 64}\n", "`train.crop` does not fit the task detection"),
        ("train: {batch_size: 8, micro_batch: 3}\n", "`train.batch_size` 8 is no multiple of"),
        ("train: {epochs: 1, warmup_epochs: 2}\n", "`train.warmup_epochs` is more than"),
        ("train: {image_size: 0}\n", "`train.image_size` must be"),
        ("train: {fit: crop}\n", "`train.fit: crop` would cut boxes off"),
        ("train: {label_smoothing: 0.1}\n", "`train.label_smoothing` does not fit the task"),
    ],
)
def test_load_recipe__impossible_pairs_are_found_before_data_is_read(tmp_path, text, message):
    assert the_fault(tmp_path, GOOD + text).message.startswith(message)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("{path: x, split: {val: 0.6, test: 0.4}}", "`data.split` leaves no image to train on"),
        ("{path: x, classes: [a, b, a]}", "class `a` stands twice"),
        ("{path: x, classes: []}", "`data.classes` is empty"),
        ("{path: x, classes: [a, '']}", "a class without a name"),
        ("{path: x, classes: {-1: a, 0: b}}", "no class can have the id -1"),
        ("{path: x, classes: {2147483648: a, 0: b}}", "no class can have the id 2147483648"),
        ("''", "`data.path` is empty"),
        ("", "the key `data` is missing"),
        ("{path: }", "the key `data.path` is missing"),
        ('"a\\0b"', "a NUL character in `data.path`"),
    ],
)
def test_load_recipe__impossible_data_sections(tmp_path, data, message):
    assert the_fault(tmp_path, f"task: detection\ndata: {data}\n").message == message


def test_load_recipe__a_mask_has_no_room_for_a_larger_id(tmp_path):
    text = "task: segmentation\ndata: {path: x, classes: {0: a, 70000: b}}\n"
    fault = the_fault(tmp_path, text)
    assert fault.message == "no class can have the id 70000"
    assert fault.where == f"{tmp_path}/r.yaml:2:33"


@pytest.mark.parametrize("key", ["\ud800", "a\nb", ".".join("a" * 5000)])
def test_load_recipe__override_keys_that_no_recipe_has(tmp_path, key):
    assert (
        the_fault(tmp_path, GOOD, f"{key}=1").message
        == "an override must have the form `key=value`"
    )


def test_load_recipe__the_home_of_nobody_is_a_folder_name(tmp_path):
    recipe = load(tmp_path, "task: detection\ndata: ~nobody-has-this-name/cells\n")
    assert recipe.data.path == str(tmp_path / "~nobody-has-this-name/cells")


@pytest.mark.parametrize("text", ["- a\n", "word\n", "set: [a]\n", "set: word\n"])
def test_load_recipe__parameters_that_are_no_mapping(tmp_path, text):
    params = tmp_path / "params.yaml"
    params.write_text(text)
    fault = the_fault(tmp_path, GOOD, params=params)
    assert "the parameters are no mapping" in fault.message
    assert fault.where.startswith(f"{params}:1:")


def test_load_recipe__list_items_have_places(tmp_path):
    recipe = load(tmp_path, GOOD + "augment:\n  - HorizontalFlip: {p: 1}\n  - Blur: {}\n")
    assert recipe.place("augment.1") == f"{tmp_path}/r.yaml:5:5"


def test_load_recipe__a_crop_larger_than_the_image(tmp_path):
    text = "task: segmentation\ndata: x\ntrain: {crop: [64, 224], image_size: [128, 128]}\n"
    assert the_fault(tmp_path, text).message == "`train.crop` is larger than `train.image_size`"


def test_load_recipe__what_only_others_know_is_asked_of_them(tmp_path):
    def check(recipe: Recipe) -> list[Fault]:
        return [Fault("no such model", recipe.place("model"))]

    fault = the_fault(tmp_path, GOOD + "model: nonsense\n", check=check)
    assert fault.where == f"{tmp_path}/r.yaml:3:1"


@pytest.mark.parametrize("key", list(Train.model_fields))
def test_load_recipe__every_key_of_the_plan_can_be_set(tmp_path, key):
    info = Train.model_fields[key]
    value = {"image_size": "[96, 64]", "crop": "[32, 32]"}.get(key)
    kind = str(info.annotation)
    usual = {"bool": "true", "int": "1", "float": "0.5"}
    value = value or next((text for name, text in usual.items() if name in kind), None)
    value = kind.split("'")[1] if "Literal" in kind else value or "0.5"
    dense = {"crop": "segmentation", "mosaic": "detection", "instant_steps": "detection"}
    task = dense.get(key, "classification")
    recipe = load(tmp_path, f"task: {task}\ndata: x\n", f"train.{key}={value}")
    assert getattr(recipe.train, key) is not None
    assert recipe.place(f"train.{key}").startswith("--set")


def test_write_recipe__reads_back_equal(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (
        "task: detection\n"
        "data: {path: my data, classes: [no, 1e-3, 0123, ü, '~'], ignore: [3, 4]}\n"
        "model: '1e5'\n"
        "augment: [{HorizontalFlip: {p: 0.5}}, {Affine: {scale: [0.5, 1], x: '1e3'}}]\n"
        "train: {image_size: [64, 96], lr: 1e-5, crop: }\nbudget: 90s\ntrack: {dvc: off}\n"
    )
    recipe = load(tmp_path, text)
    file = tmp_path / "runs/one/recipe.yaml"
    write_recipe(recipe, file)
    assert read_recipe(file) == recipe
    assert "path: ../../my data" in file.read_text()
    first = file.read_bytes()
    write_recipe(read_recipe(file), file)
    assert file.read_bytes() == first


def test_write_recipe__data_elsewhere_keeps_its_absolute_path(tmp_path, monkeypatch):
    (tmp_path / "work").mkdir()
    recipe = load(tmp_path, GOOD)
    monkeypatch.chdir(tmp_path / "work")
    write_recipe(recipe, tmp_path / "work/runs/one/recipe.yaml")
    text = (tmp_path / "work/runs/one/recipe.yaml").read_text()
    assert f"path: {tmp_path}/cells" in text


def test_load_recipe__random_damage_is_a_recipe_error_or_a_recipe(tmp_path):
    """Bytes dropped, doubled, swapped in: never another error, never slow."""
    text = (
        "task: segmentation\ndata:\n  path: x\n  classes: [a, b]\n  split: {val: 0.2}\n"
        "augment: [{Blur: {p: 1e-1}}]\ntrain:\n  lr: 1e-3\n"
        "  image_size: [64, 64]\ngoal: {metric: m, at_least: 1}\n"
    )
    draw = random.Random(7)
    refused = 0
    for _ in range(400):
        letters = list(text)
        for _ in range(draw.randint(1, 4)):
            at = draw.randrange(len(letters))
            letters[at] = draw.choice([*"{}[]:,&*!|>'\"%@`#-? \n\tä\0", "", letters[at] * 2])
        said = faults_or_none(tmp_path, "".join(letters))
        assert all(fault.message and "\n" not in fault.message for fault in said)
        refused += bool(said)
    assert 100 < refused < 400


def test_nearest__finds_one_edit_typos_and_leaves_other_words_alone():
    keys = [*Recipe.model_fields, *Train.model_fields]
    draw = random.Random(1)
    letters = "abcdefghijklmnopqrstuvwxyz_"
    right = tried = 0
    while tried < 500:
        word = draw.choice(keys)
        at = draw.randrange(len(word))
        typo = draw.choice(
            [
                word[:at] + word[at + 1 :],
                word[:at] + draw.choice(letters) + word[at:],
                word[:at] + draw.choice(letters) + word[at + 1 :],
                word[:at] + word[at : at + 2][::-1] + word[at + 2 :],
            ]
        )
        if typo in keys or len(typo) < 2:
            continue
        tried += 1
        right += nearest(typo, keys) == word
    assert right / tried >= 0.97
    for unrelated in ("banana", "xyzzy", "horizon", "42", "quux", "description"):
        assert nearest(unrelated, keys) is None


def test_load_recipe__parameters_that_would_change_nothing(tmp_path):
    params = tmp_path / "params.yaml"
    params.write_text("sett: {train: {epochs: 2}}\n")
    assert the_fault(tmp_path, GOOD, params=params).message == "no `set:` in the parameters"
    params.unlink()
    assert "parameters cannot be read" in the_fault(tmp_path, GOOD, params=params).message


@pytest.mark.parametrize("uri", ["ftp://host", "htp://host:5000"])
def test_load_recipe__a_store_that_mlflow_does_not_know(tmp_path, uri):
    fault = the_fault(tmp_path, f"{GOOD}track: {{mlflow: '{uri}'}}\n")
    assert "MLflow keeps no runs at" in fault.message
    for known in ("sqlite:///x.db", "postgresql+psycopg2://u@h/d", "http://h:5000", "runs/here"):
        load(tmp_path, f"{GOOD}track: {{mlflow: '{known}'}}\n")


def test_set_by__the_command_line_or_the_recipe(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text("task: detection\ndata: x\ntrain: {epochs: 3}\n")
    recipe = load_recipe(path, ["train.lr=1e-3", "budget=10m"])
    assert recipe.set_by("train.epochs") == "set in the recipe"
    assert recipe.set_by("train.lr") == recipe.set_by("budget") == "set on the command line"
