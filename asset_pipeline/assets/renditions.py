"""Renditions: smaller pictures of the current image clips, one partition a prompt."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
from dagster import MetadataValue

from asset_pipeline.assets.partitions import PARTITIONS
from asset_pipeline.catalog.kind import Kind
from asset_pipeline.ledger.ledger import Ledger
from asset_pipeline.ledger.records import Clip, Parent
from asset_pipeline.media.preview import RenditionFormat, render_rendition
from asset_pipeline.resources.ledger import LedgerResource
from asset_pipeline.resources.store import StoreResource
from asset_pipeline.stores.protocol import Store

SIZES = {"thumbnail": 256, "web": 1024}
"""Name and longest side in pixels of each rendition."""


@dg.asset(
    name="image_rendition",
    partitions_def=PARTITIONS[Kind.IMAGE],
    deps=[dg.AssetKey(Kind.IMAGE.value)],
    group_name="renditions",
    kinds={"pillow", "image"},
    output_required=False,
    # Another policy than the clips': the daemon then starts this for exactly what landed.
    backfill_policy=dg.BackfillPolicy.single_run(),
    automation_condition=dg.AutomationCondition.eager(),
    description="Thumbnail and web size of each image clip, as webp, without metadata.",
)
def image_rendition(
    context: dg.AssetExecutionContext, ledger: LedgerResource, store: StoreResource
) -> Iterator[dg.MaterializeResult[Any]]:
    """Render the current clips of the run's partitions."""
    clip_store = store.open()
    missing: list[str] = []
    with ledger.open() as book, tempfile.TemporaryDirectory() as folder:
        for prompt_id in context.partition_keys:
            clips = book.current_clips_of(Kind.IMAGE, prompt_id)
            if not clips:
                missing.append(prompt_id)
                continue
            uris = [uri for clip in clips for uri in _render(book, clip_store, clip, Path(folder))]
            metadata = {"renditions": MetadataValue.json(uris)}
            if context.has_partition_key:
                yield dg.MaterializeResult(metadata=metadata)
            else:
                context.log_event(
                    dg.AssetMaterialization(
                        context.asset_key, partition=prompt_id, metadata=metadata
                    )
                )
    if missing:
        raise dg.Failure(
            f"No clip to render for {', '.join(missing[:20])}.",
            metadata={"missing": MetadataValue.int(len(missing))},
            allow_retries=False,
        )


def _render(ledger: Ledger, store: Store, clip: Clip, folder: Path) -> Iterator[str]:
    original = folder / "original"
    store.get(clip.object_key, original)
    for name, side in SIZES.items():
        target = folder / f"{name}.webp"
        info = render_rendition(original, target, max_side=side, format=RenditionFormat.WEBP)
        key = f"rendition/{info.sha256[:2]}/{info.sha256}.{info.extension}"
        stored = store.put(key, target, sha256=info.sha256, content_type=info.mime)
        parent = Parent("clip", clip.object_uri, clip.sha256, name)
        ledger.add_lineage(stored.uri, info.sha256, [parent], run_id=clip.run_id)
        yield stored.uri
