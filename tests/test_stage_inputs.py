"""Files between two stages: damaged, edited or of another run, they are named with their cure."""

import json
from pathlib import Path

import pytest

from automl.data.digest import digest_of
from automl.dataset import Class, Dataset, Profile, Sample
from automl.errors import AutomlError, DataError, MachineError, UsageError
from automl.plan import Plan
from automl.run_dir import RunDir
from automl.stage_inputs import planned, prepared
from tests.engines.toy import toy_plan


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    """A folder with the files of `prepare` and `plan`."""
    sample = Sample("a.png", "train", 4, 4, "0" * 64, label=1)
    classes = (Class(0, "cat"), Class(7, "dog"))
    made = Dataset("classification", "set", "folders", classes, (sample,), "")
    dataset = Dataset(**{**vars(made), "digest": digest_of(made)})
    folder = RunDir(tmp_path)
    dataset.write(folder.dataset)
    toy_plan("classification", dataset).write(folder.plan)
    return folder


def said(error: AutomlError) -> str:
    (fault,) = error.faults
    assert fault.where
    assert fault.hint
    return fault.message


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_planned__gives_what_was_written(run):
    plan, dataset = planned(run)
    assert plan.dataset_digest == dataset.digest
    assert prepared(run, "classification") == dataset


BROKEN = ["", "{", "[]", "null", "42", '{"task": 1}', "\0", "[" * 100_000, "a: b: c"]


@pytest.mark.parametrize("text", BROKEN)
@pytest.mark.parametrize(
    ("name", "read"),
    [("dataset.json", Dataset.read), ("profile.json", Profile.read), ("plan.yaml", Plan.read)],
)
def test_read__a_damaged_file_is_one_fault(tmp_path, name, read, text):
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError) as caught:
        read(tmp_path / name)
    assert said(caught.value) == f"`{name}` is damaged, or was not written by automl"


def test_read__bytes_that_are_no_text(tmp_path):
    for name, read in (("dataset.json", Dataset.read), ("plan.yaml", Plan.read)):
        (tmp_path / name).write_bytes(b"\xff\xfe")
        with pytest.raises(DataError):
            read(tmp_path / name)


def test_prepared__an_edited_index_is_not_trained_on(run):
    change(run.dataset, '"label": 1', '"label": 9')
    with pytest.raises(DataError) as caught:
        prepared(run)
    assert "was changed since it was written" in said(caught.value)


def test_prepared__another_task(run):
    with pytest.raises(UsageError) as caught:
        prepared(run, "detection")
    assert "prepared for classification, the recipe's task is detection" in said(caught.value)


def test_planned__for_other_data(run):
    raw = json.loads(run.dataset.read_text())
    change(run.plan, raw["digest"], "0" * 64)
    with pytest.raises(UsageError) as caught:
        planned(run)
    assert said(caught.value) == "the plan was made for other data"


def test_planned__on_a_machine_with_another_device(run):
    change(run.plan, 'device: "cpu"', 'device: "cuda:63"')
    with pytest.raises(MachineError, match="`cuda:63` is not on this machine") as caught:
        planned(run)
    assert "--device" not in caught.value.faults[0].hint  # what goes on has no such choice
