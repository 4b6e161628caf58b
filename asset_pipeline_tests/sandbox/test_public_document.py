"""The server does what its OpenAPI document says, whatever it is sent.

``SANDBOX_EXAMPLES=500`` sends so many requests to each operation in place of a few.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import requests
import schemathesis
import yaml
from hypothesis import HealthCheck, Phase, settings
from schemathesis.specs.openapi.checks import ignored_auth, positive_data_acceptance

from asset_pipeline import sandbox
from asset_pipeline.sandbox.options import SandboxOptions
from asset_pipeline_tests.sandbox.conftest import INSTANT, Running

pytestmark = pytest.mark.searches

_EXAMPLES = int(os.environ.get("SANDBOX_EXAMPLES", "6"))
_SLOWEST = 10.0  # seconds
_PATH = Path(sandbox.__file__).with_name("openapi.yaml")
_DOCUMENT = schemathesis.openapi.from_path(_PATH)


@pytest.fixture(name="served", scope="module")
def _served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server of their own: its files are deleted and its list is filled with oddities."""
    options = SandboxOptions(**{**INSTANT, "predict_seconds": (0.2, 0.2)})
    running = Running(tmp_path_factory.mktemp("document"), options)
    running.fault("failed", match={"every": 2})  # half of them: a failure is not drawn
    running.create("The first of the list")
    running.http.post("/v1/files", files={"content": ("a.png", b"picture", "image/png")})
    yield running
    running.stop()


@pytest.fixture(name="session", scope="module")
def _session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        yield session


@_DOCUMENT.parametrize()
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
        # The document cannot say which inputs a model takes, nor which cursors exist; and every
        # token is an account's, but those that are made to be refused.
        excluded_checks=[positive_data_acceptance, ignored_auth],
    )


def test_the_document_is_served(served: Running) -> None:
    """Anyone can read it, without a token; and it is the one tested here."""
    served_one = httpx.get(f"{served.url}/openapi.json", trust_env=False).json()
    assert served_one == yaml.safe_load(_PATH.read_text(encoding="utf-8"))
