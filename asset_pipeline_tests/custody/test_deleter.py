from __future__ import annotations

import hashlib
import uuid

import pytest
from sqlalchemy import insert, select

from asset_pipeline.custody.deleter import Deleted, Deleter
from asset_pipeline.custody.retention_plan import choose, is_protected
from asset_pipeline.custody.retention_rules import RetentionRules
from asset_pipeline.ledger.custody import HeldClip
from asset_pipeline.ledger.custody_schema import CustodyAction, custody
from asset_pipeline.ledger.deletion_guard import ObjectRemovedError
from asset_pipeline.ledger.engine import LedgerError
from asset_pipeline.ledger.leftovers import LeftoverRepository
from asset_pipeline.ledger.records import Clip, Intent, Reuse
from asset_pipeline.ledger.rendition_schema import renditions
from asset_pipeline.ledger.schema import lineage
from asset_pipeline.stores.protocol import StoreError
from asset_pipeline_tests.support.clocks import FakeClock
from asset_pipeline_tests.support.custody_site import Keep, Killed, killed_at

EVERYTHING = RetentionRules.model_validate(
    {"rules": [{"name": "former", "superseded_beyond": 0}]},
)


def live(clip: HeldClip) -> bool:
    return is_protected(clip, lambda _: True)


def delete(keep: Keep, deleter: Deleter | None = None) -> Deleted:
    choice = choose(keep.custody.held(), EVERYTHING, is_live=lambda _: True, now=keep.clock.now())
    chosen = deleter or Deleter(keep.store, keep.custody, "ann@desk")
    return chosen.delete(choice.doomed, live, lambda _: None)


def entries(keep: Keep) -> list[tuple[CustodyAction, int, str]]:
    with keep.books.ledger.engine.connect() as connection:
        rows = connection.execute(
            select(custody.c.action, custody.c.bytes, custody.c.actor).order_by(custody.c.entry_id)
        )
        return [(CustodyAction(action), size, actor) for action, size, actor in rows]


def test_a_deletion_is_entered_with_who_when_why_and_how_much(keep_anywhere: Keep) -> None:
    """The ledger says it twice, decided and done; the lineage once; the file is gone."""
    keep = keep_anywhere
    former, current = keep.land("cover", b"former"), keep.land("cover", b"current")
    assert delete(keep) == Deleted(objects=1, bytes=6)
    assert keep.object_keys() == [current.object_key]
    assert list(keep.held()) == [current.clip_id]
    assert entries(keep) == [
        (CustodyAction.DELETE, 6, "ann@desk"),
        (CustodyAction.DELETED, 6, "ann@desk"),
    ]
    with keep.books.ledger.engine.connect() as connection:
        (row,) = connection.execute(
            select(lineage).where(lineage.c.relation == "deleted")
        ).mappings()
    assert (row["child_uri"], row["parent_type"]) == (former.object_uri, "deletion")


@pytest.mark.parametrize("point", ["decided", "removed", "confirmed"])
def test_a_kill_between_two_steps_leaves_neither_a_ghost_nor_a_lie(keep: Keep, point: str) -> None:
    """Nothing that counts as stored is missing, and what was begun is finished by the next one."""
    keep.land("cover", b"former")
    current = keep.land("cover", b"current")
    with pytest.raises(Killed):
        delete(keep, Deleter(keep.store, keep.custody, "ann", killed_at(point)))
    assert {clip.object_key for clip in keep.custody.held()} <= set(keep.object_keys())

    finished = Deleter(keep.store, keep.custody, "bob").finish()
    assert finished.objects == (0 if point == "confirmed" else 1)
    assert keep.object_keys() == [current.object_key]
    assert [action for action, _, _ in entries(keep)] == [
        CustodyAction.DELETE,
        CustodyAction.DELETED,
    ]
    assert Deleter(keep.store, keep.custody, "bob").finish() == Deleted()


def test_what_becomes_protected_after_the_choice_is_spared(keep: Keep) -> None:
    """The deciding transaction asks again: an approval in between is honoured."""
    former = keep.land("cover", b"former")
    keep.land("cover", b"current")
    choice = choose(keep.custody.held(), EVERYTHING, is_live=lambda _: True, now=keep.clock.now())
    assert len(choice.doomed) == 1
    keep.custody.approve([former], actor="ann", reason="the printed one")
    deleter = Deleter(keep.store, keep.custody, "ann")
    assert deleter.delete(choice.doomed, live, lambda _: None) == Deleted(spared=1)
    assert len(keep.object_keys()) == 2


def test_a_file_that_is_current_for_another_prompt_stays(keep: Keep) -> None:
    """An object goes only when every clip that shares it may."""
    former = keep.land("cover", b"shared")
    keep.land("cover", b"current")
    keep.books.ledger.reuse(
        former,
        Reuse(kind=former.kind, prompt_id="other", collection="kit", variant=1, run_id="run"),
    )
    assert delete(keep) == Deleted()
    assert former.object_key in keep.object_keys()


def test_a_store_that_refuses_leaves_the_deletion_to_the_next_time(keep: Keep) -> None:
    """Decided and not done is told, and done as soon as the store lets it."""
    former = keep.land("cover", b"former")
    keep.land("cover", b"current")

    class Refusing(type(keep.store)):  # pyright: ignore[reportGeneralTypeIssues]
        def delete(self, key: str) -> None:
            raise StoreError(f"no right to delete {key}")

    refused = delete(keep, Deleter(Refusing(keep.store.root), keep.custody, "ann"))
    assert refused == Deleted(failed=(former.object_key,))
    assert former.clip_id not in keep.held()
    assert Deleter(keep.store, keep.custody, "ann").finish().objects == 1


