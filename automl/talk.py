"""How stages tell a person what happens: values in, nothing printed here."""

from typing import Protocol


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
