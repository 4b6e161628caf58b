"""Servers for a whole session; a conftest imports the fixtures that its tests need."""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest

from asset_pipeline_tests.support.servers.gcs import Gcs, running_gcs
from asset_pipeline_tests.support.servers.seaweed import SeaweedFS


@pytest.fixture(scope="session")
def seaweed_server(tmp_path_factory: pytest.TempPathFactory) -> Generator[SeaweedFS]:
    """One S3 server for all tests of a session."""
    server = SeaweedFS(tmp_path_factory.mktemp("seaweed"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def seaweed(seaweed_server: SeaweedFS, monkeypatch: pytest.MonkeyPatch) -> SeaweedFS:
    """The session's S3 server, with an environment that points at it and no other of AWS's."""
    point_at(monkeypatch, "AWS_", seaweed_server.environment)
    return seaweed_server


@pytest.fixture(scope="session")
def gcs_server(tmp_path_factory: pytest.TempPathFactory) -> Generator[Gcs]:
    """One GCS server for all tests of a session."""
    with running_gcs(tmp_path_factory.mktemp("gcs")) as server:
        yield server


@pytest.fixture
def gcs(gcs_server: Gcs, monkeypatch: pytest.MonkeyPatch) -> Generator[Gcs]:
    """The session's GCS server, with an environment that points at it and no other of Google's."""
    point_at(monkeypatch, "GOOGLE_", gcs_server.environment)
    yield gcs_server
    gcs_server.proxy.forget()


def point_at(monkeypatch: pytest.MonkeyPatch, prefix: str, environment: dict[str, str]) -> None:
    """Replace all variables that begin with a prefix."""
    for name in list(os.environ):
        if name.startswith(prefix):
            monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
