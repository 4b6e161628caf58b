"""The page of the commands, walked from the command line's own tree."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer

from asset_pipeline.cli import app as command_line
from tools.reference.markdown import code, table, without_marks

PROGRAM = "asset-pipeline"

_INTRODUCTION = f"""# Commands

`{PROGRAM} COMMAND --help` says the same in the terminal. Exit codes: 0 all done, 1 some
prompts failed, 2 bad input or configuration, 3 refused by a budget.
"""


def commands_page() -> str:
    """Return the page: each command with its arguments, options and defaults."""
    parts = [_INTRODUCTION]
    for name, command in walk():
        parts.append(f"## {name}\n")
        parts.append(without_marks((command.help or "").replace("\b\n", "")))
        context = _context(command, name)
        parts.append(_usage(name, context))
        parts.append(_parameters(context))
    return "\n\n".join(part for part in parts if part.strip()) + "\n"


def walk() -> Iterator[tuple[str, Any]]:
    """Yield each command that can be run with its full name; groups are their commands."""
    yield from _walk("", typer.main.get_command(command_line.app))


def _walk(name: str, command: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 -- Typer keeps Click's classes to itself
    if not hasattr(command, "list_commands"):
        yield name, command
        return
    context = _context(command, name)
    for each in command.list_commands(context):
        found = _loaded(each, command.get_command(context, each), is_top=not name)
        yield from _walk(f"{name} {each}".strip(), found)


def _loaded(name: str, found: Any, *, is_top: bool) -> Any:  # noqa: ANN401 -- as above
    """Return the command itself where the list holds one that is imported only to run."""
    load = getattr(command_line, "load", None)
    return load(name) if load is not None and is_top else found


def _usage(name: str, context: Any) -> str:  # noqa: ANN401 -- as above
    words = " ".join([PROGRAM, name, *context.command.collect_usage_pieces(context)])
    return f"```\n{words}\n```"


def _parameters(context: Any) -> str:  # noqa: ANN401 -- as above
    records = [each.get_help_record(context) for each in context.command.params]
    rows = [[code(flags), without_marks(said)] for flags, said in filter(None, records)]
    return table(["Option", "Meaning"], rows) if rows else ""


def _context(command: Any, name: str) -> Any:  # noqa: ANN401 -- as above
    return command.context_class(command, info_name=name or PROGRAM)
