"""Completion in a shell: the words typed so far in, what may come next out.

The script that a shell loads calls the program again with `_AUTOML_COMPLETE` set. Nothing heavy is
imported for an answer: one is wanted with each press of a key.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import typer

MOST_RUNS = 50
_RUNS = ("RUN", "A", "B")
Shell = Literal["bash", "zsh", "fish"]
SCRIPTS: dict[Shell, str] = {
    "bash": """\
_automl() {
    local IFS=$'\\n'
    COMPREPLY=($(_AUTOML_COMPLETE=bash "$1" "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o default -F _automl automl""",
    "zsh": """\
#compdef automl
_automl() {
    local -a found
    found=("${(@f)$(_AUTOML_COMPLETE=zsh "$words[1]" "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    if [[ -n "$found" ]]; then compadd -Q -- $found; else _files; fi
}
compdef _automl automl""",
    "fish": """\
function __automl
    set -lx _AUTOML_COMPLETE fish
    set -l words (commandline -opc) (commandline -ct)
    $words[1] $words[2..-1] 2>/dev/null
end
complete --command automl --arguments '(__automl)'""",
}


def script(shell: Shell) -> str:
    """What the shell must load, such as by `source <(automl completion bash)`."""
    return SCRIPTS[shell]


def answer(app: typer.Typer) -> None:
    """Tells the shell that asks, a line per candidate."""
    from automl.commands.terminal import out

    out(*candidates(app, sys.argv[1:]))


def candidates(app: typer.Typer, words: list[str]) -> list[str]:
    """What may stand where the last word, begun or empty, stands."""
    *before, begun = words or [""]
    group: Any = typer.main.get_command(app)
    if not before:
        found: Iterator[str] = (
            iter(("--help", "--version")) if begun[:1] == "-" else iter(group.commands)
        )
    elif before[0] in group.commands:
        found = _of_verb(group.commands[before[0]], before[1:], begun)
    else:
        return []
    return [word for word in found if word.startswith(begun) and word.isprintable()]


def _of_verb(verb: Any, before: list[str], begun: str) -> Iterator[str]:
    """An option's name, an option's value or an argument."""
    options = {name: p for p in verb.params for name in p.opts if name.startswith("-")}
    pending = options.get(before[-1]) if before else None
    if pending is not None and not pending.is_flag:
        return _values(pending, begun)
    if begun.startswith("-"):
        return iter([*options, "--help"])
    arguments = [p for p in verb.params if not any(name.startswith("-") for name in p.opts)]
    if not arguments:
        return iter(())
    given = _given(before, options)
    return _values(arguments[min(given, len(arguments) - 1)], begun)


def _given(before: list[str], options: dict[str, Any]) -> int:
    """How many of these words are arguments."""
    count, value = 0, False
    for word in before:
        if value:
            value = False
        elif word.startswith("-"):
            option = options.get(word)
            value = option is not None and not option.is_flag
        else:
            count += 1
    return count


def _values(wanted: Any, begun: str) -> Iterator[str]:
    metavar = wanted.metavar or ""
    if choices := getattr(wanted.type, "choices", None):
        return iter([str(choice) for choice in choices])
    if metavar in _RUNS:
        return _run_ids()
    if metavar.startswith("RECIPE"):
        return _recipes(begun)
    if metavar == "NAME" and wanted.name == "fetch":
        return _models("")
    if metavar == "KEY=VALUE":
        return _models("model=")
    return iter(())


def _run_ids() -> Iterator[str]:
    """The newest runs of the workspace."""
    from automl.run_dir import runs_folder

    yield "latest"
    try:
        entries = [entry for entry in os.scandir(runs_folder()) if entry.is_dir()]
        entries.sort(key=lambda entry: entry.stat().st_mtime, reverse=True)
    except OSError:
        return
    yield from (entry.name for entry in entries[:MOST_RUNS] if not entry.name.startswith("."))


def _recipes(begun: str) -> Iterator[str]:
    """Files that may be recipes, and folders on the way to one."""
    folder = begun[: begun.rfind("/") + 1]
    try:
        entries = sorted(os.scandir(Path(folder or ".").expanduser()), key=lambda e: e.name)
    except OSError:
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield f"{folder}{entry.name}/"
        elif entry.name.endswith((".yaml", ".yml")):
            yield folder + entry.name


def _models(before: str) -> Iterator[str]:
    from automl.planning.backbones import TABLE

    return iter(dict.fromkeys(before + row.name for row in TABLE if not row.for_tests))
