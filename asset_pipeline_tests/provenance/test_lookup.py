"""Finding the clip of a file that turns up: the very file, a marked one, a bare copy."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image, ImageDraw

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.catalog.reader import load_catalog
from asset_pipeline.custody.export_names import DEFAULT_TEMPLATE, Template, named
from asset_pipeline.custody.export_targets import FolderTarget
from asset_pipeline.custody.exporter import Copied, Exporter, ExportResult
from asset_pipeline.ledger.provenance import ProvenanceBook
from asset_pipeline.ledger.records import Clip, StoredFile
from asset_pipeline.prompts.provenance import DEFAULT, NONE, ProvenancePolicy
from asset_pipeline.provenance.lookup import ClipFinder, FoundBy, FoundClip
from asset_pipeline.provenance.marker import Marker
from asset_pipeline.provenance.stamp import Stamp
from asset_pipeline.provenance.verification import Verdict, Verifier
from asset_pipeline.stores.protocol import clip_key
from asset_pipeline_tests.conftest import NewLedger
from asset_pipeline_tests.provenance.conftest import Authority
from asset_pipeline_tests.support.clocks import FakeClock
from asset_pipeline_tests.support.custody_site import Keep
from asset_pipeline_tests.support.media_samples import RATE

MIMES = {"webp": "image/webp", "flac": "audio/flac"}


@pytest.fixture
def keep(new_ledger: NewLedger, tmp_path: Path, clock: FakeClock) -> Keep:
    """A ledger on SQLite and on Postgres, and a folder."""
    return Keep(new_ledger(), tmp_path, clock)


def drawn(seed: int) -> bytes:
    """A picture unlike any with another seed."""
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", (320, 240), tuple(int(c) for c in rng.integers(0, 255, 3)))
    pen = ImageDraw.Draw(image)
    for _ in range(24):
        x, y, w, h = (int(v) for v in rng.integers(0, 300, 4))
        pen.ellipse(
            (x, y, x + w // 2, y + h // 2), fill=tuple(int(c) for c in rng.integers(0, 255, 3))
        )
    return encoded(image, "WEBP", quality=90)


def encoded(image: Image.Image, form: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def spoken(seed: int) -> np.ndarray:
    """Something like a sentence: tones that come and go."""
    rng = np.random.default_rng(seed)
    parts = [
        np.sin(2 * np.pi * rng.uniform(200, 1900) * np.arange(1200) / RATE)
        + 0.5 * np.sin(2 * np.pi * rng.uniform(200, 1900) * np.arange(1200) / RATE)
        for _ in range(40)
    ]
    return (0.3 * np.concatenate(parts)).astype(np.float32)


def sound(samples: np.ndarray, form: str, subtype: str, rate: int = RATE) -> bytes:
    out = io.BytesIO()
    soundfile.write(out, samples, rate, format=form, subtype=subtype)
    return out.getvalue()


def land(keep: Keep, prompt_id: str, content: bytes, kind: Kind) -> Clip:
    extension = "webp" if kind is Kind.IMAGE else "flac"
    sha256 = hashlib.sha256(content).hexdigest()
    key = clip_key(kind, sha256, extension)
    source = keep.folder / "source"
    source.write_bytes(content)
    mime = MIMES[extension]
    stored = keep.store.put(key, source, sha256=sha256, content_type=mime)
    file = StoredFile(key, stored.uri, sha256, len(content), mime, 320, 240, None)
    intent = keep.books.completed(sha256[:12], prompt_id=prompt_id, kind=kind)
    return keep.books.ledger.deliver(intent, file, [])


def export(
    keep: Keep,
    marker: Marker,
    clips: list[Clip],
    policy: ProvenancePolicy = DEFAULT,
    *,
    require_marks: bool = False,
    to: str = "out",
) -> list[ExportResult]:
    stamp = Stamp(marker, ProvenanceBook(keep.books.ledger.engine, keep.clock), keep.store, "run")
    exporter = Exporter(
        keep.store,
        FolderTarget(keep.folder / to),
        keep.exports,
        keep.custody,
        load_catalog(None),
        keep.folder / "scratch",
        keep.clock,
        "run",
        stamp=stamp,
        policy_of=lambda _: policy,
        require_marks=require_marks,
    )
    return exporter.export(named(clips, Template.parse(DEFAULT_TEMPLATE)), lambda _: None)


def find(keep: Keep, path: Path, verifier: Verifier | None = None) -> FoundClip | None:
    book = ProvenanceBook(keep.books.ledger.engine, keep.clock)
    finder = ClipFinder(book, lambda: keep.store, lambda _: None)
    return finder.find((verifier or Verifier()).verify(path))


def test_a_bare_copy_of_a_picture_is_found(keep: Keep, tmp_path: Path) -> None:
    """Half the size, another format, a low quality and no mark: the nearest clip all the same."""
    clips = [land(keep, f"p{seed}", drawn(seed), Kind.IMAGE) for seed in range(12)]
    for wanted in (3, 7):
        with Image.open(io.BytesIO(drawn(wanted))) as image:
            small = image.resize((160, 120))
        path = tmp_path / "copy.jpg"
        path.write_bytes(encoded(small, "JPEG", quality=50))
        found = find(keep, path)
        assert found is not None
        assert (found.by, found.clip.clip_id) == (FoundBy.LIKENESS, clips[wanted].clip_id)
        assert found.likeness is not None
        assert found.likeness > 0.9
    path.write_bytes(drawn(99))
    assert find(keep, path) is None, "another picture is no copy"


def test_a_bare_copy_of_a_sound_is_found(keep: Keep, tmp_path: Path) -> None:
    """By another codec, at another loudness and rate; another sentence is not taken for it."""
    clips = [
        land(keep, f"s{seed}", sound(spoken(seed), "FLAC", "PCM_16"), Kind.AUDIO)
        for seed in range(4)
    ]
    path = tmp_path / "copy"
    for form, subtype in (("MP3", "MPEG_LAYER_III"), ("OGG", "VORBIS"), ("OGG", "OPUS")):
        path.write_bytes(sound(0.5 * spoken(2), form, subtype))
        found = find(keep, path)
        assert found is not None, subtype
        assert (found.by, found.clip.clip_id) == (FoundBy.LIKENESS, clips[2].clip_id)
    path.write_bytes(sound(spoken(2)[2_000:], "WAV", "PCM_16"))
    assert find(keep, path) is not None, "its beginning was cut off"
    path.write_bytes(sound(spoken(50), "WAV", "PCM_16"))
    assert find(keep, path) is None


def test_an_export_is_known_by_what_it_is_and_by_what_it_says(
    keep: Keep, tmp_path: Path, authority: Authority
) -> None:
    """The original is untouched; the copy is signed, on record, and names its clip when bent."""
    clip = land(keep, "lion", drawn(1), Kind.IMAGE)
    (result,) = export(keep, authority.marker, [clip])
    path = tmp_path / "out" / "kit" / "lion-1.webp"
    assert result.result is Copied.COPIED
    assert hashlib.sha256(keep.path(clip).read_bytes()).hexdigest() == clip.sha256
    assert authority.verifier.verify(path).verdict is Verdict.TRUSTED
    found = find(keep, path, authority.verifier)
    assert found is not None
    assert (found.by, found.role, found.clip.clip_id) == (FoundBy.SHA256, "export", clip.clip_id)
    sums = (tmp_path / "out" / "SHA256SUMS").read_text()
    assert sums == f"{hashlib.sha256(path.read_bytes()).hexdigest()}  kit/lion-1.webp\n"
    bent = bytearray(path.read_bytes())
    bent[2000] ^= 1
    path.write_bytes(bent)
    assert authority.verifier.verify(path).verdict is Verdict.INVALID
    named_by_marks = find(keep, path, authority.verifier)
    assert named_by_marks is not None
    assert (named_by_marks.by, named_by_marks.clip.clip_id) == (FoundBy.MARKS, clip.clip_id)


def test_exporting_again_signs_nothing_again(
    keep: Keep, tmp_path: Path, authority: Authority
) -> None:
    """Two signings differ, so a file is known by the record; a new policy or key writes it anew."""
    clip = land(keep, "lion", drawn(1), Kind.IMAGE)
    path = tmp_path / "out" / "kit" / "lion-1.webp"
    export(keep, authority.marker, [clip])
    first = path.read_bytes()
    objects = keep.object_keys()
    (again,) = export(keep, authority.marker, [clip])
    assert (again.result, path.read_bytes()) == (Copied.UNCHANGED, first)
    (unsigned,) = export(keep, Marker(), [clip])
    assert unsigned.result is Copied.COPIED
    assert len(path.read_bytes()) < len(first)
    (plain,) = export(keep, authority.marker, [clip], NONE)
    assert plain.result is Copied.COPIED
    assert hashlib.sha256(path.read_bytes()).hexdigest() == clip.sha256
    path.write_bytes(b"retouched")
    (kept,) = export(keep, authority.marker, [clip])
    assert kept.result is Copied.KEPT
    assert keep.object_keys() == objects, "the store has one original, whatever is made from it"


def test_a_folder_that_was_moved_is_still_ours(
    keep: Keep, tmp_path: Path, authority: Authority
) -> None:
    """Its files are not the clips' own, and known all the same."""
    clip = land(keep, "lion", drawn(1), Kind.IMAGE)
    export(keep, authority.marker, [clip])
    (tmp_path / "out").rename(tmp_path / "elsewhere")
    (result,) = export(keep, authority.marker, [clip], to="elsewhere")
    assert result.is_there


def test_a_file_without_marks_is_not_shipped(keep: Keep, tmp_path: Path) -> None:
    """With marks required, nothing is written that has none, and what is there does not count."""
    clip = land(keep, "lion", drawn(1), Kind.IMAGE)
    path = tmp_path / "out" / "kit" / "lion-1.webp"
    (refused,) = export(keep, Marker(), [clip], NONE, require_marks=True)
    assert (refused.result, path.exists()) == (Copied.FAILED, False)
    assert "asks for no marks" in refused.reason
    export(keep, Marker(), [clip], NONE)
    (there,) = export(keep, Marker(), [clip], NONE, require_marks=True)
    assert there.result is Copied.FAILED
    (marked,) = export(keep, Marker(), [clip], require_marks=True)
    assert marked.result is Copied.COPIED
    (again,) = export(keep, Marker(), [clip], require_marks=True)
    assert again.result is Copied.UNCHANGED
    odd = keep.land("text", b"no picture at all")
    (bare,) = export(keep, Marker(), [odd], require_marks=True)
    assert bare.result is Copied.FAILED
