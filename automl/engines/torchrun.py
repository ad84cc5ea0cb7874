"""What the processes that `torchrun` started tell each other outside the loop. No torch alone."""

import os
from pathlib import Path

from automl.dataset import Dataset
from automl.errors import UsageError
from automl.plan import Plan
from automl.run_dir import RunDir
from automl.signals import left_to_the_system


def leads() -> bool:
    """Whether this process walks the line: it is alone, or the first of several."""
    return not _several() or os.environ["RANK"] == "0"


def announce(run: RunDir, plan: Plan, images: int) -> None:
    """Tells the others where the plan is; all of them then train on so many images."""
    if not _several():
        return
    if plan.engine != "native":
        raise UsageError(
            f"`{plan.model}` is trained by one process",
            hint="start it with `automl run` instead of `torchrun`",
        )
    smallest = images // -(-images // plan.train.batch_size)
    processes = int(os.environ["WORLD_SIZE"])
    if smallest < processes:
        raise UsageError(
            f"a batch of {smallest} images cannot be shared by {processes} processes",
            hint=f"start fewer, or plan with `--set train.batch_size={2 * processes}`",
        )
    from automl.engines.distributed import broadcast_text, refuse_shared_cards

    refuse_shared_cards(plan.device)
    broadcast_text(str(run.root.absolute()))


def help_training() -> None:
    """What the others do: wait for the plan, train along, write nothing."""
    from automl.engines import native
    from automl.engines.distributed import broadcast_text, others_followed

    with others_followed():
        with left_to_the_system():  # it hears nothing there, until `torchrun` kills it
            told = broadcast_text("")
        run = RunDir(Path(told))
        plan, dataset = Plan.read(run.plan), Dataset.read(run.dataset)
        native.train(plan, dataset, run, lambda _: 0.0, lambda *_: None)


def _several() -> bool:
    return int(os.environ.get("WORLD_SIZE", "1")) > 1 and "TORCHELASTIC_RUN_ID" in os.environ
