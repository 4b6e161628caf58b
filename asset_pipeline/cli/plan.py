"""`plan`: the flags; what it does is in :mod:`asset_pipeline.cli.plan_view`."""

from __future__ import annotations

from asset_pipeline.cli._options import (
    AsJson,
    Collections,
    Everything,
    Failed,
    Kinds,
    Limit,
    MaxUsd,
    Missing,
    PromptIds,
    Stale,
    Tags,
)
from asset_pipeline.cli._selection import PromptSelection


def plan(
    *,
    kind: Kinds = None,
    collection: Collections = None,
    prompt: PromptIds = None,
    tag: Tags = None,
    missing: Missing = False,
    failed: Failed = False,
    stale: Stale = False,
    everything: Everything = False,
    limit: Limit = None,
    max_usd: MaxUsd = None,
    as_json: AsJson = False,
) -> None:
    """Show what `generate` with the same flags would make and at most cost. Nothing is sent."""
    # Prompts, catalog and ledger: `--help` does not wait for them.
    from asset_pipeline.cli._amounts import read_amount  # noqa: PLC0415
    from asset_pipeline.cli.plan_view import show_plan  # noqa: PLC0415

    choice = PromptSelection(
        kinds=kind,
        collections=collection,
        prompt_ids=prompt,
        tags=tag,
        missing=missing,
        failed=failed,
        stale=stale,
        everything=everything,
        limit=limit,
    )
    cap = None if max_usd is None else read_amount("--max-usd", max_usd)
    show_plan(choice, as_json=as_json, max_usd=cap)
