"""A run and its reproduction in; identical, within tolerance, or different because of what, out.

The first differing field is looked for in the order of `ORDER`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from automl.record.compare import EXPECTED, Comparison, Known, Metric, Row, compare, differing, read
from automl.run_dir import RunDir

Word = Literal["identical", "within tolerance", "different"]
ORDER = (
    "data", "code", "recipe", "plan", "weights", "packages", "machine", "threads", "device"
)  # fmt: skip
TOLERANCE = 0.01
"""How far a metric without a 95 % interval may be from the original's; most lie between 0 and 1."""


@dataclass(frozen=True)
class Verdict:
    """`because` is the first field that differs, `differences` are all of them."""

    word: Word
    because: Row | None
    differences: list[Row]
    metrics: list[Metric]
    weights: tuple[str, str]


def judge(original: RunDir, again: RunDir) -> Verdict:
    """Identical: the same weights and metrics to the bit."""
    one, two = read(original), read(again)
    found = compare(original, again)
    differences = list(_differences(one, two))
    weights = (_weights(one), _weights(two))
    word = _word(found, weights)
    because = None
    if word != "identical":
        because = next(iter(differences), ("unknown", None, None))
    return Verdict(word, because, differences, found.metrics, weights)


def within(metric: Metric) -> bool:
    """Whether a metric is the same, inside of the original's interval, or less than 0.01 away."""
    if metric.a is None or metric.b is None:
        return metric.a == metric.b
    if metric.interval_a is not None and metric.interval_a[0] <= metric.b <= metric.interval_a[1]:
        return True
    return abs(metric.a - metric.b) <= TOLERANCE


def _word(found: Comparison, weights: tuple[str, str]) -> Word:
    same = all(metric.a == metric.b for metric in found.metrics)
    if same and weights[0] == weights[1] != "":
        return "identical"
    return "within tolerance" if all(map(within, found.metrics)) else "different"


def _weights(known: Known) -> str:
    return str((known.model.get("weights") or {}).get("sha256", ""))


def _differences(one: Known, two: Known) -> Iterator[Row]:
    """Every field in which what the results depend on differs, in the order of `ORDER`."""
    left, right = _fields(one), _fields(two)
    for group in ORDER:
        for field, a, b in differing(left[group], right[group]):
            if not _unknown(one, group, a):
                yield (f"{group}.{field}" if field else group, a, b)


def _unknown(one: Known, group: str, value: Any) -> bool:
    """An older run does not say everything; what it does not say is no difference."""
    return value is None and group in ("code", "packages", "machine", "device", "threads")


def _fields(known: Known) -> dict[str, dict[str, Any]]:
    origin = known.provenance
    machine = dict(origin.get("machine") or {})
    omp = machine.pop("omp_num_threads", None)
    program, packages = origin.get("program") or {}, dict(origin.get("packages") or {})
    packages.pop("automl-vision", None)  # is `code`
    plan = {k: v for k, v in known.plan.items() if k not in EXPECTED}
    initial = _initial(origin.get("weights") or {})
    return {
        "data": _data(known.data),
        "code": {"version": program.get("version"), "program": program.get("digest")},
        "recipe": _recipe(known.recipe),
        "plan": {k: v for k, v in plan.items() if k != "dataset_digest"},
        "weights": {key: initial.get(key) for key in ("source", "name", "sha256")},
        "packages": {
            "python": origin.get("python"),
            **packages,
            "all of them": origin.get("packages_digest"),
        },
        "machine": machine,
        "threads": {"torch": origin.get("threads"), "OMP_NUM_THREADS": omp},
        "device": {
            "name": origin.get("device"),
            **(origin.get("device_facts") or {}),
            **(origin.get("determinism") or {}),
        },
    }


def _initial(weights: Mapping[str, Any]) -> Mapping[str, Any]:
    found = weights.get("initial", weights)
    return found if isinstance(found, Mapping) else {}


def _data(data: Mapping[str, Any]) -> dict[str, Any]:
    """Wherever it lies; what the original saw change under it cannot be had again."""
    after = data.get("after") or {}
    digest = data.get("digest")
    return {
        "digest": digest,
        "after training": after.get("digest", digest),
        "splits": {name: split.get("digest") for name, split in data.get("splits", {}).items()},
    }


def _recipe(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Without the place of the data, which has a digest, and without where it is recorded."""
    found = {key: value for key, value in recipe.items() if key != "track"}
    if isinstance(found.get("data"), dict):
        found["data"] = {key: v for key, v in found["data"].items() if key != "path"}
    return found
