"""Text in; the same without passwords and keys, or the first line that seems to hold one, out."""

import os
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from automl.credentials import known

_CREDENTIALS = re.compile(r"(?P<scheme>[a-zA-Z][a-zA-Z0-9+.-]*://)[^/\s'\"@]*@")
_WITH_PASSWORD = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://[^/\s'\"@:]*:[^/\s'\"@{}$<]+@")
_SECRET_QUERY = re.compile(
    r"(?i)([?&](?:[\w-]*(?:token|key|secret|password|signature|credential)[\w-]*|sig)=)[^&\s'\"]+"
)
_ASSIGNED = re.compile(
    r"(?i)[\w-]*(?:password|passwd|secret|token|api_?key|access_?key|private_?key|credential)[\w-]*"
    r"['\"]?\s*[:=]\s*['\"]?(?P<value>[A-Za-z0-9+/_.=-]{12,})(?=['\"]?\s*(?:[,;#})\]]|$))"
)
_KNOWN = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----|\bAKIA[0-9A-Z]{16}\b|\bgh[pousr]_[A-Za-z0-9]{36,}"
    r"|\bgithub_pat_\w{50,}|\bglpat-[\w-]{20,}|\bxox[abprs]-[\w-]{10,}|\bhf_[A-Za-z0-9]{30,}"
    r"|\bAIza[\w-]{35}|\bsk-[A-Za-z0-9-]{20,}|\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}"
)
"""The shapes of keys that say of themselves what they are."""
_NAMED_SECRET = re.compile(r"(?i)passw(or)?d|secret|token|api_?key|access_?key|credential|_key$")
_PLAIN_SECRET = re.compile(r"(?i)(password|passwd|secret|token|key)$")
_RANDOM = re.compile(r"[^a-z]")
"""A value of small letters alone is a secret only where the whole name says so."""
_SHORTEST = 8
"""Characters of a variable's value that are looked for; shorter ones are found in any text."""
_HIDDEN = "***"


def without_secrets(text: str) -> str:
    """The text without what opens anything.

    Left out are users and passwords of URLs, signed queries, keys of known shapes, random values
    that are assigned to a secret's name, and every value that the environment or DVC's
    configuration names a secret.
    """
    for value in sorted(_values_here(), key=len, reverse=True):
        text = text.replace(value, _HIDDEN)
    text = _SECRET_QUERY.sub(r"\1***", _CREDENTIALS.sub(r"\g<scheme>", text))
    return _ASSIGNED.sub(_masked, _KNOWN.sub(_HIDDEN, text))


def line_with_secret(text: str, environment: Mapping[str, str] | None = None) -> int:
    """The first line that seems to hold a secret, counted from 1; 0 where there is none.

    Looked for are URLs with a password, signed queries, long values that are assigned to a
    secret's name, keys of known shapes, and the values of secret variables of the environment.
    """
    values = _secret_values(os.environ if environment is None else environment)
    for number, line in enumerate(text.splitlines(), start=1):
        if _holds_one(line) or any(value in line for value in values):
            return number
    return 0


def _values_here() -> set[str]:
    """The secrets that this process knows by heart."""
    own = _secret_values(os.environ), known(), _of_dvc(Path.cwd())
    return {value for values in own for value in values if len(value) >= _SHORTEST}


@lru_cache
def _of_dvc(folder: Path) -> tuple[str, ...]:
    from automl.record.dvc_config import secret_values
    from automl.record.dvc_files import workspace

    root = workspace(folder)
    return tuple(secret_values(root)) if root else ()


def _masked(found: re.Match[str]) -> str:
    value = found["value"]
    return found[0].replace(value, _HIDDEN) if _random_enough(value) else found[0]


def _holds_one(line: str) -> bool:
    if _WITH_PASSWORD.search(line) or _SECRET_QUERY.search(line) or _KNOWN.search(line):
        return True
    return any(_random_enough(found["value"]) for found in _ASSIGNED.finditer(line))


def _random_enough(value: str) -> bool:
    """Digits among letters, as keys have them and names of variables seldom do."""
    return sum(character.isdigit() for character in value) >= 2 and not value.isdigit()


def _secret_values(environment: Mapping[str, str]) -> list[str]:
    return [
        value
        for name, value in environment.items()
        if _NAMED_SECRET.search(name)
        and len(value) >= _SHORTEST
        and not value.startswith("/")
        and (_RANDOM.search(value) or _PLAIN_SECRET.search(name))
    ]
