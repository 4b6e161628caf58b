"""Asset checks: what the ledger says is stored is read back and decoded again."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
from dagster import MetadataValue

from asset_pipeline.assets.warehouse import AFTER_A_BATCH
from asset_pipeline.catalog.kind import Kind
from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.ledger.records import Clip
from asset_pipeline.media.probe import verify
from asset_pipeline.resources.ledger import LedgerResource
from asset_pipeline.resources.store import StoreResource
from asset_pipeline.stores.protocol import Store

# Decoding takes 10 to 30 ms a clip: a check reads back the newest, a minute's worth at the most.
_NEWEST = 2000
_NAMED = 20


def build_stored_file_check(kind: Kind) -> dg.AssetChecksDefinition:
    """Return the check that a kind's newest clips are whole in the store."""

    @dg.asset_check(
        asset=dg.AssetKey(kind.value),
        name="stored_files_are_whole",
        description=f"Reads the newest {_NEWEST:,} current {kind} clips back from the store and "
        "holds size, SHA-256 and a full decode against the ledger.",
        automation_condition=AFTER_A_BATCH,
    )
    def stored_files_are_whole(ledger: LedgerResource, store: StoreResource) -> dg.AssetCheckResult:
        with ledger.open() as book:
            clips = [clip for clip in book.current_clips() if clip.kind is kind]
        newest = sorted(clips, key=lambda clip: clip.created_at, reverse=True)[:_NEWEST]
        flaws = list(_flaws(newest, store.open()))
        return dg.AssetCheckResult(
            passed=not flaws,
            severity=dg.AssetCheckSeverity.ERROR,
            description=f"{len(newest) - len(flaws)} of {len(newest)} clips are whole.",
            metadata={
                "read_back": MetadataValue.int(len(newest)),
                "flawed": MetadataValue.int(len(flaws)),
                "flaws": MetadataValue.md("\n".join(f"- {flaw}" for flaw in flaws[:_NAMED])),
            },
        )

    return stored_files_are_whole


def _flaws(clips: list[Clip], store: Store) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "clip"
        for clip in clips:
            try:
                store.get(clip.object_key, target)
                info = verify(target, clip.kind)
            except AssetPipelineError as error:
                yield f"{clip.prompt_id}, variant {clip.variant}: {error.message}"
                continue
            if (info.sha256, info.bytes) != (clip.sha256, clip.bytes):
                yield f"{clip.prompt_id}, variant {clip.variant}: it is not the file paid for."
