"""Imported by the server that trainings are forked from: one of each, so that all is loaded.

The first training of a process imports lazily for seconds; one that is forked from here does not.
"""

import tempfile
from pathlib import Path

from tests.faults.tiny import MODELS, Job, data_for, train

with tempfile.TemporaryDirectory(prefix="automl-warm-") as folder:
    for task in MODELS:
        home = Path(folder) / task
        data_for(task, home)
        train(Job(home / "run", task, train=(("epochs", 1),)))
