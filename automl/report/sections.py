"""What the page says about a run: `Material` in, plain values for the template out."""

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any

from automl.clock import STAGES
from automl.dataset import SPLITS
from automl.record.promise import promise
from automl.report import formatting
from automl.report.run_files import Material

Fact = tuple[str, str]
_GROUPS = {"train": "Training", "augment": "Augmentation"}


def is_smoke(material: Material) -> bool:
    """Whether the plan was shrunk by `--smoke`."""
    return bool(material.plan.get("smoke"))


def splits(material: Material) -> list[dict[str, str]]:
    """Images of each split, and whether the set brought the split or it was drawn."""
    dataset = material.dataset
    if dataset is None:
        return []
    counts, total = dataset.counts(), max(len(dataset.samples), 1)
    return [
        {
            "name": name,
            "images": formatting.number(counts[name]),
            "share": formatting.share(counts[name] / total),
            "origin": "given by the data set"
            if name in dataset.brought_splits
            else "drawn at random",
            "judged": "scored" if name == material.evaluation.get("split") else "",
        }
        for name in SPLITS
        if name in counts
    ]


def data_facts(material: Material) -> list[Fact]:
    """The profile in words."""
    profile, dataset = material.profile, material.dataset
    found: list[Fact] = []
    if dataset is not None:
        found += [("Format", dataset.format), ("Where", dataset.root)]
    if profile is not None:
        sides = f"{profile.smallest_side} to {profile.largest_side} px"
        found += [
            ("Median image", f"{profile.width} × {profile.height} px"),
            ("Image sides", sides),
            ("Channels", f"{profile.channels} × {profile.bit_depth} bit"),
            ("Rarest to most frequent class", f"1 : {1 / max(profile.balance, 1e-9):,.3g}"),
        ]
        if profile.objects_per_image:
            found.append(("Objects per image", f"{profile.objects_per_image:.1f}"))
        if profile.object_size:
            low, middle, high = (formatting.share(v) for v in profile.object_size)
            found.append(("Object size", f"{middle} of the image ({low} to {high})"))
    return found


def times(material: Material) -> list[dict[str, str]]:
    """Expected and spent by stage; the stages behind this page are not over yet."""
    found = promise(material.run)
    if not found.spent:
        return []
    names = [name for name in STAGES if name in found.spent or name in found.expected]
    rows = [
        {
            "stage": name,
            "expected": formatting.seconds(found.expected[name]) if name in found.expected else "",
            "spent": formatting.seconds(found.spent[name]) if name in found.spent else "",
        }
        for name in names
    ]
    expected = sum(found.expected.values())
    promised = f", promised {formatting.seconds(found.promised)}" if found.promised else ""
    total = {
        "stage": f"all{promised}",
        "expected": formatting.seconds(expected) if expected else "",
        "spent": formatting.seconds(found.total),
    }
    return [*rows, total]


def findings(material: Material, shown: int = 5) -> list[dict[str, Any]]:
    """Findings of one kind together, fatal ones first; a few files as examples."""
    order = sorted(
        material.findings, key=lambda f: (f.get("severity") != "fatal", str(f.get("code", "")))
    )
    groups = []
    for (severity, code), found in groupby(
        order, key=lambda f: (str(f.get("severity", "warning")), str(f.get("code", "")))
    ):
        some = list(found)
        groups.append(
            {
                "severity": severity,
                "code": code,
                "count": formatting.number(len(some)),
                "files": [(f.get("file", ""), f.get("reason", "")) for f in some[:shown]],
                "more": max(0, len(some) - shown),
                "cure": some[0].get("cure", ""),
                "waived": some[0].get("waived", ""),
            }
        )
    return groups


def choices(material: Material) -> list[dict[str, Any]]:
    """Every decision of the plan by group: its value, why, and what would have been next."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for key, reason in (material.plan.get("reasons") or {}).items():
        because = str(reason.get("because", ""))
        rows.setdefault(_GROUPS.get(key.partition(".")[0], "Model and data"), []).append(
            {
                "key": key,
                "value": _value(material.plan, key),
                "because": because,
                "runner_up": str(reason.get("runner_up") or ""),
                "pinned": because.startswith("set "),
            }
        )
    order = ["Model and data", *_GROUPS.values()]
    return [{"name": name, "rows": rows[name]} for name in order if name in rows]


def candidates(material: Material) -> list[dict[str, Any]]:
    """The models that `auto` weighed; a time that is not measured is the table's."""
    return [
        {
            "model": one.get("model", ""),
            "size": formatting.setting(one.get("image_size")),
            "ms": f"{one.get('ms_per_image', 0):.3g}" + ("" if one.get("measured") else " ?"),
            "epochs": formatting.number(one.get("epochs")),
            "transfer": formatting.number(one.get("transfer")),
            "expected": formatting.seconds(one.get("expected_s") or 0.0),
            "verdict": one.get("verdict", ""),
        }
        for one in material.plan.get("candidates") or []
    ]


def _value(plan: Mapping[str, Any], key: str) -> str:
    """What the plan holds under a dotted path; keys that end in `_s` are seconds."""
    value = _leaf(plan, key.split("."))
    if key.endswith("_s") and isinstance(value, int | float):
        return formatting.seconds(value)
    return formatting.setting(value)


