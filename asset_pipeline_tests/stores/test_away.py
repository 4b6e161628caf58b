"""A store that is away in mid-batch costs time, never money."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.defs.resources.store import StoreResource
from asset_pipeline.generation.payment.delivery import Deliverer
from asset_pipeline.generation.timeouts import Timeouts
from asset_pipeline.stores.protocol import StoreUnavailableError
from asset_pipeline_tests.support.clocks import FakeClock
from asset_pipeline_tests.support.project import Project, project, sandbox_url
from asset_pipeline_tests.support.servers.fixtures import point_at
from asset_pipeline_tests.support.servers.proxy import running_proxy
from asset_pipeline_tests.support.servers.seaweed import SeaweedFS

__all__ = ["project", "sandbox_url"]


@pytest.fixture
def own_seaweed(tmp_path: Path) -> Generator[SeaweedFS]:
    """An S3 server that no other test uses."""
    server = SeaweedFS(tmp_path / "seaweed")
    server.start()
    yield server
    server.stop()


def test_clips_are_delivered_when_the_store_returns(
    project: Project, own_seaweed: SeaweedFS, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that is stopped and started again gets every clip: paid once, no step repeated."""
    with running_proxy(own_seaweed.url) as proxy:
        point_at(monkeypatch, "AWS_", {**own_seaweed.environment, "AWS_ENDPOINT_URL": proxy.url})
        monkeypatch.setenv("ASSET_PIPELINE_STORE_URL", own_seaweed.new_url())
        prompts = [f"clip-{number}" for number in range(6)]
        project.write(Kind.IMAGE, *({"id": name, "text": f"A {name}"} for name in prompts))
        project.sync()
        refused, once = threading.Event(), threading.Lock()

        def stop_before_the_second_put(request: Any) -> None:  # noqa: ANN401 -- Request
            puts = sum(each.method == "PUT" for each in proxy.seen)
            if request.method == "PUT" and puts > 1 and once.acquire(blocking=False):
                own_seaweed.stop()
                refused.set()

        proxy.check = stop_before_the_second_put
        starting = threading.Thread(target=lambda: (refused.wait(60), own_seaweed.start()))
        starting.start()
        result = project.run(Kind.IMAGE, *prompts)
        starting.join()
        assert result.success
        assert refused.is_set()
        assert set(project.statuses(Kind.IMAGE).values()) == {"MATERIALIZED"}
        assert len(project.charges()) == len(prompts), "nothing was generated twice"
        assert not result.filter_events(lambda event: event.is_step_up_for_retry)
        assert len(list(StoreResource().open().list("image/"))) == len(prompts)
        assert project.ledger_charged() == project.charged()


def _deliverer(clock: FakeClock, pool: ThreadPoolExecutor) -> Any:  # noqa: ANN401 -- of its insides
    nothing: Any = None
    return Deliverer(
        nothing,
        nothing,
        nothing,
        Path(),
        decoders=nothing,
        storing=pool,
        clock=clock,
        timing=Timeouts(store_patience=600),
    )


def test_a_store_that_is_away_for_minutes(clock: FakeClock) -> None:
    """A store is asked again, at growing intervals, and the clip is delivered."""

    def work() -> str:
        if clock.monotonic() < 300:
            raise StoreUnavailableError("away")
        return "stored"

    with ThreadPoolExecutor(1) as pool:
        assert asyncio.run(_deliverer(clock, pool)._patiently(work)) == "stored"
    assert clock.slept[:5] == [1, 2, 4, 8, 16]
    assert max(clock.slept) == 30


def test_patience_ends(clock: FakeClock) -> None:
    """A store that stays away is left to a retry of the step: a batch does not hang for ever."""

    def work() -> str:
        raise StoreUnavailableError("away")

    with ThreadPoolExecutor(1) as pool, pytest.raises(StoreUnavailableError):
        asyncio.run(_deliverer(clock, pool)._patiently(work))
    assert 560 <= clock.monotonic() <= 600
