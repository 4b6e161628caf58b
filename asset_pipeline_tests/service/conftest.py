"""A project with a service in this process, and the sensors that make runs of what is ordered."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import httpx
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from asset_pipeline.cli._service import _keys
from asset_pipeline.defs.resources.ledger import LedgerResource
from asset_pipeline.defs.resources.prompt_library import PromptLibraryResource
from asset_pipeline.defs.reviews import reviews_sensor
from asset_pipeline.defs.submissions import submissions_sensor
from asset_pipeline.ledger.api_keys import NewKey, scopes_from
from asset_pipeline.money import MicroUsd
from asset_pipeline.service.app import attach, create_app
from asset_pipeline.service.context import ServiceContext, open_context
from asset_pipeline.settings import load_settings
from asset_pipeline_tests.support.project import Project, project, sandbox_url

__all__ = ["project", "sandbox_url"]

SMALL = {"megapixels": "0.25"}


@dataclass(frozen=True)
class Place:
    """A project's folder alone: no Dagster, no sandbox, which take seconds to start."""

    root: Path


@dataclass
class Served:
    """A service, its project, and a daemon that ticks when it is told to."""

    place: Project | Place
    client: TestClient

    @property
    def project(self) -> Project:
        """The project with its Dagster."""
        assert isinstance(self.place, Project)
        return self.place

    def key(self, *scopes: str, budget: int | None = None, rate: int | None = None) -> str:
        """Create a key and return its text."""
        with _keys() as keys:
            cap = None if budget is None else MicroUsd(budget)
            _, text = keys.create(NewKey("test", scopes_from(scopes), "tests", cap, rate))
            return text

    def order(self, **body: object) -> httpx.Response:
        """Order clips of one small picture's prompt."""
        return self.client.post("/api/v1/generations", json={"inputs": SMALL, **body})

    def tick(self, sensor: Callable[..., Any] = submissions_sensor) -> list[dg.RunRequest]:
        """Evaluate a sensor once."""
        with dg.build_sensor_context(
            instance=self.project.instance,
            resources={"prompt_library": PromptLibraryResource(), "ledger": LedgerResource()},
        ) as context:
            result = sensor(context)
        assert isinstance(result, dg.SensorResult)
        return list(result.run_requests or ())

    def launch(self, requests: Sequence[dg.RunRequest]) -> list[dg.ExecuteInProcessResult]:
        """Run what a sensor asked for, as the daemon does."""
        return [
            self.project.defs.resolve_job_def(str(request.job_name)).execute_in_process(
                instance=self.project.instance,
                partition_key=request.partition_key,
                run_config=request.run_config,
                tags=dict(request.tags),
                raise_on_error=False,
            )
            for request in requests
        ]

    def work(self) -> list[dg.ExecuteInProcessResult]:
        """Let the daemon make clips of what waits, and note their end."""
        results = self.launch(self.tick())
        self.tick()
        return results

    def review(self) -> list[dg.ExecuteInProcessResult]:
        """Let the daemon publish what was approved."""
        return self.launch(self.tick(reviews_sensor))

    def job(self, url: str) -> dict[str, Any]:
        """Return how a submission stands."""
        return self.client.get(url).json()


@contextmanager
def serving(found: Project | Place, *, hosts: frozenset[str] = frozenset()) -> Generator[Served]:
    """Serve a project in this process."""
    context = open_context(load_settings())
    app = _app(context)
    attach(app, context, hosts)
    with TestClient(app, base_url="http://127.0.0.1") as client:
        yield Served(found, client)
    context.engine.dispose()


_MADE: list[FastAPI] = []


def _app(context: ServiceContext) -> FastAPI:
    """Return the one application of this process: making it takes most of a second."""
    if not _MADE:
        _MADE.append(create_app(context))
    return _MADE[0]


@pytest.fixture
def served(project: Project) -> Generator[Served]:
    with serving(project) as found:
        yield found


@pytest.fixture
def project_config(project: Project) -> Path:
    """The folder of the project's configuration."""
    return project.root / "config"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A project that makes nothing."""
    for name in ("PROMPTS", "DATA", "CONFIG"):
        folder = tmp_path / name.lower()
        folder.mkdir()
        monkeypatch.setenv(f"ASSET_PIPELINE_{name}_DIR", str(folder))
    monkeypatch.setenv("ASSET_PIPELINE_PROVIDER", "sandbox")
    monkeypatch.delenv("REPLICATE_API_TOKEN", raising=False)
    return Place(tmp_path)


@pytest.fixture
def alone(place: Place) -> Generator[Served]:
    """A service that nothing else is behind."""
    with serving(place) as found:
        yield found
