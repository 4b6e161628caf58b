"""What the lines hold, who else hears of them, and what a bad disk does."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from asset_pipeline.logs.fields import bind, bound, log_fields
from asset_pipeline.logs.setup import start_logging, stop_logging, warnings_told_to
from asset_pipeline_tests.logs.conftest import Logged


def test_a_line_carries_the_ids_of_its_work(logged: Logged) -> None:
    """Run, partition, intent and prediction are fields of whatever is logged meanwhile."""
    with bound(run_id="run-1", partition="will-cover"):
        with bound(intent_id="i-1"):
            bind(prediction_id="p-1", model=None)
            logged.logger.info("create answered", extra={"ms": 12.5})
        logged.logger.info("next")
    first, second = logged.lines()
    assert first["message"] == "create answered"
    assert first["level"] == "INFO"
    assert first["ms"] == 12.5
    assert [first[name] for name in ("run_id", "partition", "intent_id", "prediction_id")] == [
        "run-1",
        "will-cover",
        "i-1",
        "p-1",
    ]
    assert "model" not in first
    assert "intent_id" not in second
    assert log_fields() == {}


def test_concurrent_clips_keep_their_own_ids(logged: Logged) -> None:
    """Tasks of one event loop do not write into each other's lines."""

    async def clip(name: str, everyone: asyncio.Barrier) -> None:
        with bound(partition=name):
            await everyone.wait()
            logged.logger.info("%s", name)

    async def both() -> None:
        everyone = asyncio.Barrier(2)
        with bound(run_id="r"):
            await asyncio.gather(clip("a", everyone), clip("b", everyone))

    asyncio.run(both())
    assert {(line["run_id"], line["partition"], line["message"]) for line in logged.lines()} == {
        ("r", "a", "a"),
        ("r", "b", "b"),
    }


def test_people_see_warnings_alone(logged: Logged, capsys: pytest.CaptureFixture[str]) -> None:
    """The console shows a sentence a warning and nothing in JSON; the file has everything."""
    with bound(kind="image", partition="will-cover"):
        logged.logger.info("fine")
        logged.logger.warning("the reply was lost")
    shown = capsys.readouterr().err
    assert shown.rstrip().endswith("WARNING image/will-cover: the reply was lost")
    assert shown.count("\n") == 1
    assert [line["message"] for line in logged.lines()] == ["fine", "the reply was lost"]


def test_an_event_log_hears_the_first_warnings(
    logged: Logged, capsys: pytest.CaptureFixture[str]
) -> None:
    """Warnings are passed on as sentences, a few of them, in the place of the console."""
    told: list[str] = []
    with warnings_told_to(told.append):
        logged.logger.info("fine")
        for number in range(50):
            logged.logger.warning("lost %s", number)
    logged.logger.warning("outside")
    assert told[0] == "lost 0"
    assert len(told) == 21
    assert "log file" in told[-1]
    assert "lost" not in capsys.readouterr().err
    assert len(logged.lines()) == 52


def test_starting_again_changes_nothing(logged: Logged) -> None:
    """Each session switches the logs on; a record is still written once."""
    start_logging(logged.path, ["another-secret"])
    start_logging(logged.path, ["another-secret"])
    logged.logger.info("once, another-secret")
    (line,) = logged.lines()
    assert "another-secret" not in line["message"]
    assert not logging.getLogger().handlers or all(
        "asset_pipeline" not in type(handler).__module__ for handler in logging.getLogger().handlers
    )


def test_a_disk_that_cannot_be_written_is_told_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Work goes on without a log, and one sentence says so."""
    (tmp_path / "file").write_text("")
    start_logging(tmp_path / "file" / "x.jsonl", [])
    try:
        for _ in range(3):
            logging.getLogger("asset_pipeline.tests").info("hello")
    finally:
        stop_logging()
    assert capsys.readouterr().err.count("cannot be written") == 1