def test_a_deleted_clip_is_not_found_again(keep: Keep) -> None:
    """Its generation is paid for anew; a clip that was found a moment before can't be reused."""
    former = keep.land("cover", b"former")
    keep.land("cover", b"current")
    found = keep.books.ledger.find(former.generation_hash)
    assert isinstance(found, Clip)
    assert found.clip_id == former.clip_id
    delete(keep)
    assert keep.books.ledger.find(former.generation_hash) is None
    with pytest.raises(ObjectRemovedError):
        keep.books.ledger.reuse(
            former,
            Reuse(kind=former.kind, prompt_id="other", collection="kit", variant=1, run_id="run"),
        )
    assert isinstance(keep.books.reserve(former.generation_hash), Intent)


def test_an_equal_file_is_not_recorded_while_it_is_being_deleted(
    keep: Keep, clock: FakeClock
) -> None:
    """A delivery whose put found the file there waits until the deletion has settled."""
    former = keep.land("cover", b"same")
    keep.land("cover", b"current")
    with pytest.raises(Killed):
        delete(keep, Deleter(keep.store, keep.custody, "ann", killed_at("decided")))
    with pytest.raises(ObjectRemovedError):
        keep.land("cover", b"same", generation="again")
    Deleter(keep.store, keep.custody, "ann").finish()
    with pytest.raises(ObjectRemovedError):
        keep.land("cover", b"same", generation="again-2")
    clock.advance(121)
    again = keep.land("cover", b"same", generation="again-3")
    assert again.object_key == former.object_key
    assert again.object_key in keep.object_keys()


def test_approvals_are_durable_and_can_be_taken_back(keep_anywhere: Keep) -> None:
    """Who approved, and who took it back, stays on record; a prompt's name means its clips."""
    keep = keep_anywhere
    clip = keep.land("cover", b"one")
    assert keep.custody.find("cover") == keep.custody.find("image/cover") == [clip]
    assert keep.custody.find(clip.clip_id[:8]) == [clip]
    assert keep.custody.approve([clip], actor="ann", reason="") == 1
    assert keep.custody.approve([clip], actor="ann", reason="") == 0
    assert keep.held()[clip.clip_id].approved_at == keep.clock.now()
    assert keep.custody.unapprove([clip], actor="bob", reason="") == 1
    assert keep.held()[clip.clip_id].approved_at is None
    assert [(action, actor) for action, _, actor in entries(keep)] == [
        (CustodyAction.APPROVE, "ann"),
        (CustodyAction.UNAPPROVE, "bob"),
    ]


@pytest.mark.parametrize("name", ["nothing", "audio/cover", "", "%", "abc"])
def test_names_of_no_clip_are_explained(keep: Keep, name: str) -> None:
    """The error says what a name may be."""
    keep.land("cover", b"one")
    with pytest.raises(LedgerError, match="No stored clip") as raised:
        keep.custody.find(name)
    assert "kind/prompt-id" in raised.value.hint


def test_renditions_go_with_the_file_that_they_were_made_from(keep_anywhere: Keep) -> None:
    """But not one that is needed elsewhere, nor those of a lost file: they are all that is left."""
    keep = keep_anywhere
    former, lost = keep.land("cover", b"former"), keep.land("lost", b"lost")
    current = keep.land("cover", b"current")
    own, shared, of_lost = (_rendition(keep, name) for name in ("own", "shared", "of-lost"))
    for clip, key in ((former, own), (former, shared), (current, shared), (lost, of_lost)):
        _record_rendition(keep, clip, key)
    keep.custody.lose(lost.object_key, actor="fsck", reason="missing")
    leftovers = LeftoverRepository(keep.books.ledger.engine, keep.clock)
    deleter = Deleter(keep.store, keep.custody, "ann")
    assert deleter.delete_renditions(leftovers).renditions == 0
    delete(keep)
    assert deleter.delete_renditions(leftovers).renditions == 2
    assert {own, shared, of_lost} & set(keep.object_keys()) == {shared, of_lost}
    assert deleter.delete_renditions(leftovers) == Deleted()


def _rendition(keep: Keep, name: str) -> str:
    key = f"rendition/{name}.webp"
    source = keep.folder / "source"
    source.write_bytes(name.encode())
    sha256 = hashlib.sha256(name.encode()).hexdigest()
    keep.store.put(key, source, sha256=sha256, content_type="image/webp")
    return key


def _record_rendition(keep: Keep, clip: Clip, key: str) -> None:
    row = {
        "rendition_id": uuid.uuid4().hex,
        "clip_id": clip.clip_id,
        "clip_sha256": clip.sha256,
        "name": key[:30],
        "recipe": "webp",
        "object_key": key,
        "object_uri": keep.store.uri(key),
        "sha256": "0" * 64,
        "bytes": 1,
        "mime": "image/webp",
        "note": "",
        "run_id": "run",
        "created_at": keep.clock.now(),
    }
    with keep.books.ledger.engine.begin() as connection:
        connection.execute(insert(renditions), row)
