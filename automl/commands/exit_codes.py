"""Whatever a verb raises in, an exit code and at most a few lines on stderr out."""

import errno
import os
import re
import sys
import traceback
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path

import typer

from automl.commands.run_lock import command_line
from automl.commands.terminal import show_fault, show_faults
from automl.environment import settle
from automl.errors import AutomlError, Interrupted, MachineError, UsageError
from automl.signals import Stop, listening

_INTERRUPTED_BY_TYPER = 130
_UNREAD = 128 + 13
"""What a shell says of a program that SIGPIPE ended: its reader, such as `head`, has gone."""
LONGEST_NAME = 300
"""Characters of a path that a message shows."""
_MACHINE = {
    errno.EACCES: "change the permissions, or name another folder",
    errno.EPERM: "change the permissions, or name another folder",
    errno.EROFS: "name a folder that can be written to",
    errno.ENOSPC: "make room on the disk",
    errno.EDQUOT: "make room in your quota",
    errno.EIO: "check the disk",
    errno.EMFILE: "raise the limit of open files: `ulimit -n 4096`",
    errno.ENFILE: "close other programs: the system has too many open files",
    errno.ENOMEM: "close other programs, or use smaller images",
    errno.ENOENT: "bring it back if it was moved or removed, or name another one",
}
_USAGE = {
    errno.ENAMETOOLONG: "take a shorter name",
    errno.ENOTDIR: "a file is in the way; name another folder",
    errno.EEXIST: "something else is in the way; name another one",
    errno.EISDIR: "a folder is in the way; name another file",
    errno.ELOOP: "the link points to itself; name another one",
}


def exit_code(app: typer.Typer) -> int:
    """Runs the command line; only a bug of our own ends in a crash file."""
    _open_streams()
    arguments = sys.argv[1:] or ["--help"]
    settle(online="--fetch" in arguments)
    with listening() as stop:
        try:
            _take_any_name()
            return _run(app, arguments, stop)
        except BrokenPipeError:
            return _unread()
        except KeyboardInterrupt:  # while a fault was being told
            return _stopped(stop)


def _run(app: typer.Typer, arguments: list[str], stop: Stop) -> int:
    try:
        _refuse_empty(arguments)
        return _called(app, arguments, stop)
    except BrokenPipeError:
        raise
    except AutomlError as error:
        show_faults(error)
        return error.exit_code
    except typer.TyperException as error:
        show_fault(error.format_message().rstrip("."), _usage_hint(app, error))
        return error.exit_code
    except OSError as error:
        return _of_machine(error)
    except Exception as error:  # the last line of defence: a bug of ours becomes a file
        return _stopped(stop) if stop.raised else _crash(error)  # pydantic makes an error of a stop


def _called(app: typer.Typer, arguments: list[str], stop: Stop) -> int:
    try:
        code = app(args=arguments, prog_name="automl", standalone_mode=False)
    except SystemExit as error:
        if isinstance(error.__context__, BrokenPipeError):  # typer's way to take it
            raise error.__context__ from None
        raise
    if code == _INTERRUPTED_BY_TYPER:
        return _stopped(stop)
    sys.stdout.flush()  # what is left is refused here, not while the interpreter ends
    return int(code or 0)


def _open_streams() -> None:
    """Who starts a program may close its streams; the next file to be opened would take over."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            nothing = Path(os.devnull).open(mode, encoding="utf-8")  # noqa: SIM115  stays open
            setattr(sys, name, nothing)


def _take_any_name() -> None:
    """Names of files may be any bytes, and streams of few characters: nothing is refused."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _refuse_empty(arguments: list[str]) -> None:
    """An empty path would mean the current folder, which nobody asked for."""
    empty = next((a for a in arguments if re.fullmatch(r"(--[a-z-]+=)?", a)), None)
    if empty is not None:
        name = f"`{empty}`" if empty else "an argument"
        hint = "give a value; a variable of the shell may not be set"
        raise UsageError(f"{name} is empty", hint=hint)


def _unread() -> int:
    """Nobody reads on: what is left goes nowhere, so that the interpreter ends in silence."""
    with suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.__stdout__.fileno())  # type: ignore[union-attr]
    return _UNREAD


def _stopped(stop: Stop) -> int:
    """A verb that has no state to go on from is done anew."""
    by = f" by {stop.signal}" if stop.asked else ""
    show_fault(f"stopped{by}", f"run `{command_line()}` again")
    return Interrupted.exit_code


def _of_machine(error: OSError) -> int:
    """Disk and permissions are the machine's, names are the user's; anything else is a bug."""
    kind = UsageError if error.errno in _USAGE else MachineError
    hint = (_MACHINE | _USAGE).get(error.errno or 0)
    if hint is None or error.filename is None and error.errno not in _MACHINE:
        return _crash(error)
    where = str(error.filename or "")
    shown = where if len(where) < LONGEST_NAME else f"{where[:LONGEST_NAME]}..."
    show_faults(kind(str(error.strerror).lower(), where=shown, hint=hint))
    return kind.exit_code


def _usage_hint(app: typer.Typer, error: typer.TyperException) -> str:
    """Where the usage stands; what is an option elsewhere may be a key of the recipe here."""
    verbs = getattr(typer.main.get_command(app), "commands", {})
    verb = next((word for word in sys.argv[1:] if word in verbs), "")
    usage = f"`{' '.join(part for part in ('automl', verb, '--help') if part)}` shows its usage"
    option = getattr(error, "option_name", "")
    if not verb or not option.startswith("--"):
        return usage
    options = {name for one in verbs[verb].params for name in one.opts}
    if "--set" not in options:
        return usage
    from automl.recipe.faults import key_for
    from automl.recipe.schema import Recipe

    key = key_for(option.removeprefix("--"), Recipe)
    if not key or f"--{key}" in options:
        return usage
    return f"say `--set {key}=...`, or write it in the recipe; {usage}"


def _crash(error: Exception) -> int:
    """Writes what happened to a file and says one line."""
    from automl import __version__
    from automl.record.provenance import without_secrets

    story = "".join(traceback.format_exception(error))
    head = f"automl {__version__}, Python {sys.version}\n{command_line()}\n\n"
    path = _free_name()
    try:
        path.write_text(without_secrets(head + story), encoding="utf-8", errors="backslashreplace")
        hint = f"please report it with the file {path}"
    except OSError:
        hint = "please report it"
    first = without_secrets(str(error)).strip().partition("\n")[0]
    show_fault(f"a bug in automl: {type(error).__name__}: {first}", hint)
    return 1


def _free_name() -> Path:
    number = 1
    while (path := Path(f"automl-crash-{number}.txt")).exists():
        number += 1
    return path
