"""Renditions on record, on SQLite and on Postgres."""

from __future__ import annotations

import uuid
from collections.abc import Generator
from dataclasses import replace

import pytest
from sqlalchemy import select

from asset_pipeline.ledger.records import Clip
from asset_pipeline.ledger.renditions import Rendition, RenditionRepository
from asset_pipeline.ledger.schema import lineage
from asset_pipeline_tests.conftest import NewLedger
from asset_pipeline_tests.support.clocks import FakeClock
from asset_pipeline_tests.support.ledgers import Books, generation_hash


@pytest.fixture
def books(new_ledger: NewLedger, clock: FakeClock) -> Generator[Books]:
    found = Books(new_ledger(), clock)
    yield found
    found.close()


@pytest.fixture
def shelf(books: Books, clock: FakeClock) -> RenditionRepository:
    return RenditionRepository(books.ledger.engine, clock)


def _made(clip: Clip, name: str, recipe: str, clock: FakeClock) -> Rendition:
    sha256 = generation_hash(f"{clip.sha256} {recipe}")
    return Rendition(
        rendition_id=uuid.uuid4().hex,
        clip_id=clip.clip_id,
        clip_sha256=clip.sha256,
        name=name,
        recipe=recipe,
        object_key=f"renditions/image/{sha256[:2]}/{sha256}.webp",
        object_uri=f"file:///renditions/{sha256}.webp",
        sha256=sha256,
        bytes=99,
        mime="image/webp",
        width=64,
        height=32,
        duration_seconds=None,
        loudness_lufs=None,
        true_peak_dbtp=None,
        gain_db=None,
        note="",
        run_id="",
        created_at=clock.now(),
        superseded_at=None,
    )


def _current(shelf: RenditionRepository, clip: Clip) -> dict[str, str]:
    rows = shelf.made_from([clip])
    return {row.name: row.recipe for row in rows if row.superseded_at is None}


def test_a_new_recipe_takes_the_place_of_the_old(
    books: Books, shelf: RenditionRepository, clock: FakeClock
) -> None:
    """A name has one current rendition; earlier ones stay on record, to be used again."""
    clip = books.delivered("a")
    first = [_made(clip, "web", "webp", clock), _made(clip, "print", "jpg", clock)]
    shelf.replace(clip, first, [], run_id="run-1")
    assert _current(shelf, clip) == {"web": "webp", "print": "jpg"}
    clock.advance(1)
    shelf.replace(clip, [_made(clip, "web", "avif", clock)], ["print"], run_id="run-2")
    assert _current(shelf, clip) == {"web": "avif"}
    assert next(row.recipe for row in shelf.made_from([clip])) == "avif"
    assert {row.recipe for row in shelf.made_from([clip])} == {"webp", "jpg", "avif"}


def test_a_rendition_descends_from_its_clip(
    books: Books, shelf: RenditionRepository, clock: FakeClock
) -> None:
    """Each file names its clip as its parent, once however often it is made current."""
    clip = books.delivered("a")
    made = _made(clip, "web", "webp", clock)
    shelf.replace(clip, [made], [], run_id="run-1")
    shelf.replace(clip, [replace(made, rendition_id=uuid.uuid4().hex)], [], run_id="run-2")
    with books.ledger.engine.connect() as connection:
        rows = connection.execute(
            select(lineage).where(lineage.c.child_uri == made.object_uri)
        ).mappings()
        (row,) = rows.all()
    assert (row["parent_type"], row["parent_id"], row["parent_sha256"], row["relation"]) == (
        "clip",
        clip.clip_id,
        clip.sha256,
        "web",
    )


def test_equal_files_know_of_each_others_renditions(
    books: Books, shelf: RenditionRepository, clock: FakeClock
) -> None:
    """Two prompts that share a file share what was made from it."""
    clip = books.delivered("a")
    shelf.replace(clip, [_made(clip, "web", "webp", clock)], [], run_id="run-1")
    twin = replace(clip, clip_id="twin")
    assert [row.clip_id for row in shelf.made_from([twin])] == [clip.clip_id]
    assert shelf.made_from([]) == []
