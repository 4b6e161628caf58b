"""Renditions of signed work: marked before they are stored, the original sealed and untouched."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.custody.sealer import Sealer
from asset_pipeline.ledger.provenance import ProvenanceBook
from asset_pipeline.ledger.provenance_schema import ProvenanceRole, SignedBy
from asset_pipeline.ledger.renditions import RenditionRepository
from asset_pipeline.media.preview_cache import PreviewCache
from asset_pipeline.prompts.provenance import DEFAULT, NONE
from asset_pipeline.prompts.rendition_specs import ImageRendition
from asset_pipeline.provenance.badges import badge_of
from asset_pipeline.provenance.stamp import Stamp
from asset_pipeline.provenance.verification import Verdict
from asset_pipeline.renditions.renderer import Renderer
from asset_pipeline.stores.protocol import clip_key
from asset_pipeline_tests.conftest import NewLedger
from asset_pipeline_tests.provenance.conftest import Authority
from asset_pipeline_tests.provenance.test_lookup import drawn, land
from asset_pipeline_tests.support.clocks import FakeClock
from asset_pipeline_tests.support.custody_site import Keep

SETTINGS = {
    "web": ImageRendition(format="webp", max_side=200),
    "small": ImageRendition(format="avif", max_side=64),
    "print": ImageRendition(format="jpg", max_side=300),
}


@pytest.fixture
def keep(new_sqlite: NewLedger, tmp_path: Path, clock: FakeClock) -> Keep:
    return Keep(new_sqlite(), tmp_path, clock)


def test_renditions_are_signed_once_and_the_original_is_sealed(
    keep: Keep, tmp_path: Path, authority: Authority
) -> None:
    """All verify; a second rendering writes nothing; the store check knows every object."""
    clip = land(keep, "lion", drawn(1), Kind.IMAGE)
    engine = keep.books.ledger.engine
    book = ProvenanceBook(engine, keep.clock)
    renderer = Renderer(
        keep.books.ledger,
        RenditionRepository(engine, keep.clock),
        keep.store,
        PreviewCache(tmp_path / "previews"),
        "run",
        Stamp(authority.marker, book, keep.store, "run"),
    )
    (rendered,) = renderer.render(Kind.IMAGE, "lion", SETTINGS, DEFAULT)
    assert rendered.made == 3
    for rendition in rendered.renditions:
        path = keep.store.root / rendition.object_key
        assert hashlib.sha256(path.read_bytes()).hexdigest() == rendition.sha256
        report = authority.verifier.verify(path)
        assert report.verdict is Verdict.TRUSTED
        assert report.signature.actions == ("c2pa.opened", "c2pa.resized", "c2pa.transcoded")
        assert report.clip_sha256 == clip.sha256
    original = keep.path(clip)
    assert hashlib.sha256(original.read_bytes()).hexdigest() == clip.sha256
    sealed = authority.verifier.verify(original)
    assert (sealed.verdict, sealed.is_beside) == (Verdict.TRUSTED, True)
    objects = keep.object_keys()
    assert f"{clip_key(Kind.IMAGE, clip.sha256, 'webp')}.c2pa" in objects

    (again,) = renderer.render(Kind.IMAGE, "lion", SETTINGS, DEFAULT)
    assert (again.made, keep.object_keys()) == (0, objects)
    records = book.of_clips()[clip.sha256]
    roles = sorted((record.role, record.signed_by) for record in records)
    assert roles == [
        (ProvenanceRole.ORIGINAL, SignedBy.NOBODY),
        *[(ProvenanceRole.RENDITION, SignedBy.US)] * 3,
        (ProvenanceRole.SIDECAR, SignedBy.US),
    ]
    assert badge_of(records) == "AI, signed"
    uris = [keep.store.uri(key) for key in objects]
    assert keep.checks.known(objects, uris) >= {
        key if key == clip.object_key else keep.store.uri(key) for key in objects
    }


def test_a_damaged_original_is_passed_over_and_the_others_are_sealed(
    keep: Keep, tmp_path: Path, authority: Authority
) -> None:
    """One bad file costs its own manifest; prompts that share a file share one manifest."""
    good = land(keep, "lion", drawn(1), Kind.IMAGE)
    bad = land(keep, "hare", drawn(2), Kind.IMAGE)
    other = land(keep, "fox", drawn(3), Kind.IMAGE)
    keep.path(bad).write_bytes(b"torn")
    stamp = Stamp(
        authority.marker, ProvenanceBook(keep.books.ledger.engine, keep.clock), keep.store, "run"
    )
    unwanted = {other.prompt_id}
    sealer = Sealer(
        stamp,
        tmp_path / "scratch",
        lambda clip: NONE if clip.prompt_id in unwanted else DEFAULT,
        "run",
    )
    seen: list[tuple[int, int]] = []
    clips = keep.books.ledger.current_clips()
    report = sealer.run([*clips, good], lambda at, total: seen.append((at, total)))
    assert (report.laid, report.there, report.unwanted) == (1, 0, 1)
    assert [each.clip.clip_id for each in report.failed] == [bad.clip_id]
    assert seen == [(2, 2)]
    assert authority.verifier.verify(keep.path(good)).verdict is Verdict.TRUSTED
    keys = keep.object_keys()
    assert [key for key in keys if key.endswith(".c2pa")] == [f"{good.object_key}.c2pa"]
    records = stamp.book.of_clips([good.sha256, bad.sha256])
    assert set(records) == {good.sha256}
    assert badge_of(records[good.sha256]) == "original signed"
    again = sealer.run(clips, lambda *_: None)
    assert (again.laid, again.there, len(again.failed)) == (0, 1, 1)
