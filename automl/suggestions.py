"""Did you mean: a mistyped word and the words that exist in, the one that was meant out."""

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(word: str, choices: Iterable[str]) -> str | None:
    """The choice that `word` was meant to be, or None where it resembles none of them."""
    by_key = {_key(choice): choice for choice in choices}
    typed = _key(word)
    one_edit = [key for key in by_key if _one_edit_apart(typed, key)]
    if one_edit and len(typed) > 1:
        close = get_close_matches(typed, one_edit, n=1, cutoff=0.0)
        return by_key[close[0]]
    close = get_close_matches(typed, by_key, n=1, cutoff=0.7)
    return by_key[close[0]] if close else None


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """A hint for a message: the nearest choice, otherwise all of them."""
    known = list(choices)
    match = nearest(word, known)
    if match is not None:
        return f"did you mean `{match}`?"
    return "one of: " + ", ".join(f"`{choice}`" for choice in known)


def _key(word: str) -> str:
    return word.strip().lower().replace("-", "_").replace(" ", "_")


def _one_edit_apart(a: str, b: str) -> bool:
    """One letter added, dropped, replaced, or two neighbours swapped."""
    if a == b:
        return True
    if abs(len(a) - len(b)) > 1:
        return False
    start = 0
    while start < min(len(a), len(b)) and a[start] == b[start]:
        start += 1
    a, b = a[start:], b[start:]
    if len(a) == len(b):
        return a[1:] == b[1:] or (a[:2] == b[1::-1] and a[2:] == b[2:])
    return a[1:] == b or a == b[1:]