def _leaf(plan: Mapping[str, Any], path: Iterable[str]) -> Any:
    value: Any = plan
    for part in path:
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def classes(material: Material) -> dict[str, Any]:
    """The table by class; the first column draws a bar where it is a share."""
    per_class = material.evaluation.get("per_class") or {}
    columns = list(dict.fromkeys(key for row in per_class.values() for key in row))
    main = main_column(material)
    columns = sorted(columns, key=lambda c: c != main)
    return {
        "columns": [formatting.metric(c) for c in columns],
        "main": formatting.metric(main) if main else "",
        "rows": [
            {
                "name": name,
                "cells": [formatting.number(row.get(c)) for c in columns],
                "bar": round(100 * float(row.get(main) or 0), 1) if main else 0,
            }
            for name, row in per_class.items()
        ],
    }


def main_column(material: Material) -> str:
    """The number by which classes are compared."""
    per_class = material.evaluation.get("per_class") or {}
    known: Mapping[str, Any] = next(iter(per_class.values()), {})
    order = ("f1", "recall") if material.task == "classification" else ("iou", "ap", "f1")
    return next((column for column in order if column in known), "")


def confused(material: Material, most: int = 10) -> list[dict[str, str]]:
    """The pairs of classes that are mixed up most, by their share of the truth."""
    matrix = (material.evaluation.get("details") or {}).get("confusion") or []
    names = material.names
    pairs = [
        (count, count / sum(row), names[i], names[j])
        for i, row in enumerate(matrix)
        for j, count in enumerate(row)
        if i != j and count
    ]
    return [
        {
            "count": formatting.number(int(n)),
            "share": formatting.share(part),
            "truth": a,
            "predicted": b,
        }
        for n, part, a, b in sorted(pairs, key=lambda p: -p[0])[:most]
    ]


def provenance(material: Material) -> list[Fact]:
    """Code, machine and digests."""
    known, trained = material.provenance, material.event("trained")
    git, machine = known.get("git") or {}, known.get("machine") or {}
    weights = material.plan.get("weights") or {}
    dirty = " with uncommitted changes" if git.get("dirty") else ""
    digest = material.dataset.digest if material.dataset else known.get("dataset_digest", "")
    cores = f", {formatting.plural(machine['cores'], 'core')}" if machine.get("cores") else ""
    found = [
        ("Run", material.run.id),
        ("Started", formatting.moment(str(known.get("time", "")))),
        ("Git commit", f"{git.get('commit', '')}{dirty}" if git.get("commit") else "none"),
        ("Uncommitted changes", _patch(git)),
        ("Branch", git.get("branch", "")),
        ("Remote", git.get("remote", "")),
        ("Command", " ".join(map(str, known.get("command") or []))),
        ("Machine", f"{machine.get('cpu', '')}{cores}" if machine else ""),
        ("System", machine.get("os", "")),
        ("Device", _device(known) or material.plan.get("device", "")),
        ("Threads, seed", _threads(known)),
        ("Repeatable", _DETERMINISM.get(str((known.get("determinism") or {}).get("level")), "")),
        ("Restarts", _restarts(known)),
        ("Program", str((known.get("program") or {}).get("digest", ""))),
        ("Plan digest", known.get("plan_digest", "")),
        ("All packages", known.get("packages_digest", "")),
        ("Data digest", digest),
        ("Pretrained weights", weights.get("sha256", "")),
        ("Trained weights", trained.get("weights_digest") or _bundle_digest(material)),
        ("Licence of the model", str(material.model.get("licence", ""))),
    ]
    return [(term, str(value)) for term, value in found if value]


_DETERMINISM = {
    "bits": "bit for bit, on this machine with these packages and threads",
    "algorithms": "with torch's deterministic algorithms",
    "seeded": "seeded; rounding may differ",
}


def _device(known: Mapping[str, Any]) -> str:
    """The device's name with its libraries, as far as they are known."""
    device, facts = str(known.get("device") or ""), known.get("device_facts") or {}
    named = [str(facts.get("name") or ""), str(facts.get("kernels") or "")]
    named += [f"{key} {facts[key]}" for key in ("cuda", "driver") if facts.get(key)]
    more = ", ".join(part for part in named if part and part != device)
    return f"{device} ({more})" if more else device


def _restarts(known: Mapping[str, Any]) -> str:
    """How often the training was gone on with, and why last."""
    restarts = known.get("restarts") or []
    if not restarts:
        return ""
    times = formatting.plural(len(restarts), "time")
    return f"{times}, last after epoch {restarts[-1].get('epoch')}: {restarts[-1].get('reason')}"


def _patch(git: Mapping[str, Any]) -> str:
    """Where they are kept, and what is not."""
    patch = git.get("patch") or {}
    left = [str(entry.get("path")) for entry in patch.get("left_out") or ()]
    kept = (
        f"in {patch['file']}, {formatting.number(patch['bytes'])} bytes"
        if patch.get("file")
        else ""
    )
    return "; ".join(part for part in (kept, f"without {', '.join(left)}" if left else "") if part)


def _threads(known: Mapping[str, Any]) -> str:
    return f"{known['threads']}, {known.get('seed', '–')}" if "threads" in known else ""


def _bundle_digest(material: Material) -> str:
    weights = material.model.get("weights") or {}
    return str(weights.get("sha256") or material.model.get("weights_sha256") or "")
