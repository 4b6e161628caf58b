"""The server does what its OpenAPI document says, whatever it is sent.

``SANDBOX_EXAMPLES=500`` sends so many requests to each operation in place of a few.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from asset_pipeline.sandbox.options import SandboxOptions
from asset_pipeline_tests.sandbox.conftest import INSTANT, Running

_EXAMPLES = int(os.environ.get("SANDBOX_EXAMPLES", "6"))
_SLOWEST = 10.0  # seconds


@pytest.fixture(name="served", scope="module")
def _served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server of their own: its files are deleted and its list is filled with oddities."""
    options = SandboxOptions(**{**INSTANT, "predict_seconds": (30.0, 30.0)})
    running = Running(tmp_path_factory.mktemp("document"), options)
    running.create("The first of the list")
    running.http.post("/v1/files", files={"content": ("a.png", b"picture", "image/png")})
    yield running
    running.stop()


@pytest.fixture(name="document")
def _document(served: Running) -> schemathesis.openapi.OpenApiSchema:
    """The document that the server gives of itself."""
    return schemathesis.openapi.from_url(f"{served.url}/openapi.json")


@pytest.fixture(name="session", scope="module")
def _session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        yield session


@schemathesis.pytest.from_fixture("document").parametrize()
@settings(
    max_examples=_EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_operations(case: schemathesis.Case, served: Running, session: requests.Session) -> None:
    """Each answer has a documented status, type, headers and body; nonsense is refused."""
    case.call_and_validate(
        base_url=served.url,
        session=session,
        headers={"Authorization": "Bearer r8_test"},
        timeout=_SLOWEST,
        # The document cannot say which inputs a model takes, nor which cursors exist.
        excluded_checks=[positive_data_acceptance],
    )
