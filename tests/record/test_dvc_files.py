"""What `.dvc` and `dvc.lock` files say, and what is said of those that DVC has not written."""

import pytest

from automl.errors import DataError
from automl.record.dvc_files import tracked_by

MERGE = "outs:\n<<<<<<< HEAD\n- md5: 1\n=======\n- md5: 2\n>>>>>>> other\n"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("data.dvc", MERGE),
        ("data.dvc", "outs:\n- 3\n"),
        ("data.dvc", "outs:\n- md5: a\n"),
        ("dvc.lock", f"stages:\n  train:\n    {MERGE}"),
        ("dvc.lock", "stages:\n  train: 3\n"),
    ],
)
def test_tracked_by__a_file_in_a_merge_is_a_fault_with_its_cure(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=f"`{name}` is not what DVC writes") as caught:
        tracked_by(tmp_path, tmp_path / "data")
    assert "merge" in caught.value.faults[0].hint


def test_tracked_by__finds_the_digest_of_a_folder_and_of_a_stage(tmp_path):
    (tmp_path / "data.dvc").write_text("outs:\n- {md5: a.dir, hash: md5, path: data}\n")
    stage = "{outs: [{md5: b.dir, hash: md5, path: model}]}"
    (tmp_path / "dvc.lock").write_text(f"stages: {{train: {stage}}}\n")
    found = [tracked_by(tmp_path, tmp_path / name) for name in ("data/a.png", "model")]
    assert [(out.md5, out.owned, out.stage) for out in found if out] == [
        ("a.dir", False, ""),
        ("b.dir", True, "train"),
    ]
