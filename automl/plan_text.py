"""A plan as text: YAML that reads back equal, and rows for a printed table."""

import json
from collections.abc import Iterator
from typing import Any

from automl.plan import Plan, Reason

HEADER = (
    "# Every decision of this run. After a # stands the reason; `reasons` below has them in full."
)
LONGEST_LINE = 160


def to_yaml(plan: Plan) -> str:
    """The plan with each value's reason as a trailing comment, and all reasons as data."""
    raw = plan.model_dump(mode="json")
    reasons = raw.pop("reasons")
    weighed = [f"- {_scalar(candidate)}" for candidate in raw.pop("candidates")]
    lines = [HEADER, *_section(raw, "", plan.reasons)]
    lines += ["candidates:", *weighed, "reasons:"] if weighed else ["reasons:"]
    for key, reason in reasons.items():
        lines.append(f"  {_scalar(key)}:")
        lines += [f"    {name}: {_scalar(text)}" for name, text in reason.items() if text]
    if not reasons:
        lines[-1] = "reasons: {}"
    return "\n".join(lines) + "\n"


def table(plan: Plan) -> list[tuple[str, str, str, str]]:
    """Key, value, reason and runner-up of every leaf, in the plan's order."""
    rows = []
    for key, value in leaves(plan):
        reason = plan.reasons.get(key, Reason(because=""))
        rows.append((key, _shown(value), reason.because, reason.runner_up))
    return rows


def leaves(plan: Plan) -> Iterator[tuple[str, Any]]:
    """Dotted path and value of everything that the plan decides."""
    raw = plan.model_dump(mode="json", exclude={"candidates", "reasons"})
    for key, value in raw.items():
        if isinstance(value, dict) and value:
            yield from ((f"{key}.{name}", inner) for name, inner in value.items())
        else:
            yield key, value


def _section(raw: dict[str, Any], prefix: str, reasons: dict[str, Reason]) -> list[str]:
    lines = []
    indent = "  " if prefix else ""
    for name, value in raw.items():
        key = f"{prefix}{name}"
        if isinstance(value, dict) and value:
            lines += [f"{indent}{name}:", *_section(value, f"{key}.", reasons)]
        elif name == "transforms" and value:
            lines += [f"{indent}{name}:", *(f"{indent}- {_scalar(step)}" for step in value)]
        else:
            lines.append(_commented(f"{indent}{name}: {_scalar(value)}", reasons.get(key)))
    return lines


def _commented(line: str, reason: Reason | None) -> str:
    """The line with its reason, which is one line by being a comment."""
    if reason is None:
        return line
    text = "".join(c for c in " ".join(reason.because.split()) if c.isprintable())
    room = max(40, LONGEST_LINE - len(line))
    return f"{line}  # {text if len(text) <= room else text[: room - 3] + '...'}"


def _scalar(value: Any) -> str:
    """Any JSON value is YAML on one line; only floats need a dot for YAML 1.1 to see them."""
    if isinstance(value, dict):
        pairs = ", ".join(f"{_scalar(key)}: {_scalar(inner)}" for key, inner in value.items())
        return f"{{{pairs}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_scalar, value))}]"
    if isinstance(value, float) and "e" in repr(value) and "." not in repr(value):
        return repr(value).replace("e", ".0e")
    return "".join(_printable(c) for c in json.dumps(value, ensure_ascii=False))


def _printable(character: str) -> str:
    """Line separators and the like would end a YAML line, so they are escaped."""
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code < 2**16 else f"\\U{code:08x}"


def _shown(value: Any) -> str:
    """A value as a person writes it."""
    if value is None or value == "" or value == []:
        return "-"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list) and all(isinstance(v, int) for v in value):
        return "x".join(str(v) for v in value)
    if isinstance(value, list):
        return ", ".join(name for step in value for name in step)
    return str(value)
