"""Predictions and requests as Replicate writes them."""

from __future__ import annotations

from pydantic import SecretStr

from asset_pipeline.providers.protocol import CreateRequest
from asset_pipeline.providers.replicate import ReplicateProvider

TOKEN = "r8_the-secret"  # the test's own

SCHNELL = CreateRequest(
    model="black-forest-labs/flux-schnell",
    version=None,
    inputs={"prompt": "a lighthouse", "seed": 7, "num_outputs": 1},
    cancel_after_seconds=300,
)


# For answers that never come: how long to wait for them, and how soon it must be over then.
IMPATIENT = 0.25
SOON = 5.0


def prediction(**changes: object) -> dict[str, object]:
    """A prediction that has just been accepted, but for the changes."""
    return {
        "id": "p1",
        "model": "black-forest-labs/flux-schnell",
        "version": "hidden",
        "input": {"prompt": "a lighthouse", "seed": 7},
        "output": None,
        "error": None,
        "status": "starting",
        "data_removed": False,
        "created_at": "2026-11-21T12:00:00.000Z",
        "urls": {"get": "x", "cancel": "x", "web": "https://replicate.com/p/p1"},
        "metrics": {},
    } | changes


def provider(url: str, **seconds: float) -> ReplicateProvider:
    """A provider at ``url``, patient unless told otherwise: the machine may be busy."""
    return ReplicateProvider(
        SecretStr(TOKEN), url, **{"request_seconds": 10.0, "download_seconds": 10.0} | seconds
    )
