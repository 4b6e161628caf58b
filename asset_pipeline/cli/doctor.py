"""`doctor`: how each part of the installation is, and what to do."""

from __future__ import annotations

import typer

from asset_pipeline.cli._options import AsJson
from asset_pipeline.cli._output import say, stdout, write_json
from asset_pipeline.errors import ExitCode
from asset_pipeline.monitoring.checkup import Checkup, State
from asset_pipeline.monitoring.installation import checkups
from asset_pipeline.settings import load_settings


def doctor(*, as_json: AsJson = False) -> None:
    """Look at the whole installation, and say of each part how it is and what to do.

    Token and provider, breakers, ledger and clock, data folder, disk and memory, prompts,
    DAGSTER_HOME and daemon, warehouse, the key that files are signed with, and the store with the
    rules that keep a bucket private. The service's /readyz goes by the same list. Into a
    store that exists a small file is put, and deleted again. Nothing else is changed or created,
    and nothing is paid for. Exit code 2 if something fails.
    """
    raise typer.Exit(show_checkups(as_json=as_json))


_STYLES = {State.OK: "green", State.WARN: "yellow", State.FAIL: "bold red"}


def show_checkups(*, as_json: bool) -> ExitCode:
    """Look at everything and show a line for each, as soon as it is known.

    Raises:
        ConfigurationError: A variable has a value that cannot be used, so nothing can be looked at.
    """
    found: list[Checkup] = []
    for checkup in checkups(load_settings()):
        found.append(checkup)
        if not as_json:
            line = f"{checkup.state:<5} {checkup.part:<21} {checkup.detail} {checkup.advice}"
            say(stdout(), line.rstrip(), _STYLES[checkup.state])
    failed = any(checkup.state is State.FAIL for checkup in found)
    if as_json:
        write_json({"healthy": not failed, "checkups": found})
    return ExitCode.BAD_INPUT if failed else ExitCode.DONE
