"""A sandbox server for this room's tests, and a ledger and a store of its own for each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from asset_pipeline_tests.support.crash.site import Site, open_site


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The server of the tests that leave it alive."""
    with open_site(tmp_path_factory.mktemp("server"), predict="0.2") as running:
        yield running


@pytest.fixture
def site(server: Site, tmp_path: Path) -> Iterator[Site]:
    """A ledger and a store of its own, and a server without faults."""
    yield server.beside(tmp_path)
    server.mend()


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A name for prompts that no other test has, as texts are what requests are told apart by."""
    return "".join(sign if sign.isalnum() else "-" for sign in request.node.name).lower()[-90:]
