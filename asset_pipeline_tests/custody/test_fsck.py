from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.custody.fsck import FsckReport, TooMuchLostError
from asset_pipeline.custody.store_check import SET_ASIDE
from asset_pipeline.ledger.custody_schema import FsckOutcome, FsckProblem, fsck_passes
from asset_pipeline.ledger.engine import LedgerError
from asset_pipeline.ledger.records import Reuse
from asset_pipeline.stores.local import LocalStore
from asset_pipeline.stores.protocol import StoreError
from asset_pipeline_tests.support.custody_site import Keep, Killed, killed_at

# A file's age is the machine's, and the ledger's clock stands in its past.
OLD = (0, 0)


def fsck(keep: Keep, *, repair: bool = False, **changes: object) -> FsckReport:
    return asyncio.run(keep.fsck(**changes).run(repair=repair))


def found(report: FsckReport) -> dict[str, tuple[FsckProblem, FsckOutcome]]:
    return {
        each.prompt_id or each.object_key: (each.problem, each.outcome) for each in report.findings
    }


def spoil(path: Path, content: bytes) -> None:
    path.chmod(0o644)
    path.write_bytes(content)


def age(keep: Keep) -> None:
    """Let the provider's hour be over."""
    keep.clock.advance(2 * 3600)  # pyright: ignore[reportAttributeAccessIssue]


def test_all_is_well(keep_anywhere: Keep) -> None:
    """Whole clips are counted and hashed, an object of two clips once, and nothing is found."""
    keep = keep_anywhere
    clip = keep.land("cover", b"12345")
    keep.land("back", b"123")
    keep.books.ledger.reuse(
        clip, Reuse(kind=Kind.IMAGE, prompt_id="other", collection="kit", variant=1, run_id="run")
    )
    report = fsck(keep)
    assert report.findings == ()
    assert (report.checked.objects, report.checked.bytes) == (2, 8)


def test_every_difference_is_found(keep_anywhere: Keep) -> None:
    """Missing, another size, another content, and a file that nobody knows of."""
    keep = keep_anywhere
    clips = {name: keep.land(name, name.encode()) for name in ("gone", "short", "bent", "whole")}
    keep.path(clips["gone"]).unlink()
    spoil(keep.path(clips["short"]), b"s")
    spoil(keep.path(clips["bent"]), b"bant")
    stray = keep.store.root / "image" / "stray.txt"
    stray.write_bytes(b"?")
    os.utime(stray, OLD)
    report = fsck(keep)
    assert found(report) == {
        "gone": (FsckProblem.MISSING, FsckOutcome.REPORTED),
        "short": (FsckProblem.SIZE, FsckOutcome.REPORTED),
        "bent": (FsckProblem.SHA256, FsckOutcome.REPORTED),
        "image/stray.txt": (FsckProblem.EXTRA, FsckOutcome.REPORTED),
    }
    assert {each.prompt_id for each in report.flaws} == {"gone", "short", "bent"}
    assert len(keep.held()) == 4, "a check without repair changes nothing"


def test_a_file_that_may_still_be_recorded_is_no_finding(keep: Keep) -> None:
    """A delivery stores before it records: what is minutes old is left for the next check."""
    (keep.store.root / "image").mkdir(parents=True)
    (keep.store.root / "image" / "new.webp").write_bytes(b"x")
    assert fsck(keep).findings == ()


