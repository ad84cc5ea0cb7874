"""The gate: a goal and `metrics.json` in, nothing or an error out."""

import json
from pathlib import Path

from automl.errors import GateError, UsageError
from automl.plan import Goal


def check(goal: Goal | None, metrics: Path) -> None:
    """GateError where the scores do not reach the goal, UsageError where it names no score."""
    if goal is None:
        return
    scores = json.loads(metrics.read_text(encoding="utf-8"))
    value = scores.get(goal.metric)
    if not isinstance(value, int | float):
        known = ", ".join(name for name, v in scores.items() if isinstance(v, float))
        raise UsageError(
            f"the goal's metric `{goal.metric}` was not scored", hint=f"one of {known}"
        )
    if value < goal.at_least:
        raise GateError(
            f"{goal.metric} is {value:.4f}, the goal is {goal.at_least:g}",
            where=str(metrics),
            hint="train longer or with `effort: thorough`, or lower the goal in the recipe",
        )
