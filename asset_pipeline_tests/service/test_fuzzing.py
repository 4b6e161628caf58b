"""Whatever is sent to any route is answered, and never with a 500."""

from __future__ import annotations

from collections.abc import Generator

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from starlette.testclient import TestClient

from asset_pipeline.service.app import create_app
from asset_pipeline.service.context import open_context
from asset_pipeline.settings import load_settings
from asset_pipeline_tests.service.conftest import Place


@pytest.fixture
def api(place: Place) -> Generator[schemathesis.BaseSchema]:
    """The routes of a service, as its own document describes them; streams would never end."""
    assert place.root.is_dir()
    context = open_context(load_settings())
    app = create_app(context)
    with TestClient(app, base_url="http://127.0.0.1"):
        yield schemathesis.openapi.from_asgi("/openapi.json", app).exclude(path_regex="/events$")
    context.engine.dispose()


schema = schemathesis.pytest.from_fixture("api")


@schema.parametrize()
@settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
def test_no_request_breaks_a_route(case: schemathesis.Case) -> None:
    """Fuzzed parameters, headers, cookies and bodies get problems with a code and an id."""
    answer = case.call(base_url="http://127.0.0.1")
    case.validate_response(answer, checks=[not_a_server_error])
    if answer.status_code >= 400:
        body = answer.json()
        assert answer.headers["content-type"][0] == "application/problem+json"
        assert body["code"]
        assert body["request_id"]
