"""Signed files: what another process reads in them, and what a change to them shows."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.files import sha256_of
from asset_pipeline.prompts.provenance import DEFAULT, ProvenancePolicy
from asset_pipeline.provenance.manifests import SignatureState, TamperedParentError
from asset_pipeline.provenance.marker import Marked, Marker
from asset_pipeline.provenance.statement import Statement
from asset_pipeline.provenance.verification import Verdict, Verifier
from asset_pipeline_tests.provenance.conftest import Authority
from asset_pipeline_tests.provenance.said import TEXT, statement
from asset_pipeline_tests.provenance.test_marks import PICTURES
from asset_pipeline_tests.support.media_samples import picture_bytes, sound_bytes, written

SIGNABLE = (*PICTURES, "mp3", "wav", "flac")

READ = """
import json, sys, c2pa
settings = {"trust": {"trust_anchors": open(sys.argv[1]).read()}, "verify": {"verify_trust": True}}
context = c2pa.Context(c2pa.Settings.from_dict(settings))
said = {}
for path, mime in zip(sys.argv[2::2], sys.argv[3::2]):
    with open(path, "rb") as file:
        said[path] = json.loads(c2pa.Reader(mime, file, context=context).json())
print(json.dumps(said))
"""


def content(extension: str) -> bytes:
    return picture_bytes(extension) if extension in PICTURES else sound_bytes(extension)


def copied(
    folder: Path, extension: str, marker: Marker, said: Statement | None = None
) -> tuple[Path, Marked]:
    """An export: a copy that is marked, beside its original."""
    original = written(folder, content(extension), f"original.{extension}")
    copy = folder / f"copy.{extension}"
    shutil.copyfile(original, copy)
    before = sha256_of(original)
    kind = Kind.IMAGE if extension in PICTURES else Kind.AUDIO
    said = said or statement(kind=kind, sha256=before)
    marked = marker.mark(copy, said, original=original, actions=["c2pa.published"])
    assert sha256_of(original) == before, "the original stays as it came"
    assert (marked.sha256, marked.bytes) == (sha256_of(copy), copy.stat().st_size)
    return copy, marked


def test_another_process_reads_all_that_can_be_signed(tmp_path: Path, authority: Authority) -> None:
    """Trusted, with the source type, the original as parent, and what the ledger knows."""
    arguments: list[str] = []
    for extension in SIGNABLE:
        copy, marked = copied(tmp_path, extension, authority.marker)
        assert marked.is_marked
        assert marked.note == ""
        mime = {"jpg": "image/jpeg", "mp3": "audio/mpeg"}.get(extension)
        kind = "image" if extension in PICTURES else "audio"
        arguments += [str(copy), mime or f"{kind}/{extension}"]
    anchors = authority.folder / "authority.pem"
    told = subprocess.run(
        [sys.executable, "-c", READ, str(anchors), *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    for path, said in json.loads(told.stdout).items():
        assert said["validation_state"] == "Trusted", path
        manifest = said["manifests"][said["active_manifest"]]
        actions, ours = (each["data"] for each in manifest["assertions"][-2:])
        assert [each["action"] for each in actions["actions"]] == ["c2pa.opened", "c2pa.published"]
        assert actions["actions"][0]["digitalSourceType"].endswith("/trainedAlgorithmicMedia")
        assert ours["cost_microusd"] == 3000
        assert (ours["prompt"], ours["model"]) == (TEXT, "black-forest-labs/flux-schnell")
        (ingredient,) = manifest["ingredients"]
        assert (ingredient["relationship"], ingredient["title"]) == (
            "parentOf",
            "image/lion-1",
        ) or (ingredient["title"] == "audio/lion-1")
        assert "thumbnail" not in json.dumps(said)


@pytest.mark.parametrize("extension", SIGNABLE)
def test_one_flipped_byte_shows(tmp_path: Path, authority: Authority, extension: str) -> None:
    """Wherever it is: in what is seen or heard, in a mark, or in what the manifest says."""
    copy, _ = copied(tmp_path, extension, authority.marker)
    assert authority.verifier.verify(copy).verdict is Verdict.TRUSTED
    whole = copy.read_bytes()
    places = [whole.find(b"trainedAlgorithmicMedia"), whole.find(b"cost_microusd"), len(whole) - 40]
    for place in places:
        bent = bytearray(whole)
        bent[place] ^= 1
        copy.write_bytes(bent)
        assert authority.verifier.verify(copy).verdict in {Verdict.INVALID, Verdict.DAMAGED}


@pytest.mark.parametrize("extension", SIGNABLE)
def test_a_signature_is_small(tmp_path: Path, authority: Authority, extension: str) -> None:
    """No thumbnail, no reserve: under 4 kB more than the same file with marks alone."""
    said = statement(DEFAULT)
    _, signed = copied(tmp_path, extension, authority.marker, said)
    _, plain = copied(tmp_path, extension, Marker(), said)
    assert 0 < signed.bytes - plain.bytes < 4096
    assert plain.bytes - len(content(extension)) < 1600


@pytest.mark.parametrize("extension", ["ogg", "opus"])
def test_what_cannot_hold_a_signature_has_it_beside(
    tmp_path: Path, authority: Authority, extension: str
) -> None:
    """Ogg has its tags and a manifest in a file of its own; a change shows all the same."""
    copy, marked = copied(tmp_path, extension, authority.marker)
    assert marked.sidecar is not None
    assert "can't hold a signature" in marked.note
    assert authority.verifier.verify(copy).verdict is Verdict.MARKED
    written(tmp_path, marked.sidecar, f"{copy.name}.c2pa")
    report = authority.verifier.verify(copy)
    assert (report.verdict, report.is_beside) == (Verdict.TRUSTED, True)
    bent = bytearray(copy.read_bytes())
    bent[-20] ^= 1
    copy.write_bytes(bent)
    assert authority.verifier.verify(copy).verdict is Verdict.INVALID


def test_a_providers_manifest_becomes_the_ingredient(tmp_path: Path, authority: Authority) -> None:
    """What its provider signed stays in the original, and is carried whole into the copy."""
    theirs, _ = copied(tmp_path, "webp", authority.marker)
    shutil.copyfile(theirs, tmp_path / "provider.webp")
    copy = tmp_path / "again.webp"
    shutil.copyfile(theirs, copy)
    said = statement(sha256=sha256_of(theirs))
    marked = authority.marker.mark(copy, said, original=theirs, actions=["c2pa.published"])
    report = authority.verifier.verify(copy)
    assert report.verdict is Verdict.TRUSTED
    (ingredient,) = report.signature.ingredients
    assert ingredient.is_signed
    assert ingredient.problems in {(), ("signingCredential.untrusted",)}
    assert marked.is_marked
    assert theirs.read_bytes() == (tmp_path / "provider.webp").read_bytes()


def test_without_a_key_a_providers_file_stays_whole(tmp_path: Path, authority: Authority) -> None:
    """A mark would break their signature, so none is added, and that is said."""
    theirs, _ = copied(tmp_path, "webp", authority.marker)
    before = theirs.read_bytes()
    marked = Marker().mark(theirs, statement(), original=theirs, actions=[])
    assert theirs.read_bytes() == before
    assert marked.is_marked
    assert "as its provider signed it" in marked.note


def test_nothing_made_from_a_tampered_file_is_signed(tmp_path: Path, authority: Authority) -> None:
    """At its top it would verify as trusted, so it is refused before; without signing it is not."""
    theirs, _ = copied(tmp_path, "png", authority.marker)
    bent = bytearray(theirs.read_bytes())
    bent[-40] ^= 1
    theirs.write_bytes(bent)
    copy = tmp_path / "rendition.webp"
    copy.write_bytes(picture_bytes("webp"))
    with pytest.raises(TamperedParentError, match="was changed after"):
        authority.marker.mark(copy, statement(), original=theirs, actions=[])
    with pytest.raises(TamperedParentError, match="was changed after"):
        authority.marker.seal(theirs, statement())
    unsigned = statement(ProvenancePolicy(sign=False))
    assert authority.marker.mark(copy, unsigned, original=theirs, actions=[]).certificate == ""


def test_a_redacted_fact_is_in_no_part_of_a_file(tmp_path: Path, authority: Authority) -> None:
    """Neither in the marks nor in the manifest, nor in the name of the ingredient."""
    policy = ProvenancePolicy(redact=["prompt", "cost", "ids"])
    copy, _ = copied(tmp_path, "png", authority.marker, statement(policy))
    data = copy.read_bytes()
    for fact in ("in fog", "cost_microusd", "2" * 32, "p" * 26, "1" * 32, "lion"):
        assert fact.encode() not in data
    assert authority.verifier.verify(copy).says["prompt_sha256"]


def test_a_collection_may_want_neither(tmp_path: Path, authority: Authority) -> None:
    """With none the copy is the original, byte for byte; with sign: false it has marks alone."""
    original = written(tmp_path, content("webp"))
    copy = tmp_path / "copy"
    shutil.copyfile(original, copy)
    none = ProvenancePolicy(mark=False, sign=False)
    marked = authority.marker.mark(copy, statement(none), original=original, actions=[])
    assert copy.read_bytes() == original.read_bytes()
    assert not marked.is_marked
    marks = ProvenancePolicy(sign=False)
    authority.marker.mark(copy, statement(marks), original=original, actions=[])
    report = authority.verifier.verify(copy)
    assert (report.verdict, report.signature.state) == (Verdict.MARKED, SignatureState.NONE)


def test_a_sidecar_leaves_the_original_alone(tmp_path: Path, authority: Authority) -> None:
    """It verifies beside the very file, and no other one."""
    original = written(tmp_path, content("png"), "original.png")
    before = original.read_bytes()
    manifest = authority.marker.seal(original, statement())
    assert manifest is not None
    assert original.read_bytes() == before
    written(tmp_path, manifest, "original.png.c2pa")
    assert authority.verifier.verify(original).verdict is Verdict.TRUSTED
    with Image.open(original) as image:
        image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(original)
    assert authority.verifier.verify(original).verdict is Verdict.INVALID


def test_whoever_is_not_trusted_is_not(tmp_path: Path, authority: Authority) -> None:
    """The signature holds, and nobody vouches for it."""
    copy, _ = copied(tmp_path, "webp", authority.marker)
    report = Verifier().verify(copy)
    assert report.verdict is Verdict.VALID
    assert report.signature.problems == ("signingCredential.untrusted",)
    assert "Nobody that is trusted" in report.notes[0]


def test_without_the_library_it_says_so(
    tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Marks are read all the same; the signature is called unchecked, never good or bad."""
    copy, _ = copied(tmp_path, "webp", authority.marker)
    monkeypatch.setitem(sys.modules, "c2pa", None)
    report = Verifier(authority.anchors).verify(copy)
    assert (report.verdict, report.signature.state) == (
        Verdict.MARKED,
        SignatureState.UNCHECKED,
    )
    assert "not installed" in report.notes[0]
