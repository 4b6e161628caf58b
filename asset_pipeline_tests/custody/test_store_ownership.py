"""Store and ledger are held against each other before anything is decided, wherever clips are."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import update

from asset_pipeline.custody.store_ownership import (
    OwnershipEvidence,
    StoreOwnership,
    WrongStoreError,
)
from asset_pipeline.ledger.identity import IdentityRepository
from asset_pipeline.ledger.schema import ledger_identity
from asset_pipeline.stores.factory import open_store
from asset_pipeline.stores.local import LocalStore
from asset_pipeline.stores.marker import marker_key, read_marker
from asset_pipeline.stores.protocol import Store, StoreError, StoreUnavailableError
from asset_pipeline_tests.conftest import NewLedger
from asset_pipeline_tests.support.clocks import FakeClock
from asset_pipeline_tests.support.custody_site import Keep
from asset_pipeline_tests.support.servers.fixtures import gcs, gcs_server, seaweed, seaweed_server
from asset_pipeline_tests.support.servers.proxy import running_proxy
from asset_pipeline_tests.support.servers.seaweed import SeaweedFS

__all__ = ["gcs", "gcs_server", "seaweed", "seaweed_server"]

KEY = marker_key("sandbox")


def another(url: SecretStr, folder: Path, clock: FakeClock) -> Keep:
    """A ledger of its own: those of the tests are copies of one."""
    folder.mkdir(exist_ok=True)
    made = Keep(url, folder, clock)
    with made.books.ledger.engine.begin() as connection:
        connection.execute(update(ledger_identity).values(ledger_id="another"))
    return made


def of(keep: Keep, store: Store | None = None, provider: str = "sandbox") -> StoreOwnership:
    book = IdentityRepository(keep.books.ledger.engine, keep.clock)
    return StoreOwnership(store or keep.store, book, provider, keep.clock)


@pytest.fixture(params=["folder", "seaweed", "gcs"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a store that nothing is in."""
    if request.param == "folder":
        return str(tmp_path / "elsewhere")
    url: str = request.getfixturevalue(request.param).new_url()
    return url


def test_a_new_store_is_claimed_once(keep: Keep, place: str) -> None:
    """The first ledger writes the marker, which names it; nobody's store is left alone by looks."""
    store = open_store(place)
    keep.store = store  # type: ignore[assignment]
    assert of(keep).look() is OwnershipEvidence.NEW
    of(keep).check(claim=False)
    assert read_marker(store, KEY) is None
    of(keep).check(claim=True)
    written = read_marker(store, KEY)
    assert written is not None
    assert (
        written.ledger_id
        == IdentityRepository(keep.books.ledger.engine, keep.clock).identity().ledger_id
    )
    of(keep).check(claim=True)
    assert read_marker(store, KEY) == written
    assert [each.key for each in store.list("asset-pipeline/")] == [KEY]


def test_another_ledgers_store_is_refused_until_it_is_adopted(
    keep: Keep, place: str, new_sqlite: NewLedger, clock: FakeClock
) -> None:
    """A new ledger beside a store that holds another's clips pays for nothing; a person decides."""
    store = open_store(place)
    of(keep, store).check(claim=True)
    other = another(new_sqlite(), keep.folder / "other", clock)
    with pytest.raises(WrongStoreError, match="this ledger is new") as refused:
        of(other, store).check(claim=True)
    assert "store adopt" in str(refused.value)
    of(other, store).adopt()
    of(other, store).check(claim=True)
    with pytest.raises(WrongStoreError):
        of(keep, store).check(claim=True)
    # The sandbox and a real provider have a ledger each, and may share a store.
    of(keep, store, "replicate").check(claim=True)
    other.books.close()


