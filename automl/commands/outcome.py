"""Whatever a verb raises in, an exit code and at most a few lines on stderr out."""

import errno
import shlex
import sys
import traceback
from pathlib import Path

import typer

from automl.commands.terminal import show_fault, show_faults
from automl.environment import settle
from automl.errors import AutomlError, Interrupted, MachineError

_INTERRUPTED_BY_TYPER = 130
_MACHINE = {
    errno.EACCES: "give yourself the right to it, or name another folder",
    errno.EPERM: "give yourself the right to it, or name another folder",
    errno.EROFS: "name a folder that can be written to",
    errno.ENOSPC: "make room on the disk",
    errno.EDQUOT: "make room in your quota",
}


def exit_code(app: typer.Typer) -> int:
    """Runs the command line; only a bug of our own ends in a crash file."""
    arguments = sys.argv[1:] or ["--help"]
    settle(online="--fetch" in arguments)
    try:
        code = app(args=arguments, prog_name="automl", standalone_mode=False)
        if code == _INTERRUPTED_BY_TYPER:
            raise Interrupted("stopped", hint=f"run `{_command()}` again")
        return int(code or 0)
    except AutomlError as error:
        show_faults(error)
        return error.exit_code
    except typer.TyperException as error:
        show_fault(error.format_message().rstrip("."), f"`{_helpful(app)}` shows how it is used")
        return error.exit_code
    except OSError as error:
        return _of_machine(error)
    except Exception as error:  # the last line of defence: a bug of ours becomes a file
        return _crash(error)


def _of_machine(error: OSError) -> int:
    """Disk and permissions are the machine's; anything else the system says is a bug."""
    if error.errno not in _MACHINE:
        return _crash(error)
    where = str(error.filename or "")
    hint = _MACHINE[error.errno or 0]
    show_faults(MachineError(str(error.strerror).lower(), where=where, hint=hint))
    return MachineError.exit_code


def _command() -> str:
    return shlex.join(["automl", *sys.argv[1:]])


def _helpful(app: typer.Typer) -> str:
    verbs = {command.callback.__name__ for command in app.registered_commands if command.callback}
    verb = next((word for word in sys.argv[1:] if word in verbs), "")
    return " ".join(part for part in ("automl", verb, "--help") if part)


def _crash(error: Exception) -> int:
    """Writes what happened to a file and says one line."""
    from automl import __version__
    from automl.record.provenance import without_secrets

    story = "".join(traceback.format_exception(error))
    head = f"automl {__version__}, Python {sys.version}\n{_command()}\n\n"
    path = _free_name()
    try:
        path.write_text(without_secrets(head + story), encoding="utf-8")
        hint = f"please report it with the file {path}"
    except OSError:
        hint = "please report it"
    first = without_secrets(str(error)).strip().partition("\n")[0]
    show_fault(f"a bug of automl: {type(error).__name__}: {first}", hint)
    return 1


def _free_name() -> Path:
    number = 1
    while (path := Path(f"automl-crash-{number}.txt")).exists():
        number += 1
    return path
