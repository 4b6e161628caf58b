from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from asset_pipeline.provenance.keys import AUTHORITY, SigningKey, make_development_key
from asset_pipeline.provenance.manifests import ManifestReader, ManifestSigner
from asset_pipeline.provenance.marker import Marker
from asset_pipeline.provenance.verification import Verifier


@dataclass(frozen=True)
class Authority:
    """A development key, and what signs and trusts it."""

    folder: Path
    key: SigningKey

    @property
    def anchors(self) -> str:
        return (self.folder / AUTHORITY).read_text()

    @property
    def marker(self) -> Marker:
        return Marker(ManifestSigner(self.key, ManifestReader(self.anchors)))

    @property
    def verifier(self) -> Verifier:
        return Verifier(self.anchors)


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """One for all tests: it is never changed."""
    folder = tmp_path_factory.mktemp("authority") / "keys"
    return Authority(folder, make_development_key(folder, datetime.now(UTC)))
