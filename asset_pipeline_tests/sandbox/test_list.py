"""The list of predictions, and its cursors."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from asset_pipeline.sandbox.options import SandboxOptions
from asset_pipeline_tests.sandbox.conftest import SMALL, STILL, Reply, Running


@pytest.fixture(name="filled", scope="module")
def _filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, list[str]]]:
    """A server with 205 predictions, all to fail: a failure is not rendered."""
    sandbox = Running(tmp_path_factory.mktemp("filled"), SandboxOptions(**STILL))
    sandbox.fault("failed")
    yield sandbox, [sandbox.create(f"Number {n}", **SMALL)["id"] for n in range(205)]
    sandbox.stop()


def test_pages_newest_first(filled: tuple[Running, list[str]]) -> None:
    """Pages of a hundred lead to every prediction once, newest first, and back again."""
    sandbox, created = filled
    first = sandbox.client.predictions.list()
    second = sandbox.client.predictions.list(first.next or "")
    third = sandbox.client.predictions.list(second.next or "")
    assert [len(page.results) for page in (first, second, third)] == [100, 100, 5]
    seen = [row.id for page in (first, second, third) for row in page.results]
    assert seen == created[::-1]
    assert (first.previous, third.next) == (None, None)
    back = sandbox.client.predictions.list(third.previous or "")
    assert [row.id for row in back.results] == [row.id for row in second.results]
    again = sandbox.client.predictions.list(back.previous or "")
    assert [row.id for row in again.results] == [row.id for row in first.results]
    assert again.previous is None


def test_filters_by_time(filled: tuple[Running, list[str]]) -> None:
    """created_after is inclusive, created_before is not, and a cursor carries both along."""
    sandbox, created = filled

    def listed(**query: str) -> Reply:
        reply = sandbox.http.get("/v1/predictions", params=query)
        assert reply.status_code == 200, reply.text
        return reply.json()

    moment = sandbox.get({"id": created[3]})["created_at"]
    page = listed(created_after=moment)
    rest = sandbox.http.get(sandbox.http.get(page["next"]).json()["next"]).json()
    assert rest["next"] is None
    assert [row["id"] for row in rest["results"]] == [created[4], created[3]]
    before = listed(created_before=moment)
    assert [row["id"] for row in before["results"]] == created[:3][::-1]
    assert listed(created_after="2100-01-01T00:00:00+00:00")["results"] == []
    assert listed(source="web")["results"] == []


@pytest.mark.parametrize(
    "query",
    [{"created_after": "yesterday"}, {"cursor": "bm8="}, {"source": "x"}, {"created_afer": "2026"}],
)
def test_unreadable_queries_are_refused(instant: Running, query: dict[str, str]) -> None:
    """What cannot be read, or is not known, is a 422 that names it."""
    reply = instant.http.get("/v1/predictions", params=query)
    assert reply.status_code == 422
    assert reply.json()["invalid_fields"][0]["field"] == next(iter(query))
