"""A run's files in, facts for `--json` and lines for a person out."""

import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from automl.clock import STAGES
from automl.commands.provenance_output import origin_facts, origin_lines
from automl.commands.terminal import duration, table
from automl.commands.workspace import name, shown
from automl.files import read_object
from automl.record.promise import promise
from automl.record.runs import RunSummary, summary
from automl.record.taint import taint_notice
from automl.run_dir import RunDir

if TYPE_CHECKING:
    from automl.plan import Plan


def plan_lines(plan: "Plan") -> list[str]:
    """Every choice with its reason and what would have been next."""
    values = plan.model_dump(mode="json", exclude={"candidates", "reasons"})
    rows = []
    for key, reason in plan.reasons.items():
        other = f"; else {reason.runner_up}" if reason.runner_up else ""
        rows.append((key, _short(_at(values, key)), f"{reason.because}{other}"))
    choices = table(("choice", "value", "because"), rows)
    return [*_candidate_lines(plan), *choices]


def _candidate_lines(plan: "Plan") -> list[str]:
    """The models that `auto` weighed, and why it took one."""
    header = ("model", "M params", "px", "ms/image", "epochs", "transfer", "expected", "")
    rows = [
        (
            candidate.model,
            f"{candidate.parameters:g}",
            "x".join(str(side) for side in candidate.image_size),
            f"{candidate.ms_per_image:.3g}{'' if candidate.measured else ' ?'}",
            str(candidate.epochs),
            "-" if candidate.transfer is None else f"{candidate.transfer:.3f}",
            duration(candidate.expected_s),
            candidate.verdict,
        )
        for candidate in plan.candidates
    ]
    return [*table(header, rows), ""] if rows else []


def run_facts(run: RunDir) -> dict[str, Any]:
    """What a run's files say about it, as far as they are there."""
    about = summary(run.root)
    return {
        "run": run.id,
        "folder": str(run.root),
        "state": about.state,
        "started": about.started.isoformat(timespec="seconds"),
        "seconds": about.seconds,
        "time": promise(run).facts(),
        "task": about.task,
        "model": about.model,
        "images": read_object(run.profile, "prepare").get("images", {}),
        "scores": _scores(run),
        "intervals": read_object(run.evaluation, "evaluate").get("intervals", {}),
        "origin": origin_facts(read_object(run.provenance, "train")),
        "promoted": list(about.promoted),
        "tainted": taint_notice(run),
        "report": str(run.report) if run.report.is_file() else None,
        "bundle": str(run.model) if (run.model / "model.json").is_file() else None,
        "record": read_object(run.record, "record"),
    }


def _scores(run: RunDir) -> dict[str, Any]:
    """The numbers, and those of each class, which only the full file has."""
    scores = read_object(run.metrics, "evaluate")
    per_class = read_object(run.evaluation, "evaluate").get("per_class", {})
    return {**scores, "per_class": per_class} if scores else {}


def finished_lines(facts: dict[str, Any]) -> list[str]:
    """What a person wants to know at the end of a run."""
    named = name(RunDir(Path(facts["folder"])))
    model = f"automl predict {shlex.quote(named)} IMAGE"
    return [
        *score_lines(facts["scores"], facts["intervals"], classes=False),
        "",
        *_labelled(
            ("run", _short_path(facts["folder"])),
            ("report", _short_path(facts["report"])),
            *_records(facts),
            ("time", time_line(facts["time"])),
            ("next", model),
        ),
    ]


def run_lines(facts: dict[str, Any]) -> list[str]:
    """`automl show`."""
    images = ", ".join(f"{count} {split}" for split, count in facts["images"].items())
    took = f", took {duration(facts['seconds'])}" if facts["seconds"] is not None else ""
    return [
        *_labelled(
            ("run", facts["run"]),
            ("state", f"{facts['state']}, started {facts['started']}{took}"),
            ("task", facts["task"]),
            ("images", images),
            ("model", facts["model"]),
            ("time", time_line(facts["time"])),
            *origin_lines(facts["origin"]),
            ("alias", ", ".join(facts["promoted"])),
            ("data", facts["tainted"]),
            ("folder", _short_path(facts["folder"])),
            ("report", _short_path(facts["report"])),
            ("bundle", _short_path(facts["bundle"])),
            *_records(facts),
        ),
        *([""] if facts["scores"] else []),
        *score_lines(facts["scores"], facts["intervals"]),
    ]


