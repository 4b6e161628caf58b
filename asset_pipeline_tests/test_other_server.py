from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from PIL import Image, ImageDraw
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from asset_pipeline.catalog.kind import Kind
from asset_pipeline_tests.support.project import project_at

pytestmark = pytest.mark.servers

TOKEN = "r8_another_servers_token"


class OtherServer:
    """A few lines that speak the API and share nothing with the sandbox."""

    def __init__(self) -> None:
        self.tokens: set[str] = set()
        self.creates: list[dict[str, Any]] = []
        self.predictions: dict[str, dict[str, Any]] = {}
        routes = [
            Route("/v1/models/{owner}/{name}/predictions", self.create, methods=["POST"]),
            Route("/v1/predictions", self.listing),
            Route("/v1/predictions/{id}", self.get),
            Route("/files/{id}.png", self.file),
        ]
        config = uvicorn.Config(Starlette(routes=routes), port=0, log_level="error")
        self.server = uvicorn.Server(config)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.servers[0].sockets[0].getsockname()[1]}"

    async def create(self, request: Request) -> Response:
        self.tokens.add(request.headers["authorization"])
        body = await request.json()
        self.creates.append(body)
        prediction_id = f"other{len(self.creates)}"
        now = datetime.now(UTC).isoformat()
        self.predictions[prediction_id] = {
            "id": prediction_id,
            "model": "{owner}/{name}".format(**request.path_params),
            "version": "hidden",
            "input": body["input"],
            "status": "succeeded",
            "created_at": now,
            "started_at": now,
            "completed_at": now,
            "output": [f"{self.url}/files/{prediction_id}.png"],
            "metrics": {"predict_time": 0.5},
            "urls": {},
        }
        started = {**self.predictions[prediction_id], "status": "starting", "output": None}
        return JSONResponse(started, status_code=201)

    async def get(self, request: Request) -> Response:
        return JSONResponse(self.predictions[request.path_params["id"]])

    async def listing(self, _: Request) -> Response:
        newest = list(reversed(self.predictions.values()))
        return JSONResponse({"next": None, "previous": None, "results": newest})

    async def file(self, _: Request) -> Response:
        picture = Image.new("RGB", (64, 48), "navy")
        ImageDraw.Draw(picture).ellipse((8, 8, 40, 40), fill="gold")
        content = io.BytesIO()
        picture.save(content, "PNG")
        return Response(content.getvalue(), media_type="image/png")


@pytest.fixture
def other() -> Iterator[OtherServer]:
    found = OtherServer()
    thread = threading.Thread(target=found.server.run, daemon=True)
    thread.start()
    while not found.server.started:
        time.sleep(0.01)
    yield found
    found.server.should_exit = True
    thread.join(timeout=10)


def test_the_same_code_works_with_another_server(
    other: OtherServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A base URL and a token are all it takes; the charge follows from price and output."""
    with project_at(tmp_path, other.url, monkeypatch) as project:
        monkeypatch.setenv("ASSET_PIPELINE_PROVIDER", "replicate")
        monkeypatch.setenv("REPLICATE_API_TOKEN", TOKEN)
        project.write(Kind.IMAGE, {"id": "moon", "text": "A golden moon"}, variants=2)
        project.sync()
        assert project.run(Kind.IMAGE, "moon").success
        assert project.ledger_charged() == 6000
    assert other.tokens == {f"Bearer {TOKEN}"}
    assert [body["input"]["prompt"] for body in other.creates] == ["A golden moon"] * 2
    everything = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert everything
    leaks = [path for path in everything if TOKEN.encode() in path.read_bytes()]
    assert leaks == [], "the token is never written anywhere"
