"""A run's provenance in, the main of it as facts and as lines for a person out."""

from collections.abc import Mapping
from typing import Any

SHORT = 12
"""Characters of a digest that a person is shown."""


def origin_facts(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """What `show --json` says of where a run comes from; empty before a run has trained."""
    if not provenance:
        return {}
    program, machine = provenance.get("program") or {}, provenance.get("machine") or {}
    data, weights = provenance.get("dataset") or {}, provenance.get("weights") or {}
    after = data.get("after") or {}
    restarts, git = provenance.get("restarts") or [], provenance.get("git") or {}
    patch = git.get("patch") or {}
    return {
        "commit": f"{git.get('commit', '')}{'+' if git.get('dirty') else ''}",
        "patch": patch.get("file", ""),
        "left_out_of_patch": [left.get("path", "") for left in patch.get("left_out", ())],
        "automl": program.get("version", ""),
        "program": program.get("digest", ""),
        "data": provenance.get("dataset_digest", ""),
        "data_changed": bool(after) and after.get("digest") != data.get("digest"),
        "plan": provenance.get("plan_digest", ""),
        "initial_weights": (weights.get("initial") or {}).get("sha256", ""),
        "weights": weights.get("final", ""),
        "python": provenance.get("python", ""),
        "torch": (provenance.get("packages") or {}).get("torch", ""),
        "machine": machine.get("cpu", ""),
        "device": (provenance.get("device_facts") or {}).get("name")
        or provenance.get("device", ""),
        "threads": provenance.get("threads"),
        "seed": provenance.get("seed"),
        "determinism": (provenance.get("determinism") or {}).get("level", ""),
        "restarts": len(restarts),
        "last_restart": restarts[-1].get("reason", "") if restarts else "",
    }


def origin_lines(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Label and text of what a person asks first: which code, which data, which machine."""
    if not facts:
        return []
    code = f"automl {facts['automl']}" if facts["automl"] else ""
    commit = _commit(facts)
    data = str(facts["data"])[:SHORT]
    if facts["data_changed"]:
        data += "; it changed while the run trained"
    threads = f"{facts['threads']} threads" if facts["threads"] != 1 else "1 thread"
    where = [facts["machine"], facts["device"], threads, f"seed {facts['seed']}"]
    torch = f"torch {facts['torch']}" if facts["torch"] else ""
    times = facts["restarts"]
    again = f"{times} {'time' if times == 1 else 'times'}; last after: {facts['last_restart']}"
    return [
        ("code", ", ".join(part for part in (code, commit, torch) if part)),
        ("data", data),
        ("weights", str(facts["weights"])[:SHORT]),
        ("machine", ", ".join(str(part) for part in where if part)),
        ("resumed", again if times else ""),
    ]


def _commit(facts: Mapping[str, Any]) -> str:
    commit = str(facts["commit"])
    if not commit:
        return ""
    dirty = " and uncommitted changes" if commit.endswith("+") else ""
    kept = f" (in {facts['patch']})" if facts["patch"] and dirty else ""
    return f"commit {commit.rstrip('+')[:SHORT]}{dirty}{kept}"
