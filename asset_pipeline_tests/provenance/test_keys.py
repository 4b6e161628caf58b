"""Certificates and keys: from a file or a variable, refused with a sentence, renewed."""

from __future__ import annotations

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from asset_pipeline.disclosure.secrets import secrets_in
from asset_pipeline.monitoring.installation import checkups
from asset_pipeline.provenance.keys import (
    CERTIFICATE,
    KEY,
    KeyMaterialError,
    key_folder,
    load_key,
    make_development_key,
    trust_anchors,
)
from asset_pipeline.provenance.manifests import ManifestReader, ManifestSigner
from asset_pipeline.provenance.marker import Marker
from asset_pipeline.provenance.verification import Verdict, Verifier
from asset_pipeline.settings import Settings, load_settings
from asset_pipeline_tests.provenance.conftest import Authority
from asset_pipeline_tests.provenance.said import statement
from asset_pipeline_tests.support.media_samples import picture_bytes, written

NOW = datetime.now(UTC)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name in ("CERT", "KEY"):
        monkeypatch.delenv(f"ASSET_PIPELINE_SIGNING_{name}", raising=False)
    monkeypatch.setenv("ASSET_PIPELINE_DATA_DIR", str(tmp_path / "data"))
    return load_settings()


def test_a_key_comes_from_files_or_from_text(
    authority: Authority, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service that has no files gives PEM, with its ends of lines as they were or escaped."""
    assert load_key(settings) is None
    files = [authority.folder / CERTIFICATE, authority.folder / KEY]
    for given in (
        [str(path) for path in files],
        [path.read_text() for path in files],
        [path.read_text().replace("\n", "\\n") for path in files],
    ):
        monkeypatch.setenv("ASSET_PIPELINE_SIGNING_CERT", given[0])
        monkeypatch.setenv("ASSET_PIPELINE_SIGNING_KEY", given[1])
        key = load_key(load_settings())
        assert key == authority.key
        assert "PRIVATE" not in repr(key)
    secret = secrets_in({"ASSET_PIPELINE_SIGNING_KEY": files[1].read_text()})
    assert secret == files[1].read_text().splitlines()[1:-1]


@pytest.mark.parametrize(
    ("cert", "key", "match"),
    [
        ("", "{key}", "SIGNING_CERT is not set"),
        ("{cert}", "", "SIGNING_KEY is not set"),
        ("/nowhere.pem", "{key}", "can't be read"),
        ("{key}", "{key}", "not one in PEM"),
        ("{cert}", "{cert}", "not one in PEM without a password"),
        ("{cert}", "{locked}", "not one in PEM without a password"),
        ("{cert}", "{other}", "not that of the certificate"),
    ],
)
def test_a_wrong_pair_is_refused(
    authority: Authority,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    cert: str,
    key: str,
    match: str,
) -> None:
    """The sentence says which of both it is, and shows no part of the key."""
    other = ec.generate_private_key(ec.SECP256R1())
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8)
    open_pem = other.private_bytes(*form, serialization.NoEncryption())
    locked = other.private_bytes(*form, serialization.BestAvailableEncryption(b"secret"))
    places = {
        "{cert}": str(authority.folder / CERTIFICATE),
        "{key}": str(authority.folder / KEY),
        "{other}": str(written(tmp_path, open_pem, "other.pem")),
        "{locked}": str(written(tmp_path, locked, "locked.pem")),
    }
    monkeypatch.setenv("ASSET_PIPELINE_SIGNING_CERT", places.get(cert, cert))
    monkeypatch.setenv("ASSET_PIPELINE_SIGNING_KEY", places.get(key, key))
    with pytest.raises(KeyMaterialError, match=match) as refused:
        load_key(load_settings())
    assert refused.value.hint
    assert settings.signing_key is None


def test_renewing_keeps_what_was_signed_before(settings: Settings, tmp_path: Path) -> None:
    """The authority stays: files of both certificates are trusted, and new ones have the new."""
    folder = key_folder(settings)
    first = make_development_key(folder, NOW)
    for path in folder.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(KeyMaterialError, match="already"):
        make_development_key(folder, NOW)
    old, new = (written(tmp_path, picture_bytes("webp"), name) for name in ("old", "new"))
    anchors = trust_anchors(settings)
    marked = Marker(ManifestSigner(first, ManifestReader(anchors)))
    marked.mark(old, statement(), original=old, actions=[])
    second = make_development_key(folder, NOW, renew=True)
    assert second.fingerprint != first.fingerprint
    again = Marker(ManifestSigner(second, ManifestReader(anchors)))
    again.mark(new, statement(), original=new, actions=[])
    policy = statement().policy
    assert marked.recipe(policy) != again.recipe(policy), "so that files are signed again"
    verifier = Verifier(trust_anchors(settings))
    assert [verifier.verify(path).verdict for path in (old, new)] == [Verdict.TRUSTED] * 2


@pytest.mark.parametrize(
    ("made_days_ago", "state", "words"),
    [(0, "warn", "for development"), (350, "warn", "days"), (400, "fail", "expired on")],
)
def test_doctor_watches_the_certificate(
    settings: Settings, made_days_ago: int, state: str, words: str
) -> None:
    """A month before the end it warns; after it nothing is signed, and it fails."""
    made = NOW - timedelta(days=made_days_ago)
    make_development_key(key_folder(settings), made)
    (found,) = [each for each in checkups(settings) if each.part == "signing key"]
    assert found.state.value.lower() == state
    assert words in found.detail
    assert found.advice
