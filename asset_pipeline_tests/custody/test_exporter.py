from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import select

from asset_pipeline.catalog.reader import load_catalog
from asset_pipeline.custody.export_names import DEFAULT_TEMPLATE, Template, named
from asset_pipeline.custody.export_targets import BucketTarget, FolderTarget, Target, open_target
from asset_pipeline.custody.exporter import Copied, Exporter, ExportResult
from asset_pipeline.errors import ConfigurationError
from asset_pipeline.ledger.records import Clip
from asset_pipeline.ledger.schema import lineage
from asset_pipeline.stores.local import LocalStore
from asset_pipeline_tests.support.custody_site import Keep, Killed, killed_at


@pytest.fixture(params=["folder", "bucket"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Target:
    """A folder, and a store in a bucket's place."""
    place = tmp_path / "out"
    return FolderTarget(place) if request.param == "folder" else BucketTarget(LocalStore(place))


def exporter(
    keep: Keep, target: Target, checkpoint: Callable[[str], None] = lambda _: None
) -> Exporter:
    return Exporter(
        keep.store,
        target,
        keep.exports,
        keep.custody,
        load_catalog(None),
        keep.folder / "scratch",
        keep.clock,
        "export",
        checkpoint,
    )


def run(
    keep: Keep,
    target: Target,
    clips: list[Clip],
    checkpoint: Callable[[str], None] = lambda _: None,
) -> list[Copied]:
    reported: list[ExportResult] = []
    results = exporter(keep, target, checkpoint).export(
        named(clips, Template.parse(DEFAULT_TEMPLATE)), reported.append
    )
    assert reported == results
    return [each.result for each in results]


def text(tmp_path: Path, name: str) -> str:
    return (tmp_path / "out" / name).read_text()


def test_clips_go_where_they_are_wanted(keep: Keep, target: Target, tmp_path: Path) -> None:
    """Content, manifest, checksums and lineage; a second time nothing is written."""
    one, two = keep.land("one", b"one"), keep.land("two", b"two")
    assert run(keep, target, [one, two]) == [Copied.COPIED] * 2
    assert text(tmp_path, "kit/one-1.webp") == "one"
    assert text(tmp_path, "SHA256SUMS") == (
        f"{one.sha256}  kit/one-1.webp\n{two.sha256}  kit/two-1.webp\n"
    )
    rows = list(csv.DictReader(text(tmp_path, "manifest.csv").splitlines()))
    assert [row["path"] for row in rows] == ["kit/one-1.webp", "kit/two-1.webp"]
    assert rows[0]["prompt"] == "a lighthouse"
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.*")}
    assert run(keep, target, [one, two]) == [Copied.UNCHANGED] * 2
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.*")} == before
    with keep.books.ledger.engine.connect() as connection:
        found = connection.execute(select(lineage).where(lineage.c.relation == "exported"))
        assert [row["parent_id"] for row in found.mappings()] == [one.object_uri, two.object_uri]
    assert keep.held()[one.clip_id].used_at == keep.clock.now()


def test_a_killed_export_goes_on(
    keep: Keep, target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was copied stays; even a clip that changed in between takes its own old file's place."""
    monkeypatch.setattr("asset_pipeline.custody.exporter._A_STEP", 1)
    clips = [keep.land(f"p{number}", f"content {number}".encode()) for number in range(3)]
    with pytest.raises(Killed):
        run(keep, target, clips, killed_at("copied", 2))
    assert not (tmp_path / "out" / "manifest.json").exists()
    clips[0] = keep.land("p0", b"changed")
    assert run(keep, target, clips) == [Copied.COPIED, Copied.UNCHANGED, Copied.COPIED]
    assert text(tmp_path, "kit/p0-1.webp") == "changed"
    assert len(json.loads(text(tmp_path, "manifest.json"))["clips"]) == 3
    assert list((keep.folder / "scratch").iterdir()) == []


def test_what_is_not_ours_is_left(keep: Keep, target: Target, tmp_path: Path) -> None:
    """A file of somebody else's is not replaced, unless it is the very clip already."""
    one, two = keep.land("one", b"one"), keep.land("two", b"two")
    (tmp_path / "out" / "kit").mkdir(parents=True)
    (tmp_path / "out" / "kit" / "one-1.webp").write_bytes(b"somebody's")
    (tmp_path / "out" / "kit" / "two-1.webp").write_bytes(b"two")
    assert run(keep, target, [one, two]) == [Copied.REFUSED, Copied.UNCHANGED]
    assert text(tmp_path, "kit/one-1.webp") == "somebody's"
    assert "one-1" not in text(tmp_path, "SHA256SUMS")


def test_what_a_person_has_worked_on_is_kept(keep: Keep, target: Target, tmp_path: Path) -> None:
    """It is left as it is; a newer clip is not written over it until it was moved away."""
    one = keep.land("one", b"one")
    assert run(keep, target, [one]) == [Copied.COPIED]
    path = tmp_path / "out" / "kit" / "one-1.webp"
    path.unlink()  # as an editor does that renames its own file in
    path.write_bytes(b"one, retouched")
    assert run(keep, target, [one]) == [Copied.KEPT]
    newer = keep.land("one", b"newer")
    assert run(keep, target, [newer]) == [Copied.REFUSED]
    assert path.read_bytes() == b"one, retouched"
    assert run(keep, target, [one]) == [Copied.KEPT]
    path.rename(tmp_path / "mine.webp")
    assert run(keep, target, [newer]) == [Copied.COPIED]
    assert path.read_bytes() == b"newer"


def test_one_bad_clip_stops_no_other(keep: Keep, target: Target, tmp_path: Path) -> None:
    """A damaged or missing object is named, never copied; the manifest lists the others."""
    bent, gone, whole = (keep.land(name, name.encode()) for name in ("bent", "gone", "whole"))
    keep.path(bent).chmod(0o644)
    keep.path(bent).write_bytes(b"bant")
    keep.path(gone).unlink()
    assert run(keep, target, [bent, gone, whole]) == [
        Copied.FAILED,
        Copied.FAILED,
        Copied.COPIED,
    ]
    assert text(tmp_path, "SHA256SUMS") == f"{whole.sha256}  kit/whole-1.webp\n"


def test_the_manifest_lists_all_that_is_there(keep: Keep, target: Target, tmp_path: Path) -> None:
    """Exports to one place add up; what somebody took away again is not listed."""
    one, two = keep.land("one", b"one"), keep.land("two", b"two")
    run(keep, target, [one])
    (tmp_path / "out" / "kit" / "one-1.webp").unlink()
    run(keep, target, [two])
    assert text(tmp_path, "SHA256SUMS") == f"{two.sha256}  kit/two-1.webp\n"
    run(keep, target, [one])
    assert text(tmp_path, "SHA256SUMS").count("\n") == 2


def test_a_prompt_is_no_formula(keep: Keep, target: Target, tmp_path: Path) -> None:
    """A spreadsheet that opens the manifest runs nothing that a prompt says."""
    clip = keep.land("one", b"one", prompt_text='=HYPERLINK("http://x";"y")\nsecond line')
    run(keep, target, [clip])
    (row,) = csv.DictReader(text(tmp_path, "manifest.csv").splitlines(keepends=True))
    assert row["prompt"].startswith("'=HYPERLINK")


@pytest.mark.parametrize("url", ["", "ftp://host/x", "s3://", "s3://b?x=1", "gs://../x"])
def test_a_place_that_is_none_is_explained(url: str) -> None:
    """The error is about the place given, not about the store's own setting."""
    with pytest.raises(ConfigurationError, match="no place to export to") as raised:
        open_target(url)
    assert "ASSET_PIPELINE_STORE_URL" not in raised.value.hint
