"""The examples of docs/automation.md work as they stand."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from typer.testing import CliRunner

from asset_pipeline.catalog.reader import load_catalog
from asset_pipeline.cli.app import app
from asset_pipeline.definitions import build_defs
from asset_pipeline.defs.schedules import build_schedules
from asset_pipeline.defs.schedules_file import read_schedules
from asset_pipeline.prompts.library import load_library

PAGE = (Path(__file__).parent.parent / "docs" / "automation.md").read_text()


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)


def test_the_collection_is_automatic_and_prunes(tmp_path: Path) -> None:
    """It loads without a problem."""
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "news.yaml").write_text(_blocks("yaml")[0])
    library = load_library(tmp_path, load_catalog(None))
    assert library.problems == ()
    (rules,) = library.rules.values()
    assert (rules.name, rules.auto, rules.prune) == ("news", True, True)


def test_the_schedules_are_read(tmp_path: Path) -> None:
    """Each name in the file is a schedule's, and the zone is a zone."""
    (tmp_path / "schedules.yaml").write_text(_blocks("yaml")[1])
    schedules = {each.name: each for each in build_schedules(read_schedules(tmp_path))}
    assert schedules["cost_report_daily"].cron_schedule == "0 7 * * 1-5"
    assert schedules["audit_hourly"].execution_timezone == "Europe/Berlin"


def test_the_table_names_what_there_is() -> None:
    """Every schedule is in the table, on or off as it says."""
    for schedule in build_defs().schedules or ():
        (line,) = [line for line in PAGE.splitlines() if f"`{schedule.name}`" in line]
        is_on = schedule.default_status.value == "RUNNING"
        assert line.endswith("| yes |" if is_on else "| no |"), line


def test_the_commands_exist() -> None:
    """Each is known, with each of its options."""
    for line in _blocks("sh")[0].splitlines():
        result = CliRunner().invoke(app, [*shlex.split(line)[1:], "--help"])
        assert result.exit_code == 0, result.output
