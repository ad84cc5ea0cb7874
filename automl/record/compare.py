"""Two runs in, only what differs between them out: by group, and their scores side by side."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from automl.data.digest import split_digests
from automl.dataset import Dataset
from automl.files import read_object, read_yaml
from automl.record import journal
from automl.run_dir import RunDir

Row = tuple[str, Any, Any]
"""A field and its value in either run; None where a run does not have it."""

HEADS = ("task", "split", "images", "primary")
EXPECTED = ("candidates", "reasons", "expected_train_s", "expected_s", "expected_memory_gb")
"""As `plan.EXPECTED`, which is not imported here: listing runs must stay quick."""
NOT_COMPARED = (*EXPECTED, "dataset_digest")


@dataclass(frozen=True)
class Metric:
    """One metric of both runs; `overlap` is None unless both have a 95 % interval."""

    name: str
    a: float | None
    b: float | None
    interval_a: tuple[float, float] | None = None
    interval_b: tuple[float, float] | None = None

    @property
    def difference(self) -> float | None:
        """How much `b` is above `a`."""
        return None if self.a is None or self.b is None else self.b - self.a

    @property
    def overlap(self) -> bool | None:
        """Whether chance alone may have made the difference."""
        if self.interval_a is None or self.interval_b is None:
            return None
        low = max(self.interval_a[0], self.interval_b[0])
        return low <= min(self.interval_a[1], self.interval_b[1])


@dataclass(frozen=True)
class Comparison:
    """What differs; `incomparable` says why the scores cannot be compared, if they cannot."""

    a: RunDir
    b: RunDir
    groups: dict[str, list[Row]]
    metrics: list[Metric]
    primary: str
    incomparable: str


@dataclass(frozen=True)
class Known:
    """A run's own files as plain values, empty where one is missing."""

    run: RunDir
    recipe: dict[str, Any]
    plan: dict[str, Any]
    provenance: dict[str, Any]
    data: dict[str, Any]
    scores: dict[str, Any]
    intervals: dict[str, Any]
    model: dict[str, Any]
    events: list[dict[str, Any]]


def compare(a: RunDir, b: RunDir) -> Comparison:
    """Everything in which two runs differ, in a fixed order."""
    one, two = read(a), read(b)
    groups = {name: differing(x, y) for name, x, y in _groups(one, two)}
    names = dict.fromkeys([*_metrics(one.scores), *_metrics(two.scores)])
    return Comparison(
        a,
        b,
        groups,
        [_metric(name, one, two) for name in names],
        str(one.scores.get("primary") or two.scores.get("primary") or ""),
        _incomparable(one, two),
    )


def read(run: RunDir) -> Known:
    """The files of a run, as far as they are there."""
    provenance = read_object(run.provenance, "train")
    return Known(
        run=run,
        recipe=_recipe(run),
        plan=read_yaml(run.plan, "plan"),
        provenance=provenance,
        data=_data(run, provenance),
        scores=read_object(run.metrics, "evaluate"),
        intervals=read_object(run.evaluation, "evaluate").get("intervals", {}),
        model=read_object(run.model / "model.json", "train"),
        events=journal.last_training(journal.read(run.journal)),
    )


