"""One finished run per task, made once; tests that change a run make their own."""

import pytest

from automl.report.page import write
from tests.report.made_run import make_run

TASKS = ["classification", "segmentation", "detection"]


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """Runs with their page, by task."""
    made = {task: make_run(tmp_path_factory.mktemp(task), task) for task in TASKS}
    for run in made.values():
        write(run)
    return made
