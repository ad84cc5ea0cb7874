"""A recorded run and an alias in, the alias on its model version out; who, when, why are kept."""

import getpass
import json
import re
import socket
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from automl.errors import AutomlError, GateError, MachineError, UsageError
from automl.files import read_object
from automl.plan import Plan
from automl.recipe.schema import Recipe
from automl.record.liveness import Liveness
from automl.record.mlflow_client import opened, unreached
from automl.record.mlflow_delivery import store_of
from automl.record.mlflow_store import MlflowRecord
from automl.record.provenance import now, weights_digest, without_secrets
from automl.run_dir import RunDir, needed
from automl.scoring.goal import check

if TYPE_CHECKING:
    from mlflow import MlflowClient

PATIENCE_S = 10.0
_ALIAS = re.compile(r"(?!(?i:latest|v\d+)$)[A-Za-z0-9_-]{1,255}")


@dataclass(frozen=True)
class Promotion:
    """One alias given, as the registry and the run's folder keep it."""

    run: str
    alias: str
    model: str
    version: str
    uri: str
    by: str
    at: str
    reason: str
    forced: bool
    goal: str
    value: float | None
    before: str

    def tags(self) -> dict[str, str]:
        """For the version in the registry."""
        kept = ("by", "at", "reason", "forced", "goal", "value")
        facts = {key: getattr(self, key) for key in kept}
        return {
            f"automl.{self.alias}.{key}": json.dumps(v) if isinstance(v, bool) else str(v)
            for key, v in facts.items()
            if v not in ("", None)
        }


def promote(run: RunDir, recipe: Recipe, alias: str, *, reason: str, force: bool) -> Promotion:
    """Gives the alias to the run's model version.

    GateError where the run's goal is not met, unless forced; UsageError where the run's model is
    not in a registry.
    """
    if not _ALIAS.fullmatch(alias):
        raise UsageError(
            f"`{alias}` cannot be an alias",
            hint="letters, digits, `-` and `_`, such as `champion`; not `latest` or `v1`",
        )
    goal, value, met = _goal(run, force=force)
    record, store = _recorded(run, recipe), store_of(run, recipe)
    with Liveness(store.uri, store.experiment) as liveness:
        if not liveness.first(PATIENCE_S):
            raise _not_promoted(unreached(store, liveness.why))
    try:
        with opened(store) as client:
            before = _checked(client, run, record, alias)
            made = Promotion(
                run=run.id,
                alias=alias,
                model=record.model,
                version=record.version,
                uri=f"models:/{record.model}@{alias}",
                by=f"{_user()}@{socket.gethostname()}",
                at=now(),
                reason=without_secrets(reason),
                forced=force and not met,
                goal=goal,
                value=value,
                before=before,
            )
            for key, text in made.tags().items():
                client.set_model_version_tag(record.model, record.version, key, text)
            client.set_registered_model_alias(record.model, alias, record.version)
    except MachineError as error:
        raise _not_promoted(error) from error
    _append(run.promotions, asdict(made))
    return made


def _goal(run: RunDir, *, force: bool) -> tuple[str, float | None, bool]:
    """The goal in words, its score, and whether it is met; raises unless forced."""
    goal = Plan.read(needed(run.plan, "plan")).goal
    scores = read_object(needed(run.metrics, "evaluate"), "evaluate")
    try:
        check(goal, run.metrics)
    except GateError as error:
        if not force:
            raise GateError(
                error.faults[0].message,
                where=error.faults[0].where,
                hint="train a better one, or say `--force --reason TEXT`: both are kept",
            ) from error
    except UsageError:
        if not force:
            raise
    else:
        words = f"{goal.metric} at least {goal.at_least:g}" if goal else ""
        return words, scores.get(goal.metric if goal else str(scores.get("primary"))), True
    words = f"{goal.metric} at least {goal.at_least:g}" if goal else ""
    return words, scores.get(goal.metric) if goal else None, False


def _recorded(run: RunDir, recipe: Recipe) -> MlflowRecord:
    """Where the model is in the registry, as `record.json` has it."""
    known = read_object(run.record, "record").get("mlflow") or {}
    if recipe.track.mlflow == "off" and not known:
        raise UsageError(
            "the run is not in MLflow: its recipe says `track: {mlflow: off}`",
            where=str(run.recipe),
            hint="a registry is what an alias is kept in; run with another `track.mlflow`",
        )
    if not known.get("version"):
        raise _not_there(run, "the run's model is not in the registry yet")
    return MlflowRecord(**known)


def _checked(client: "MlflowClient", run: RunDir, record: MlflowRecord, alias: str) -> str:
    """That the version holds this run's weights; who has the alias now."""
    from mlflow.exceptions import MlflowException

    try:
        version = client.get_model_version(record.model, record.version)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        raise _not_there(run, f"{record.model} has no version {record.version} any more") from error
    if version.tags.get("automl.weights_sha256") != weights_digest(run.model):
        raise _not_there(run, "the run was trained again since it was recorded")
    try:
        holder = client.get_model_version_by_alias(record.model, alias)
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return ""  # nobody has it
        raise
    return str(holder.version) if str(holder.version) != record.version else ""


def _not_there(run: RunDir, why: str) -> UsageError:
    return UsageError(why, where=str(run.record), hint=f"`automl sync {run.id}` delivers it")


def _not_promoted(error: AutomlError) -> MachineError:
    fault = error.faults[0]
    why = fault.message.removeprefix("not recorded in MLflow: ")
    return MachineError(f"not promoted: {why}", where=fault.where, hint="try again later")


def _user() -> str:
    """The login name; a container's user may have none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return "unknown"


def _append(file: Path, entry: dict[str, Any]) -> None:
    with file.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(entry, ensure_ascii=False) + "\n")