def differing(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[Row]:
    """The leaves, by dotted path, in which two mappings differ: in the order of the first."""
    left, right = dict(_leaves("", a)), dict(_leaves("", b))
    keys = dict.fromkeys([*left, *right])
    return [(k, left.get(k), right.get(k)) for k in keys if left.get(k) != right.get(k)]


def _leaves(prefix: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and (value or not prefix):
        for key, inner in value.items():
            yield from _leaves(f"{prefix}.{key}" if prefix else str(key), inner)
    else:
        yield prefix, list(value) if isinstance(value, tuple) else value


def _groups(one: Known, two: Known) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    yield "recipe", one.recipe, two.recipe
    plans = ({k: v for k, v in known.plan.items() if k not in NOT_COMPARED} for known in (one, two))
    yield "plan", next(plans), next(plans)
    yield "data", _data_facts(one), _data_facts(two)
    yield "code", code_facts(one.provenance), code_facts(two.provenance)
    yield "environment", environment_facts(one.provenance), environment_facts(two.provenance)
    yield "outcome", _outcome(one), _outcome(two)


def _data_facts(known: Known) -> dict[str, Any]:
    data = known.data
    splits = data.get("splits", {})
    after = data.get("after") or {}
    changed = bool(after) and after.get("digest") != data.get("digest")
    return {
        "digest": data.get("digest"),
        "root": data.get("root"),
        "format": data.get("format"),
        "classes": data.get("classes"),
        "images": {name: split.get("images") for name, split in splits.items()},
        "split": {name: split.get("digest") for name, split in splits.items()},
        **({"changed while it trained": True} if changed else {}),
    }


def code_facts(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """What ran: the program, and the workspace's commit with its uncommitted changes."""
    program, git = provenance.get("program") or {}, provenance.get("git") or {}
    own = program.get("git")
    facts: dict[str, Any] = {
        "version": program.get("version"),
        "program": program.get("digest"),
        "commit": git.get("commit") or None,
        "changes": git.get("diff_digest") or None,
    }
    if isinstance(own, Mapping):
        facts["program commit"] = own.get("commit")
        facts["program changes"] = own.get("diff_digest") or None
    return facts


def environment_facts(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Python, packages, machine, threads, device; all other packages together are one fact."""
    machine = dict(provenance.get("machine") or {})
    packages = dict(provenance.get("packages") or {})
    return {
        "python": provenance.get("python"),
        "packages": {**packages, "(all)": provenance.get("packages_digest")},
        "machine": {k: machine[k] for k in machine if k != "omp_num_threads"},
        "threads": provenance.get("threads"),
        "omp_num_threads": machine.get("omp_num_threads"),
        "device": {"name": provenance.get("device"), **(provenance.get("device_facts") or {})},
        "determinism": provenance.get("determinism") or {},
    }


def _outcome(known: Known) -> dict[str, Any]:
    trained: dict[str, Any] = next(
        (e for e in reversed(known.events) if e["event"] == "trained"), {}
    )
    return {
        "weights": (known.model.get("weights") or {}).get("sha256"),
        **{key: trained.get(key) for key in ("epochs", "best_epoch", "stopped_early", "seconds")},
        "restarts": len(known.provenance.get("restarts") or ()),
    }


def _metrics(scores: Mapping[str, Any]) -> list[str]:
    return [name for name in scores if name not in HEADS]


def _metric(name: str, one: Known, two: Known) -> Metric:
    return Metric(
        name,
        _number(one.scores.get(name)),
        _number(two.scores.get(name)),
        _interval(one.intervals.get(name)),
        _interval(two.intervals.get(name)),
    )


def _number(value: Any) -> float | None:
    return value if isinstance(value, int | float) else None


def _interval(value: Any) -> tuple[float, float] | None:
    return (float(value[0]), float(value[1])) if value else None


def _incomparable(one: Known, two: Known) -> str:
    """Why the scores say nothing about which model is better; empty where they do."""
    if not one.scores or not two.scores:
        missing = [known.run.id for known in (one, two) if not known.scores]
        return f"no scores: {' and '.join(missing)}"
    for key, what in (("task", "tasks"), ("split", "splits")):
        left, right = one.scores.get(key), two.scores.get(key)
        if left != right:
            return f"judged on different {what}: {left} and {right}"
    split = str(one.scores.get("split"))
    digests = [known.data.get("splits", {}).get(split, {}).get("digest") for known in (one, two)]
    if None in digests:
        return "" if one.data.get("digest") == two.data.get("digest") else _other_data(split)
    return "" if digests[0] == digests[1] else _other_data(split)


def _other_data(split: str) -> str:
    return f"judged on different data: the {split} splits are not the same"


def _data(run: RunDir, provenance: Mapping[str, Any]) -> dict[str, Any]:
    """What provenance says of the data, or what the index says where that is older or missing."""
    known = provenance.get("dataset")
    if isinstance(known, dict):
        return known
    if not run.dataset.is_file():
        return {}
    dataset = Dataset.read(run.dataset)
    counts = dataset.counts()
    splits = {n: {"images": counts[n], "digest": d} for n, d in split_digests(dataset).items()}
    return {
        "digest": dataset.digest,
        "root": dataset.root,
        "format": dataset.format,
        "classes": dataset.names,
        "splits": splits,
    }


def _recipe(run: RunDir) -> dict[str, Any]:
    """The recipe, its data path as seen from here: each run's folder is another."""
    raw = read_yaml(run.recipe, "prepare")
    data = raw.get("data")
    path = data.get("path") if isinstance(data, dict) else data
    if isinstance(path, str):
        placed = os.path.relpath(run.root / path, Path.cwd())
        raw["data"] = {**(data if isinstance(data, dict) else {}), "path": placed}
    return raw