@pytest.mark.parametrize("claim", [True, False])
def test_a_folder_that_is_not_mounted_gives_no_verdict(keep: Keep, *, claim: bool) -> None:
    """An empty mount point, or none at all, is not a store that lost its clips."""
    keep.land("cover")
    of(keep).check(claim=True)
    shutil.move(keep.store.root, keep.folder / "unmounted")
    for _ in ("no folder", "an empty one"):
        with pytest.raises(WrongStoreError, match="mounted"):
            of(keep).check(claim=claim)
        keep.store.root.mkdir(exist_ok=True)
    assert not any(keep.store.root.iterdir())
    keep.store.root.rmdir()
    shutil.move(keep.folder / "unmounted", keep.store.root)
    of(keep).check(claim=claim)


def test_a_store_from_before_markers_gets_one_when_its_clips_are_there(keep: Keep) -> None:
    """Half of the clips that are looked for have to be there; a look alone writes nothing."""
    clips = [keep.land(f"p{number}") for number in range(4)]
    assert of(keep).look() is OwnershipEvidence.PROVED
    assert read_marker(keep.store, KEY) is None
    for clip in clips[:2]:
        keep.path(clip).unlink()
    of(keep).check(claim=False)
    assert read_marker(keep.store, KEY) is not None
    keep.store.delete(KEY)
    keep.path(clips[2]).unlink()
    with pytest.raises(WrongStoreError, match="4 stored clips"):
        of(keep).check(claim=True)


def test_clips_that_a_new_ledger_does_not_know_are_not_paid_again(
    keep: Keep, new_sqlite: NewLedger, clock: FakeClock
) -> None:
    """A full store from before markers, beside a ledger that was emptied."""
    keep.land("cover")
    other = another(new_sqlite(), keep.folder, clock)
    with pytest.raises(WrongStoreError, match="it knows of no clip at all"):
        of(other).check(claim=True)
    assert read_marker(keep.store, KEY) is None
    other.books.close()


def test_another_address_begins_a_new_store_and_decides_nothing(keep: Keep, place: str) -> None:
    """New clips may go elsewhere; but there nothing is said about those that are not there."""
    keep.land("cover")
    of(keep).check(claim=True)
    elsewhere = open_store(place)
    with pytest.raises(WrongStoreError, match="They were stored in"):
        of(keep, elsewhere).check(claim=False)
    assert "stay in" in of(keep, elsewhere).check(claim=True)
    assert of(keep, elsewhere).check(claim=True) == ""


def test_moved_clips_are_found_by_their_keys(keep: Keep) -> None:
    """Clips that were copied to another place without the marker prove the place."""
    keep.land("cover")
    shutil.copytree(keep.store.root, keep.folder / "moved")
    moved = LocalStore(keep.folder / "moved")
    assert of(keep, moved).check(claim=False) == ""
    assert read_marker(moved, KEY) is not None


def test_several_ledgers_may_use_one_store(
    keep: Keep, new_sqlite: NewLedger, clock: FakeClock
) -> None:
    """Where its clips are there a ledger is at home, whoever wrote the marker."""
    of(keep).check(claim=True)
    other = another(new_sqlite(), keep.folder, clock)
    other.land("theirs")
    of(other).check(claim=True)
    of(keep).check(claim=True)
    other.books.close()


def test_a_damaged_marker_says_nothing(keep: Keep) -> None:
    """Neither that clips are lost nor that they are there."""
    keep.land("cover")
    of(keep).check(claim=True)
    (keep.store.root / KEY).chmod(0o644)
    (keep.store.root / KEY).write_text("{}")
    with pytest.raises(StoreError, match="no marker"):
        of(keep).check(claim=False)
    of(keep).adopt()
    of(keep).check(claim=False)


def test_an_outage_is_no_verdict(
    keep: Keep, seaweed: SeaweedFS, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that does not answer is unavailable, never one without a marker."""
    with running_proxy(seaweed.url) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        store = open_store(seaweed.new_url())
        of(keep, store).check(claim=True)
        proxy.strike("busy", "GET", times=100)
        with pytest.raises(StoreUnavailableError):
            of(keep, store).check(claim=False)
