"""How stages tell a person what happens: values in, nothing printed here."""

from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar

T = TypeVar("T")


class Talk(Protocol):
    """Implemented by the command line; `Silent` is for code that uses the stages as a library."""

    def say(self, text: str) -> None:
        """One line for the person at the terminal."""
        ...

    def progress(self, label: str, done: int, total: int, note: str = "") -> None:
        """Moves the progress line `label`; the last call has `done == total`."""
        ...


class Silent:
    """Says nothing."""

    def say(self, text: str) -> None:
        """Drops the line."""

    def progress(self, label: str, done: int, total: int, note: str = "") -> None:
        """Drops the step."""


def counted(items: Iterable[T], talk: Talk, label: str, total: int) -> Iterator[T]:
    """The items, of which there are `total`; each moves the progress line `label`."""
    for number, item in enumerate(items, start=1):
        talk.progress(label, number, total)
        yield item
