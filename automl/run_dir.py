"""Every path that a run may write, in one class."""

import os
from dataclasses import dataclass
from pathlib import Path

from automl.errors import UsageError


@dataclass(frozen=True)
class RunDir:
    """The folder of one run; its name is the run's id."""

    root: Path

    @property
    def id(self) -> str:
        """The run's id."""
        return self.root.name

    @property
    def recipe(self) -> Path:
        """The recipe as resolved when the run began, overrides included."""
        return self.root / "recipe.yaml"

    @property
    def dataset(self) -> Path:
        """The index of the data."""
        return self.root / "dataset.json"

    @property
    def findings(self) -> Path:
        """What is wrong with the data."""
        return self.root / "findings.json"

    @property
    def profile(self) -> Path:
        """Facts about the data."""
        return self.root / "profile.json"

    @property
    def plan(self) -> Path:
        """Every decision with its reason."""
        return self.root / "plan.yaml"

    @property
    def provenance(self) -> Path:
        """Code, packages and machine that made the run."""
        return self.root / "provenance.json"

    @property
    def journal(self) -> Path:
        """Append-only record of what happened, one JSON document a line."""
        return self.root / "journal.jsonl"

    @property
    def times(self) -> Path:
        """Seconds spent by stage, over every attempt."""
        return self.root / "times.json"

    @property
    def checkpoints(self) -> Path:
        """Folder of the newest checkpoint and the one before."""
        return self.root / "checkpoints"

    @property
    def model(self) -> Path:
        """The bundle: the finished model."""
        return self.root / "model"

    @property
    def engine(self) -> Path:
        """Scratch of an engine that has its own trainer."""
        return self.root / "engine"

    @property
    def predictions(self) -> Path:
        """Folder of the predictions for the judged split."""
        return self.root / "predictions"

    @property
    def metrics(self) -> Path:
        """Scores as plain numbers, for people and `dvc metrics`."""
        return self.root / "metrics.json"

    @property
    def evaluation(self) -> Path:
        """Scores in full: confusion, curves, intervals, a score per image."""
        return self.root / "evaluation.json"

    @property
    def plots(self) -> Path:
        """Tables for `dvc plots`."""
        return self.root / "plots"

    @property
    def suspects(self) -> Path:
        """Labels that the trained model contradicts, as findings."""
        return self.root / "suspects.json"

    @property
    def report(self) -> Path:
        """The page."""
        return self.root / "report.html"

    @property
    def record(self) -> Path:
        """Where the run was recorded: MLflow ids, DVC files."""
        return self.root / "record.json"

    @property
    def promotions(self) -> Path:
        """Every alias that the model was given: who, when, why."""
        return self.root / "promotions.jsonl"

    @property
    def patch(self) -> Path:
        """What the workspace's code differed by from its commit."""
        return self.root / "code.patch"

    @property
    def own_patch(self) -> Path:
        """The same of the program itself, where it ran from another checkout."""
        return self.root / "program.patch"

    @property
    def replay(self) -> Path:
        """What a reproduction repeats beyond the plan: how long each epoch's run was to be."""
        return self.root / "replay.json"

    @property
    def reproduction(self) -> Path:
        """Whether a reproduction gave the same, and why not."""
        return self.root / "reproduction.json"

    def strangers(self) -> list[str]:
        """Visible names in the folder that are no run's: what a new run must not touch."""
        if not self.root.is_dir():
            return []
        files = (self.recipe, self.dataset, self.findings, self.profile, self.plan)
        more = (self.provenance, self.journal, self.metrics, self.evaluation, self.report)
        again = (self.replay, self.reproduction, self.times)
        beside = (self.record, self.patch, self.own_patch, *again)
        kept = (*beside, self.suspects, self.promotions, self.predictions, self.plots)
        own = {path.name for path in (*files, *more, *kept)}
        if (self.model / "model.json").is_file():
            own.add(self.model.name)
        names = sorted(path.name for path in self.root.iterdir())
        return [name for name in names if name not in own and not name.startswith(".")]


def runs_folder() -> Path:
    """The folder `runs` of the workspace, which is the current folder or `AUTOML_RUNS`."""
    return Path(os.environ.get("AUTOML_RUNS", "runs")).absolute()


def needed(path: Path, stage: str) -> Path:
    """The path, or UsageError where the stage that leaves it has not run."""
    if not path.is_file():
        raise UsageError(
            f"`{path.name}` does not exist yet", where=str(path), hint=f"run `automl {stage}` first"
        )
    return path
