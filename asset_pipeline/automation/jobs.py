"""Jobs: the clips of one kind, and publishing what they cost."""

from __future__ import annotations

import dagster as dg

from asset_pipeline.catalog.kind import Kind

CLIP_JOBS = {
    kind: dg.define_asset_job(
        name=f"{kind}_clips",
        selection=dg.AssetSelection.assets(kind.value).without_checks(),
        description=f"Generate the {kind} clips of the chosen prompts.",
    )
    for kind in Kind
}

PUBLISH_JOB = dg.define_asset_job(
    name="publish",
    selection=dg.AssetSelection.groups("warehouse"),
    description="Publish the ledger to DuckDB and draw the gallery.",
)
