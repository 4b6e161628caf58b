"""A file that was verified once is never thrown away: whatever breaks after, its clip lands."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import select, update

from asset_pipeline.catalog.spec import OutputShape
from asset_pipeline.generation.reconciliation.resume import ResumeResult
from asset_pipeline.generation.request import terms_of_intent
from asset_pipeline.generation.temp_files import Swept, sweep
from asset_pipeline.ledger.records import Intent, NotedFile, Parent
from asset_pipeline.ledger.schema import OPEN_STATES, IntentState, intents, lineage
from asset_pipeline.stores.local import LocalStore
from asset_pipeline_tests.support.clocks import NOON
from asset_pipeline_tests.support.crash import worker_processes, workload
from asset_pipeline_tests.support.crash.bookkeeping import close_books
from asset_pipeline_tests.support.crash.site import Site, open_site
from asset_pipeline_tests.support.crash.worker import KillPoint
from asset_pipeline_tests.support.generation_samples import request_for
from asset_pipeline_tests.support.ledgers import Books, new_intent, stored_file
from asset_pipeline_tests.support.resume import resume
from asset_pipeline_tests.support.stage import Stage, classes

pytestmark = pytest.mark.servers


def _open(site: Site) -> Intent:
    """The one open intent."""
    ledger = site.job(()).open_ledger()
    (intent,) = ledger.intents_in(OPEN_STATES)
    ledger.close()
    return intent


def _kept(site: Site) -> list[Path]:
    return sorted((site.folder / "scratch").glob("*.clip"))


@pytest.mark.parametrize(
    ("point", "in_store", "lost"),
    [
        ("noted", False, ""),  # on this machine alone
        ("stored", True, ""),  # in both places
        ("stored", True, "scratch"),  # in the store alone
    ],
)
def test_a_process_that_died_after_the_verification_leaves_a_clip(
    tmp_path: Path, name: str, point: str, lost: str, *, in_store: bool
) -> None:
    """Taken up hours later, with the provider gone for good: nothing is fetched or paid again."""
    prompts = [workload.picture(name)]
    with open_site(tmp_path, predict="0.1") as site:
        assert worker_processes.run(site.job(prompts), KillPoint(point)).killed
        intent = _open(site)
        assert intent.state is IntentState.COMPLETED
        assert intent.noted is not None
        stored = intent.noted.stored
        assert LocalStore(site.folder / "clips").exists(stored.object_key) is in_store
        if lost:
            shutil.rmtree(site.folder / lost)
        _let_hours_pass(site)
        site.kill_server()
        (resumed,) = resume(site)
        assert resumed.result is ResumeResult.DELIVERED, resumed.reason
        site.open_server()
        books = close_books(site, prompts)
        assert books.flaws == ()
        assert (books.posts, books.clips) == (1, 1)
        assert _kept(site) == []
        assert site.requests()["GET /delivery/{id}/{name}"] == 1, "fetched once in all"


def test_a_kill_before_the_note_costs_a_download(site: Site, name: str) -> None:
    """The file is on this machine, but nothing says whose hash it must have."""
    prompts = [workload.picture(name)]
    assert worker_processes.run(site.job(prompts), KillPoint("verified")).killed
    assert _open(site).noted is None
    (resumed,) = resume(site)
    assert resumed.result is ResumeResult.DELIVERED
    assert close_books(site, prompts).flaws == ()
    assert _kept(site) == []


@pytest.mark.parametrize("damage", [b"", b"another file"])
def test_a_kept_file_that_is_not_what_was_noted_is_fetched_again(
    site: Site, name: str, damage: bytes
) -> None:
    """A disk that lost it, or changed it, costs a download and nothing else."""
    prompts = [workload.picture(name)]
    assert worker_processes.run(site.job(prompts), KillPoint("noted")).killed
    (path,) = _kept(site)
    path.write_bytes(damage)
    assert worker_processes.run(site.job(prompts)).exit_code == 0
    assert close_books(site, prompts).flaws == ()


def test_a_store_that_refuses_for_hours_keeps_the_file(site: Site, name: str) -> None:
    """Each run leaves the intent open and fetches nothing; the clip lands when the store works."""
    prompt = workload.picture(name)
    stage = Stage(site)
    blocked = site.folder / "clips" / "image"
    blocked.parent.mkdir(parents=True)
    blocked.write_bytes(b"a file where a folder should be")
    for _ in range(2):
        assert classes(stage.run(prompt)[name]) == ["server_error"]
        assert stage.states() == ["completed"]
        assert len(_kept(site)) == 1
    _let_hours_pass(site)
    site.fault({"fault": "expired_output", "match": {"prompt": name, "route": "file"}})
    blocked.unlink()
    outcome = stage.run(prompt)[name]
    assert outcome.done
    assert site.posts() == 1
    assert site.struck("expired_output") == 0, "nothing was fetched"
    assert _kept(site) == []
    assert stage.intents()[0].stored_json is None


def test_a_late_file_is_had_by_the_next_run_and_paid_for_once(site: Site, name: str) -> None:
    """The first run is stopped meanwhile; the second fetches what the first paid for."""
    prompt = workload.picture(name)
    site.fault({"fault": "html_page", "match": {"prompt": name, "route": "file"}})
    life = worker_processes.start(site.job([prompt]))
    while not site.struck("html_page"):
        assert not life.ended
    life.kill()
    assert _open(site).state is IntentState.COMPLETED
    site.mend()
    assert worker_processes.run(site.job([prompt])).exit_code == 0
    books = close_books(site, [prompt])
    assert (books.flaws, books.posts) == ((), 1)


def test_what_was_noted_is_recorded_with_the_clip(tmp_path: Path) -> None:
    """The ledger gives back the file and its lineage as they were noted, and forgets them then."""
    books = Books(SecretStr(f"sqlite:///{tmp_path / 'ledger.db'}"))
    other = Parent("prediction", "p1#2", "ab" * 32, "also_delivered")
    noted = NotedFile(stored_file("x"), (other,))
    intent = books.ledger.note_file(books.completed(), noted)
    assert books.ledger.intent(intent.intent_id).noted == intent.noted == noted
    assert not books.ledger.has_ended(intent.intent_id)
    clip = books.ledger.deliver(intent, noted.stored, noted.lineage)
    assert books.ledger.intent(intent.intent_id).noted is None
    assert books.ledger.has_ended(intent.intent_id)
    assert not books.ledger.has_ended("unknown")
    with books.ledger.engine.connect() as connection:
        rows = connection.execute(select(lineage)).mappings().all()
    assert [(row["child_sha256"], row["parent_id"], row["relation"]) for row in rows] == [
        (clip.sha256, "p1#2", "also_delivered")
    ]
    books.close()


def test_a_payment_keeps_the_terms_it_was_begun_on() -> None:
    """The catalog counts only where an earlier release kept none of its own."""
    request = request_for()
    made = new_intent().reserved(1, run_id="r", worker_id="w", now=NOON)
    listed = terms_of_intent(made, request.model)
    assert listed.max_predict_seconds == request.model.max_predict_seconds
    frozen = replace(listed, usd=Decimal("0.5"), output=OutputShape.ONE, max_predict_seconds=7)
    assert terms_of_intent(replace(made, terms_json=frozen.to_json()), request.model) == frozen


def test_the_sweep_keeps_files_of_open_intents(tmp_path: Path) -> None:
    """Only what the ledger says has ended may go; another ledger's intents are not known here."""
    ended, is_open = "0a" * 16, "0b" * 16
    for intent_id in (ended, is_open):
        path = tmp_path / f"{intent_id}.clip"
        path.write_bytes(b"clip")
        os.utime(path, (0, 0))
    assert sweep([tmp_path], NOON, has_ended=lambda each: each == ended) == Swept(1, 4)
    assert [path.name for path in tmp_path.iterdir()] == [f"{is_open}.clip"]


def _let_hours_pass(site: Site) -> None:
    """Move what the ledger knows two hours into the past."""
    ledger = site.job(()).open_ledger()
    with ledger.engine.begin() as connection:
        for row in connection.execute(select(intents)).mappings():
            columns = ("created_at", "submitted_at", "completed_at")
            earlier = {column: row[column] - timedelta(hours=2) for column in columns}
            changed = update(intents).where(intents.c.intent_id == row["intent_id"])
            connection.execute(changed.values(earlier))
    ledger.close()
