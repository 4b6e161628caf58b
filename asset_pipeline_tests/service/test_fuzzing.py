"""Whatever is sent to any route is answered, and never with a 500."""

from __future__ import annotations

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error

from asset_pipeline_tests.service.conftest import Served

pytestmark = pytest.mark.searches

# Streams last until their job has ended.
_ENDLESS = "/events$"

_REPEATABLE = settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


def test_no_request_breaks_a_route(alone: Served) -> None:
    """Fuzzed parameters, headers, cookies and bodies get problems with a code and an id."""
    app = alone.client.app
    schema = schemathesis.openapi.from_asgi("/openapi.json", app).exclude(path_regex=_ENDLESS)
    attacked: list[str] = []
    for found in schema.get_all_operations():
        operation = found.ok()

        @_REPEATABLE
        @given(case=operation.as_strategy())
        def attack(case: schemathesis.Case) -> None:
            answer = case.call(base_url="http://127.0.0.1")
            case.validate_response(answer, checks=[not_a_server_error])
            if answer.status_code >= 400:
                body = answer.json()
                assert answer.headers["content-type"] == ["application/problem+json"]
                assert body["code"]
                assert body["request_id"]

        attack()
        attacked.append(operation.label)
    assert len(attacked) >= 20, attacked
