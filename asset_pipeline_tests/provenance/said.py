"""What the tests let files say, and files to say it."""

from __future__ import annotations

from datetime import UTC, datetime

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.ledger.provenance import Payment
from asset_pipeline.ledger.records import Clip
from asset_pipeline.money import MicroUsd
from asset_pipeline.prompts.provenance import ProvenancePolicy
from asset_pipeline.provenance.statement import Statement

EVERYTHING = ProvenancePolicy(redact=[])
TEXT = 'Ein Löwe <&> "quoted" 獅子 in fog'


def clip(kind: Kind = Kind.IMAGE, sha256: str = "c" * 64) -> Clip:
    """A clip that no ledger knows."""
    return Clip(
        clip_id="1" * 32,
        kind=kind,
        prompt_id="lion",
        collection="kit",
        variant=1,
        model="black-forest-labs/flux-schnell",
        generation_hash="9" * 64,
        intent_id="2" * 32,
        prediction_id="p" * 26,
        run_id="run",
        object_key="image/cc/c.webp",
        object_uri="file:///c.webp",
        sha256=sha256,
        bytes=1,
        mime="image/webp",
        width=96,
        height=64,
        duration_seconds=None,
        cost_microusd=MicroUsd(3000),
        created_at=datetime(2026, 11, 28, tzinfo=UTC),
        superseded_at=None,
        provider="sandbox",
    )


def statement(
    policy: ProvenancePolicy = EVERYTHING, *, kind: Kind = Kind.IMAGE, sha256: str = "c" * 64
) -> Statement:
    """What is said of a lion."""
    payment = Payment(TEXT, 42, {"num_inference_steps": 4, "prompt": TEXT}, MicroUsd(3000))
    return Statement(clip(kind, sha256), payment, policy)
