"""One sandbox for all Dagster tests of a worker; a fresh project for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from asset_pipeline_tests.project import Project, project_at, running_sandbox


@pytest.fixture(scope="session")
def sandbox_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_sandbox(tmp_path_factory.mktemp("sandbox")) as url:
        yield url


@pytest.fixture
def project(tmp_path: Path, sandbox_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    with project_at(tmp_path, sandbox_url, monkeypatch) as found:
        yield found
        found.heal()
