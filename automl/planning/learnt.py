"""What was learnt of this machine: one small file in the cache folder, which others may share.

Without the folder, or where the file is damaged, nothing is known.
"""

import json
import os
import platform
from contextlib import suppress
from pathlib import Path

Facts = dict[str, dict[str, object]]
UNLIKELY = 20.0
"""Times slower than ever before: then that was another machine, or nonsense."""


def machine() -> str:
    """Begins the keys of what holds for this machine alone."""
    return f"{platform.node()} {os.cpu_count()}"


def read() -> Facts:
    """Facts by key."""
    place = _folder()
    if place is None:
        return {}
    try:
        raw = json.loads((place / "times.json").read_text(encoding="ascii"))
    except (OSError, ValueError, RecursionError):
        return {}
    known = raw if isinstance(raw, dict) else {}
    return {key: value for key, value in known.items() if isinstance(value, dict)}


def write(facts: Facts) -> None:
    """Keeps them all; where that cannot be, nothing is learnt."""
    place = _folder()
    if place is None:
        return
    fresh = place / f"times.{os.getpid()}.new"
    with suppress(OSError):
        place.mkdir(parents=True, exist_ok=True)
        fresh.write_text(json.dumps(facts) + "\n", encoding="ascii")
        fresh.replace(place / "times.json")
    with suppress(OSError):
        fresh.unlink(missing_ok=True)


def fastest(what: str, gflops: float) -> float:
    """The highest speed that was ever measured of `what`: a busy moment is no slower machine."""
    facts = read()
    known = facts.setdefault(f"{machine()} speed {what}", {})
    before = known.get("gflops")
    if isinstance(before, int | float) and gflops <= before < UNLIKELY * gflops:
        return float(before)
    known["gflops"] = round(gflops, 1)
    write(facts)
    return gflops


def _folder() -> Path | None:
    from automl.data.scan_cache import folder  # OpenCV, which not every plan needs

    return folder()
