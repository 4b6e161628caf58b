"""Intents that nobody works on are noticed after half an hour, and resumed by one run."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import dagster as dg
import pytest

from asset_pipeline.defs.resources.ledger import LedgerResource
from asset_pipeline.defs.sensors.dead_processes import stale_intents_sensor
from asset_pipeline_tests.support.dead_processes import age, kill, open_books
from asset_pipeline_tests.support.ledgers import Books
from asset_pipeline_tests.support.project import Project

_LONG = timedelta(minutes=31)


@pytest.fixture
def books(project: Project) -> Iterator[Books]:
    """The project's ledger."""
    del project
    books = open_books()
    yield books
    books.close()


def _tick(project: Project) -> dg.RunRequest | str:
    context = dg.build_sensor_context(
        instance=project.instance, resources={"ledger": LedgerResource()}
    )
    result = stale_intents_sensor(context)
    if isinstance(result, dg.SkipReason):
        return result.skip_message or ""
    assert isinstance(result, dg.RunRequest)
    return result


def test_what_a_dead_process_left_is_resumed_once(project: Project, books: Books) -> None:
    """Many intents are one request, and the same one at the next tick: no storm."""
    for name in ("a", "b"):
        age(books, books.submitted(name).intent_id, _LONG)
    kill(books, books.payer.worker_id)
    first, second = _tick(project), _tick(project)
    assert isinstance(first, dg.RunRequest)
    assert isinstance(second, dg.RunRequest)
    assert first.run_key
    assert first.run_key.startswith("stale-")
    assert first.run_key == second.run_key


def test_a_living_process_is_trusted(project: Project, books: Books) -> None:
    """A model that predicts for an hour is no reason to start anything."""
    age(books, books.submitted().intent_id, _LONG)
    assert _tick(project) == "No open intent is stale."


def test_what_moved_lately_has_its_time(project: Project, books: Books) -> None:
    """A run that follows at once takes it up better than another job; that it is open is told."""
    age(books, books.submitted().intent_id, timedelta(minutes=29))
    kill(books, books.payer.worker_id)
    told = _tick(project)
    assert isinstance(told, str)
    assert told.startswith("1 open predictions were left by processes that ended: `generate`")


def test_questions_are_told_and_start_nothing(project: Project, books: Books) -> None:
    """A person sees the id and the command; no run could answer."""
    intent = books.ledger.start_submitting(books.reserve())
    intent = books.ledger.ask(books.ledger.lose_reply(intent, "gone"), "cannot tell")
    age(books, intent.intent_id, _LONG)
    kill(books, books.payer.worker_id)
    told = _tick(project)
    assert isinstance(told, str)
    assert intent.intent_id in told
    assert "reconcile --charge ID" in told


def test_a_ledger_that_cannot_be_read_is_told(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tick says why instead of failing with a traceback."""
    monkeypatch.setenv("ASSET_PIPELINE_LEDGER_URL", "sqlite:////proc/nowhere/ledger.db")
    told = _tick(project)
    assert isinstance(told, str)
    assert "can't be" in told
