"""What a budget promised and what was spent, by stage; out of the files of a run."""

import math
import re
from dataclasses import dataclass
from typing import Any

from automl import clock
from automl.record import journal
from automl.run_dir import RunDir

OVER = 0.03
"""Share of a promise by which it may be passed before the record is left to `automl sync`."""
LEAST_S = 3.0
WORTH_SAYING = 0.15
"""Share of a promise that is left over with a word why."""


@dataclass(frozen=True)
class Promise:
    """Seconds; `promised` is None without a budget. `expected` and `spent` are by stage."""

    promised: float | None
    expected: dict[str, float]
    spent: dict[str, float]
    why_unused: str = ""

    @property
    def total(self) -> float:
        """All that was spent."""
        return sum(self.spent.values())

    def verdict(self) -> str:
        """Kept, with what is left, or by how much not; empty without a budget."""
        if self.promised is None or not self.spent:
            return ""
        left = self.promised - self.total
        if left < 0:
            return f"{-left:.1f} s over ({-left / self.promised:.0%})"
        because = self.why_unused if left > WORTH_SAYING * self.promised else ""
        return f"{left:.1f} s unused ({left / self.promised:.0%})" + (because and f": {because}")

    def facts(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "promised": self.promised,
            "spent": round(self.total, 3),
            "stages": self.spent,
            "expected": self.expected,
            "verdict": self.verdict(),
        }


def promise(run: RunDir) -> Promise:
    """As far as it is known by now."""
    text = run.plan.read_text(encoding="utf-8") if run.plan.is_file() else ""
    return Promise(
        _number(text, "budget_s"), _expected(text), clock.read(run.times), _why(run, text)
    )


def left_s(run: RunDir, spent: float) -> float:
    """Seconds that a run may still wait for others; without end where no promise can be broken."""
    found = promise(run)
    around = sum(seconds for name, seconds in found.expected.items() if name != "train")
    if found.promised is None or around >= found.promised:
        return math.inf
    return max(LEAST_S, (1 + OVER) * found.promised - spent)


def _expected(plan: str) -> dict[str, float]:
    """`expected_s` of a plan, and with `train` what it says of the epochs."""
    found = re.search(r"^expected_s:[^\n]*\n((?:  \w+: [^\n]*\n)+)", plan, re.MULTILINE)
    lines = re.findall(r"^  (\w+): ([\d.e+-]+)", found[1], re.MULTILINE) if found else []
    seconds = {name: float(value) for name, value in lines}
    epochs = _number(plan, "expected_train_s")
    if epochs is not None and seconds:
        seconds["train"] = seconds.pop("setup", 0.0) + epochs
    return {name: seconds[name] for name in clock.STAGES if name in seconds}


def _number(plan: str, key: str) -> float | None:
    found = re.search(rf"^{key}: ([\d.e+-]+)", plan, re.MULTILINE)
    return float(found[1]) if found else None


def _why(run: RunDir, plan: str) -> str:
    """Why a training ended before its time."""
    events = journal.last_training(journal.read(run.journal))
    trained: dict[str, Any] = next((e for e in reversed(events) if e["event"] == "trained"), {})
    most = _number(plan, "most_epochs")
    if trained.get("stopped_early"):
        return f"no better score since epoch {trained.get('best_epoch')}"
    if most is not None and trained.get("epochs", 0) >= most:
        return f"more than {most:g} epochs gain nothing"
    return ""
