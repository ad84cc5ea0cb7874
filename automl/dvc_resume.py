"""What a training goes on from where `dvc repro` has cleared its folder.

DVC removes a stage's outputs before it runs the stage, also after an interruption. Checkpoints are
no output, so the journal and the provenance have a second name beside them until training is done.
"""

import os
import shutil
from contextlib import suppress

from automl.run_dir import RunDir


def keep(run: RunDir) -> None:
    """Gives the journal a second name; later lines reach both, for it is one file."""
    kept = run.checkpoints / run.journal.name
    with suppress(OSError):  # a disk without hard links: an interrupted `dvc repro` starts afresh
        if kept.exists() and kept.samefile(run.journal):
            return
        run.checkpoints.mkdir(parents=True, exist_ok=True)
        kept.unlink(missing_ok=True)
        os.link(run.journal, kept)


def keep_origin(run: RunDir) -> None:
    """Copies the provenance, which is replaced and not appended to."""
    with suppress(OSError):
        run.checkpoints.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(run.provenance, run.checkpoints / run.provenance.name)


def bring_back(run: RunDir) -> None:
    """Puts both back where they are missing, or where another training's have taken their place."""
    kept = run.checkpoints / run.journal.name
    if not kept.is_file() or (run.journal.exists() and kept.samefile(run.journal)):
        return
    run.journal.unlink(missing_ok=True)
    os.link(kept, run.journal)
    origin = run.checkpoints / run.provenance.name
    if origin.is_file():
        run.provenance.unlink(missing_ok=True)  # it may be a link into DVC's cache
        shutil.copyfile(origin, run.provenance)


def let_go(run: RunDir) -> None:
    """The training is done: what DVC clears from now on is trained again."""
    for path in (run.journal, run.provenance):
        (run.checkpoints / path.name).unlink(missing_ok=True)