def time_line(time: dict[str, Any]) -> str:
    """Spent by stage, against the promise where there is one."""
    if not time["stages"]:
        return ""
    parts = ", ".join(f"{name} {seconds:.1f}" for name, seconds in time["stages"].items())
    of = f" of {time['promised']:g} s promised" if time["promised"] is not None else ""
    verdict = f"; {time['verdict']}" if time["verdict"] else ""
    return f"{time['spent']:.1f} s{of} ({parts}){verdict}"


def plan_notes(plan: "Plan") -> list[str]:
    """Expected time by stage, and memory; a budget that cannot be kept is a warning."""
    train = plan.expected_s.get("setup", 0.0) + (plan.expected_train_s or 0.0)
    around = {name: s for name, s in plan.expected_s.items() if name not in ("setup", "end")}
    stages = {name: train if name == "train" else around.get(name) for name in STAGES}
    said = ", ".join(f"{name} {s:.0f} s" for name, s in stages.items() if s is not None)
    total = train + sum(around.values()) + plan.expected_s.get("end", 0.0)
    lines = [f"expected: {duration(total)} ({said})"]
    if plan.expected_memory_gb is not None:
        lines.append(f"expected: {plan.expected_memory_gb:g} GB of memory at the fullest")
    return lines


def record_lines(facts: dict[str, Any]) -> list[str]:
    """Where a run can be found again."""
    return _labelled(*_records(facts)) or ["not recorded: the recipe turns both records off"]


def score_lines(
    scores: dict[str, Any], intervals: dict[str, Any] | None = None, *, classes: bool = True
) -> list[str]:
    """The metrics, and one line per class; a 95 % interval where one is known."""
    if not scores:
        return []
    skipped = ("task", "split", "images", "primary", "per_class")
    rows = [
        (name, _number(value), _interval(name, intervals))
        for name, value in scores.items()
        if name not in skipped
    ]
    head = (f"on {scores['images']} {scores['split']} images", "", "95 % interval")
    lines = table(head, rows)
    return [*lines, "", *_class_lines(scores["per_class"])] if classes else lines


def runs_facts(found: Iterable[RunSummary]) -> list[dict[str, Any]]:
    """`automl runs --json`."""
    return [
        {**vars(run), "folder": str(run.folder), "started": run.started.isoformat()}
        for run in found
    ]


def runs_lines(
    found: Iterable[RunSummary], nothing: str = "no run yet; start with `automl run RECIPE`"
) -> list[str]:
    """`automl runs`; `nothing` is said where there is no line."""
    rows = [
        (
            run.id,
            f"{run.started:%Y-%m-%d %H:%M}",
            run.state,
            run.task,
            run.model,
            f"{run.metric} {run.score:.4f}" if run.score is not None else "",
            ", ".join([*(["tainted"] if run.tainted else []), *run.promoted]),
        )
        for run in found
    ]
    header = ("run", "started", "state", "task", "model", "score", "")
    return table(header, rows) if rows else [nothing]


def _class_lines(per_class: dict[str, dict[str, Any]]) -> list[str]:
    columns = list(next(iter(per_class.values()), {}))
    rows = [(name, *(_number(line.get(c)) for c in columns)) for name, line in per_class.items()]
    return table(("class", *columns), rows)


def _records(facts: dict[str, Any]) -> list[tuple[str, str]]:
    """Where MLflow and DVC have the run."""
    record = facts["record"]
    mlflow, dvc = record.get("mlflow") or {}, record.get("dvc") or {}
    return [("mlflow", mlflow.get("look", "")), ("dvc", dvc.get("note", ""))]


def _labelled(*pairs: tuple[str, str | None]) -> list[str]:
    """Lines of a label and a text; those without a text are left out."""
    return [f"{label:<8}{text}" for label, text in pairs if text]


def _short_path(path: str | None) -> str:
    return str(shown(Path(path))) if path else ""


def _number(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def _interval(name: str, intervals: dict[str, Any] | None) -> str:
    found = (intervals or {}).get(name)
    return f"{found[0]:.4f} to {found[1]:.4f}" if found else ""


def _at(values: Any, key: str) -> Any:
    for part in key.split("."):
        values = values[part]
    return values


def _short(value: Any) -> str:
    if isinstance(value, list) and len(value) == 2 and all(isinstance(v, int) for v in value):
        return f"{value[0]}x{value[1]}"
    if isinstance(value, list):
        return ", ".join(name for item in value for name in item) or "-"
    if isinstance(value, str) and len(value) == 64:
        return value[:12]
    return "-" if value in (None, "") else f"{value:g}" if isinstance(value, float) else str(value)
