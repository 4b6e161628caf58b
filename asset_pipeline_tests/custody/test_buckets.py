"""Checks, exports and links on real buckets: S3 and GCS, as the store and as the target."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from asset_pipeline.custody.export_names import DEFAULT_TEMPLATE, Template, named
from asset_pipeline.custody.export_targets import BucketTarget, FolderTarget, open_target
from asset_pipeline.custody.exporter import Copied, Exporter
from asset_pipeline.custody.links import link_to, links_of, signs_links
from asset_pipeline.ledger.custody_schema import FsckOutcome, FsckProblem
from asset_pipeline.stores.factory import open_store
from asset_pipeline_tests.custody.test_exporter import exporter
from asset_pipeline_tests.support.clocks import FakeClock
from asset_pipeline_tests.support.custody_site import Keep
from asset_pipeline_tests.support.servers.fixtures import gcs, gcs_server, seaweed, seaweed_server
from asset_pipeline_tests.support.servers.gcs import Gcs
from asset_pipeline_tests.support.servers.seaweed import SeaweedFS

__all__ = ["gcs", "gcs_server", "seaweed", "seaweed_server"]


@pytest.fixture(params=["seaweed", "gcs"])
def server(request: pytest.FixtureRequest) -> SeaweedFS | Gcs:
    """A real S3 and a real GCS."""
    running: SeaweedFS | Gcs = request.getfixturevalue(request.param)
    return running


def _export(made: Exporter, *clips: object) -> list[Copied]:
    wanted = named(clips, Template.parse(DEFAULT_TEMPLATE))  # pyright: ignore[reportArgumentType]
    return [each.result for each in made.export(wanted, lambda _: None)]


def _read(url: str) -> bytes:
    with urllib.request.urlopen(url) as reply:
        content: bytes = reply.read()
        return content


def test_a_bucket_is_exported_to(keep: Keep, server: SeaweedFS | Gcs) -> None:
    """Written once, left when equal, replaced when it is ours and changed; the links are good."""
    url = server.new_url()
    target = open_target(f"{url}/shared")
    assert isinstance(target, BucketTarget)
    clip = keep.land("cover", b"one")
    assert _export(exporter(keep, target), clip) == [Copied.COPIED]
    assert _export(exporter(keep, target), clip) == [Copied.UNCHANGED]
    changed = keep.land("cover", b"two")
    assert _export(exporter(keep, target), changed) == [Copied.COPIED]
    bucket = open_store(url)
    assert {each.key for each in bucket.list("")} == {
        "shared/SHA256SUMS",
        "shared/kit/cover-1.webp",
        "shared/manifest.csv",
        "shared/manifest.json",
    }
    manifest = json.loads(b"".join(bucket.read("shared/manifest.json")))
    (entry,) = manifest["clips"]
    assert entry["sha256"] == changed.sha256
    assert _read(entry["link"]) == b"two"
    with pytest.raises(urllib.error.HTTPError):
        _read(entry["link"].partition("?")[0])


def test_a_bucket_is_checked_and_linked_to(
    keep: Keep, server: SeaweedFS | Gcs, clock: FakeClock, tmp_path: Path
) -> None:
    """What is missing in the bucket is found and lost; links lead to what is there."""
    store = open_store(server.new_url())
    keep.store = store  # pyright: ignore[reportAttributeAccessIssue] -- a store is a store here
    gone, kept = keep.land("gone", b"gone"), keep.land("kept", b"kept")
    store.delete(gone.object_key)
    clock.advance(7200)
    report = asyncio.run(keep.fsck().run(repair=True))
    assert [(each.prompt_id, each.problem, each.outcome) for each in report.findings] == [
        ("gone", FsckProblem.MISSING, FsckOutcome.LOST)
    ]
    assert report.checked.objects == 2
    assert signs_links(store)
    links = links_of(store, clock.now())
    assert links is not None
    assert _read(links.url_of(kept) or "") == b"kept"
    assert (links.expire_at - clock.now()).days == 7
    assert _read(link_to(store, kept, clock.now()).url) == b"kept"

    # A folder has nobody to check a signature: its manifest links to the bucket.
    target = FolderTarget(tmp_path / "out")
    assert _export(exporter(keep, target), kept) == [Copied.COPIED]
    (entry,) = json.loads((tmp_path / "out" / "manifest.json").read_text())["clips"]
    assert _read(entry["link"]) == b"kept"
