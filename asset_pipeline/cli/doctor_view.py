"""What `doctor` shows."""

from __future__ import annotations

from asset_pipeline.cli._checkup import Checkup, State
from asset_pipeline.cli._checkups import checkups
from asset_pipeline.cli._output import say, stdout, write_json
from asset_pipeline.errors import ExitCode
from asset_pipeline.settings import load_settings

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