@pytest.mark.parametrize("point", ["clips", "extras"])
@pytest.mark.parametrize("turn", [1, 2])
def test_a_killed_check_goes_on_where_it_was(
    keep: Keep, point: str, turn: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No object is read twice, and what was found before the kill is in the report."""
    for step in ("_OBJECTS_A_STEP", "_LISTED_A_STEP"):
        monkeypatch.setattr(f"asset_pipeline.custody.store_check.{step}", 4)
    clips = [keep.land(f"p{number}", f"content {number}".encode()) for number in range(12)]
    for clip in clips:
        os.utime(keep.path(clip), OLD)
    first = min(clips, key=lambda clip: clip.object_key)
    keep.path(first).unlink()
    counting = _Counting(keep.store.root)
    with pytest.raises(Killed):
        fsck(keep, store=counting, checkpoint=killed_at(point, turn))
    report = fsck(keep, store=counting)
    assert found(report) == {first.prompt_id: (FsckProblem.MISSING, FsckOutcome.REPORTED)}
    assert report.checked.objects == 12
    assert sorted(counting.asked) == sorted(clip.object_key for clip in clips)
    assert fsck(keep, store=counting).checked.pass_id != report.checked.pass_id
    with keep.books.ledger.engine.connect() as connection:
        assert len(connection.execute(select(fsck_passes)).all()) == 2


def test_an_old_unfinished_check_begins_anew(keep: Keep, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was whole three days ago is looked at again."""
    monkeypatch.setattr("asset_pipeline.custody.store_check._OBJECTS_A_STEP", 1)
    for number in range(3):
        keep.land(f"p{number}", f"content {number}".encode())
    with pytest.raises(Killed):
        fsck(keep, checkpoint=killed_at("clips"))
    keep.clock.advance(timedelta(days=3).total_seconds())  # pyright: ignore[reportAttributeAccessIssue]
    counting = _Counting(keep.store.root)
    assert fsck(keep, store=counting).checked.objects == 3
    assert len(counting.asked) == 3


def test_two_checks_at_once_are_refused(keep: Keep) -> None:
    """The second process is told, and changes nothing of the first one's progress."""
    keep.land("cover", b"x")

    class Meeting(LocalStore):
        def read(self, key: str) -> Iterator[bytes]:
            with pytest.raises(LedgerError, match="Another process"):
                fsck(keep)
            return super().read(key)

    assert fsck(keep, store=Meeting(keep.store.root)).checked.objects == 1


def test_what_can_not_be_mended_is_lost(keep_anywhere: Keep) -> None:
    """It does not count as stored any more, is paid for again when asked, and its key is free."""
    keep = keep_anywhere
    gone, bent = keep.land("gone", b"gone"), keep.land("bent", b"bent")
    keep.path(gone).unlink()
    spoil(keep.path(bent), b"bant")
    age(keep)
    report = fsck(keep, repair=True)
    assert {clip.prompt_id for clip in report.lost} == {"gone", "bent"}
    assert set(found(report).values()) == {
        (FsckProblem.MISSING, FsckOutcome.LOST),
        (FsckProblem.SHA256, FsckOutcome.LOST),
    }
    assert keep.held() == {}
    assert keep.custody.vacant() == {(Kind.IMAGE, "gone", 1), (Kind.IMAGE, "bent", 1)}
    for clip in (gone, bent):
        assert keep.books.ledger.find(clip.generation_hash) is None
        assert keep.books.ledger.current_clips_of(Kind.IMAGE, clip.prompt_id) == []
    assert [key.startswith(SET_ASIDE) for key in keep.object_keys()] == [True]
    again = keep.land("bent", b"bent", generation="again")
    assert keep.path(again).read_bytes() == b"bent"
    assert keep.custody.vacant() == {(Kind.IMAGE, "gone", 1)}
    assert fsck(keep, repair=True).findings == (), "what is known to be lost is not found again"


def test_a_lost_file_that_turns_up_counts_again(keep_anywhere: Keep) -> None:
    """Put back from a backup, it is the prompt's clip as before."""
    keep = keep_anywhere
    clip = keep.land("cover", b"content")
    keep.path(clip).unlink()
    age(keep)
    fsck(keep, repair=True)
    keep.path(clip).write_bytes(b"content")
    assert fsck(keep).flaws, "told of without a repair"
    report = fsck(keep, repair=True)
    assert found(report) == {"cover": (FsckProblem.MISSING, FsckOutcome.RESTORED)}
    assert report.flaws == []
    assert keep.books.ledger.current_clips_of(Kind.IMAGE, "cover") == [clip]
    assert keep.custody.vacant() == frozenset()


def test_a_store_that_is_empty_is_not_believed(keep: Keep) -> None:
    """A disk that is not mounted must not have everything paid for again."""
    clips = [keep.land(f"p{number}", f"content {number}".encode()) for number in range(11)]
    for clip in clips:
        keep.path(clip).unlink()
    age(keep)
    with pytest.raises(TooMuchLostError, match="11 of 11"):
        fsck(keep, repair=True)
    assert len(keep.held()) == 11
    assert len(fsck(keep, repair=True, accept_loss=True).lost) == 11


def test_clips_of_another_store_are_not_lost(keep: Keep, tmp_path: Path) -> None:
    """With another store's address nothing is missing: it is elsewhere."""
    keep.land("cover", b"content")
    age(keep)
    report = fsck(keep, repair=True, store=LocalStore(tmp_path / "other"))
    assert found(report) == {"cover": (FsckProblem.ELSEWHERE, FsckOutcome.REPORTED)}
    assert len(keep.held()) == 1


def test_a_store_that_does_not_answer_says_nothing_about_clips(keep: Keep) -> None:
    """A single unreadable file is a finding; nothing but unreadable files end the check."""
    clips = [keep.land(f"p{number}", f"content {number}".encode()) for number in range(3)]
    age(keep)
    report = fsck(keep, repair=True, store=_Broken(keep.store.root, {clips[0].object_key}))
    assert found(report) == {"p0": (FsckProblem.UNREADABLE, FsckOutcome.REPORTED)}
    everything = {clip.object_key for clip in clips}
    with pytest.raises(StoreError, match="None of 3"):
        fsck(keep, repair=True, store=_Broken(keep.store.root, everything))
    assert len(keep.held()) == 3


def test_what_retention_deleted_is_not_missing(keep: Keep) -> None:
    """A deletion is no loss; a check with repair finishes one that was cut short."""
    former = keep.land("cover", b"former")
    keep.land("cover", b"current")
    decided = keep.custody.decide(
        [(former.object_key, "test")], lambda clip: clip.superseded_at is None, actor="ann"
    )
    assert decided == [former.object_key]
    assert fsck(keep, repair=True).findings == ()
    assert former.object_key not in keep.object_keys()


class _Counting(LocalStore):
    """Notes what was read."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.asked: list[str] = []

    def read(self, key: str) -> Iterator[bytes]:
        self.asked.append(key)
        return super().read(key)


class _Broken(LocalStore):
    """Can't read some keys."""

    def __init__(self, root: Path, keys: set[str]) -> None:
        super().__init__(root)
        self._keys = keys

    def read(self, key: str) -> Iterator[bytes]:
        if key in self._keys:
            raise StoreError(f"Could not read {key}: bad sector.")
        return super().read(key)
