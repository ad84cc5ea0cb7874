"""What one stage hands to the next: read from the run folder, and found to belong together."""

from automl.data.digest import digest_of
from automl.dataset import Dataset, Task
from automl.errors import DataError, MachineError, UsageError
from automl.model import bundle as bundles
from automl.plan import Plan
from automl.record import journal
from automl.run_dir import RunDir, needed


def prepared(run: RunDir, task: Task | None = None) -> Dataset:
    """The index of the data as `prepare` left it, for this task if one is asked for."""
    dataset = Dataset.read(needed(run.dataset, "prepare"))
    if digest_of(dataset) != dataset.digest:
        raise DataError(
            f"`{run.dataset.name}` was changed since it was written",
            where=str(run.dataset),
            hint="`automl prepare` reads the data anew",
        )
    if task not in (None, dataset.task):
        raise UsageError(
            f"the data was prepared for {dataset.task}, the recipe's task is {task}",
            where=str(run.dataset),
            hint="`automl prepare` with this recipe and `--run-dir` reads it anew",
        )
    return dataset


def planned(run: RunDir) -> tuple[Plan, Dataset]:
    """The plan and the data that it was made for; the device that it names is on this machine."""
    from automl.planning.hardware import require_device

    plan, dataset = matched(run)
    try:
        require_device(plan.device)
    except MachineError as error:
        raise MachineError(
            f"the run was planned for a device that is not here: {error}",
            where=str(run.plan),
            hint="go on where it is; `automl predict` takes the model to any machine",
        ) from error
    return plan, dataset


def matched(run: RunDir) -> tuple[Plan, Dataset]:
    """The same, wherever it was made."""
    plan, dataset = Plan.read(needed(run.plan, "plan")), prepared(run)
    if plan.dataset_digest != dataset.digest:
        raise UsageError(
            "the plan was made for other data",
            where=str(run.plan),
            hint="`automl plan` with the recipe and `--run-dir` makes a new one",
        )
    return plan, dataset


def trained(run: RunDir) -> bundles.Bundle:
    """The description of the run's model, which is the one that its journal tells of."""
    bundle = bundles.read(run.model)
    ends = [e for e in journal.last_training(journal.read(run.journal)) if e["event"] == "trained"]
    told = ends[-1].get("weights_digest") if ends else None
    if told not in (None, bundle.weights_sha256):
        raise DataError(
            "the model is not the one that this run has trained",
            where=str(run.model),
            hint="bring that back, or `automl train` makes it anew; `automl predict` takes any",
        )
    return bundle
