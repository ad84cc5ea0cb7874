"""Everything a report is made from: the files of a run folder, each of which may be missing."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from automl.dataset import Dataset, Profile
from automl.files import read_json, read_object, read_yaml
from automl.record import journal
from automl.run_dir import RunDir


@dataclass(frozen=True)
class Material:
    """The files of a run as plain values; empty where a stage has not run yet."""

    run: RunDir
    recipe: dict[str, Any] = field(default_factory=dict)
    recipe_text: str = ""
    plan: dict[str, Any] = field(default_factory=dict)
    dataset: Dataset | None = None
    findings: list[dict[str, Any]] = field(default_factory=list)
    profile: Profile | None = None
    provenance: dict[str, Any] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    evaluation: dict[str, Any] = field(default_factory=dict)
    model: dict[str, Any] = field(default_factory=dict)
    bundle: Path | None = None
    """Where the model is that was judged on other data than its run's."""

    @property
    def task(self) -> str:
        """The task, from whichever file knows it."""
        known = (self.plan, self.evaluation, self.recipe)
        found = next((k["task"] for k in known if k.get("task")), "")
        return str(found or (self.dataset.task if self.dataset else ""))

    @property
    def names(self) -> list[str]:
        """Class names by index."""
        return self.dataset.names if self.dataset else list(self.evaluation.get("per_class", {}))

    @property
    def epochs(self) -> list[dict[str, Any]]:
        """One event per epoch of the last training."""
        return journal.epochs(journal.last_training(self.events))

    def event(self, name: str) -> dict[str, Any]:
        """The last event of a kind, or nothing."""
        return next((e for e in reversed(self.events) if e["event"] == name), {})


def gather(run: RunDir, bundle: Path | None = None) -> Material:
    """Reads what is there; the model from elsewhere where `bundle` names its folder."""
    return Material(
        run=run,
        recipe=read_yaml(run.recipe, "prepare"),
        recipe_text=run.recipe.read_text(encoding="utf-8") if run.recipe.is_file() else "",
        plan=read_yaml(run.plan, "plan"),
        dataset=Dataset.read(run.dataset) if run.dataset.is_file() else None,
        findings=_findings(run.findings),
        profile=Profile.read(run.profile) if run.profile.is_file() else None,
        provenance=read_object(run.provenance, "train"),
        events=journal.read(run.journal),
        evaluation=_evaluation(run),
        model=read_object((bundle or run.model) / "model.json", "train"),
        bundle=bundle,
    )


def _evaluation(run: RunDir) -> dict[str, Any]:
    """The full scores, or what the small file of numbers gives."""
    if run.evaluation.is_file():
        return read_object(run.evaluation, "evaluate")
    small = read_object(run.metrics, "evaluate")
    if not small:
        return {}
    heads = ("task", "split", "images", "primary")
    head: dict[str, Any] = {k: small.pop(k) for k in heads if k in small}
    return {**head, "metrics": small}


def _findings(path: Path) -> list[dict[str, Any]]:
    """The findings, whether the file holds them bare or under a key."""
    raw = read_json(path, "prepare")
    if isinstance(raw, dict):
        raw = raw.get("findings", [])
    return [finding for finding in raw or [] if isinstance(finding, dict)]
