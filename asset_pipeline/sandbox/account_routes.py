"""The small routes: who am I, which hardware, which model, which webhook secret."""

from __future__ import annotations

from pydantic import JsonValue
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from asset_pipeline.catalog.spec import Model
from asset_pipeline.sandbox.accounts import account_of
from asset_pipeline.sandbox.billing import HARDWARE
from asset_pipeline.sandbox.core import Core
from asset_pipeline.sandbox.model_schema import model_schema
from asset_pipeline.sandbox.problems import ProblemError, not_found


class AccountRoutes:
    """Handlers on one :class:`Core`."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/v1/account", self.account, methods=["GET"]),
            Route("/v1/hardware", self.hardware, methods=["GET"]),
            Route("/v1/models/{owner}/{name}", self.model, methods=["GET"]),
            Route("/v1/webhooks/default/secret", self.webhook_secret, methods=["GET"]),
        ]

    async def account(self, request: Request) -> Response:
        """Return the account that the token belongs to."""
        name = account_of(request)
        return JSONResponse(
            {"type": "user", "username": name, "name": name.capitalize(), "github_url": None}
        )

    async def hardware(self, request: Request) -> Response:
        """Return the hardware on offer."""
        del request
        return JSONResponse([{"sku": sku, "name": name} for sku, (name, _) in HARDWARE.items()])

    async def webhook_secret(self, request: Request) -> Response:
        """Return the webhook signing secret."""
        del request
        return JSONResponse({"key": self._core.state.webhook_secret()})

    async def model(self, request: Request) -> Response:
        """Return a model with its input schema."""
        owner, name = request.path_params["owner"], request.path_params["name"]
        model = self._core.shelf.named(f"{owner}/{name}")
        if model is None:
            raise ProblemError(not_found())
        return JSONResponse(_model_json(model))


def _model_json(model: Model) -> dict[str, JsonValue]:
    owner, _, name = model.name.partition("/")
    return {
        "url": f"https://replicate.com/{model.name}",
        "owner": owner,
        "name": name,
        "description": f"The sandbox's stand-in for {model.name}.",
        "visibility": "public",
        "is_official": model.official,
        "github_url": None,
        "paper_url": None,
        "license_url": None,
        "run_count": 0,
        "cover_image_url": None,
        "default_example": None,
        "latest_version": {
            "id": model.version or "hidden",
            "created_at": "2026-01-01T00:00:00.000000Z",
            "cog_version": "0.16.0",
            "openapi_schema": model_schema(model),
        },
    }
