"""What was wanted and what stands in for it are one clip, and one payment."""

from __future__ import annotations

from datetime import UTC, datetime

from asset_pipeline.ledger.records import Clip, Intent
from asset_pipeline_tests.conftest import NewLedger
from asset_pipeline_tests.support.ledgers import Books, generation_hash, new_intent

WANTED, INSTEAD = generation_hash("wanted"), generation_hash("instead")


def test_a_stand_in_is_not_paid_for_once_the_wanted_clip_is_stored(new_ledger: NewLedger) -> None:
    """Another run delivered it while this one was about to go around it."""
    books = Books(new_ledger())
    made = books.delivered("wanted")
    found = books.ledger.find_wanted(INSTEAD, wanted_hash=WANTED, collection="kit")
    assert isinstance(found, Clip)
    assert found.clip_id == made.clip_id
    reserved = books.ledger.reserve(new_intent("instead", wanted_hash=WANTED), books.payer)
    assert isinstance(reserved, Clip)
    assert reserved.clip_id == made.clip_id
    assert books.balance()[2] == 0
    books.close()


def test_a_stand_in_gives_way_to_the_wanted_clip_under_way(new_ledger: NewLedger) -> None:
    """It may be one that was given up and turned up."""
    books = Books(new_ledger())
    open_one = books.submitted("wanted")
    found = books.ledger.find_wanted(INSTEAD, wanted_hash=WANTED, collection="kit")
    assert isinstance(found, Intent)
    assert found.intent_id == open_one.intent_id
    books.close()


def test_who_pays_again_pays_for_the_stand_in_too(new_ledger: NewLedger) -> None:
    """A clip from before does not count where a person said so."""
    books = Books(new_ledger())
    books.delivered("wanted")
    now = datetime.now(UTC)
    new = new_intent("instead", wanted_hash=WANTED)
    assert isinstance(books.ledger.reserve(new, books.payer, pay_again_before=now), Intent)
    books.close()
