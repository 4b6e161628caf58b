"""The asset check of verdicts: what waits for a person, and what a person has turned down.

It is no partitioned check: a second evaluation of one partition outside of a run breaks Dagster
1.13's storage. The sensor of verdicts evaluates it after each tick that saw some.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

import dagster as dg
from dagster import MetadataValue

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.clock import SystemClock
from asset_pipeline.defs.assets.warehouse import AFTER_A_BATCH
from asset_pipeline.defs.markdown import bullets
from asset_pipeline.defs.resources.ledger import LedgerResource
from asset_pipeline.defs.resources.prompt_library import PromptLibraryResource
from asset_pipeline.ledger.reviews import ClipStanding, Reviews
from asset_pipeline.ledger.service_schema import Verdict

CHECK_NAME = "approved"

_NAMED = 50


def build_approval_check(kind: Kind) -> dg.AssetChecksDefinition:
    """Return the check of one kind's verdicts."""

    @dg.asset_check(
        asset=dg.AssetKey(kind.value),
        name=CHECK_NAME,
        automation_condition=AFTER_A_BATCH,
        description="No current clip is rejected, and every one of a collection with "
        "`require_approval` is approved.",
    )
    def approved(
        ledger: LedgerResource, prompt_library: PromptLibraryResource
    ) -> dg.AssetCheckResult:
        strict = prompt_library.load().library.needing_approval(kind)
        with ledger.open() as book:
            clips = Reviews(book.engine, SystemClock()).standing(kind)
        found = approval_evaluation(kind, clips, strict)
        return dg.AssetCheckResult(
            passed=found.passed,
            severity=found.severity,
            description=found.description,
            metadata=found.metadata,
        )

    return approved


def approval_evaluation(
    kind: Kind, clips: Sequence[ClipStanding], strict: Collection[str]
) -> dg.AssetCheckEvaluation:
    """Return how the clips of a kind stand before people.

    Args:
        kind: The asset's.
        clips: Its current clips.
        strict: Ids of the prompts whose clips have to be approved.
    """
    counts = Counter(clip.verdict for clip in clips)
    rejected = [clip for clip in clips if clip.verdict is Verdict.REJECTED]
    waiting = [
        clip for clip in clips if clip.verdict is Verdict.UNDECIDED and clip.prompt_id in strict
    ]
    lines = [f"{_named(clip)} is rejected: {clip.reason_code or 'no reason'}" for clip in rejected]
    lines += [f"{_named(clip)} waits for a verdict" for clip in waiting]
    return dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey(kind.value),
        check_name=CHECK_NAME,
        passed=not lines,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{counts[Verdict.APPROVED]:,} of {len(clips):,} clips are approved, "
        f"{len(rejected):,} rejected; {len(waiting):,} wait that need it.",
        metadata={
            "approved": MetadataValue.int(counts[Verdict.APPROVED]),
            "rejected": MetadataValue.int(counts[Verdict.REJECTED]),
            "undecided": MetadataValue.int(counts[Verdict.UNDECIDED]),
            "waiting": MetadataValue.int(len(waiting)),
            "flaws": MetadataValue.md(bullets(lines[:_NAMED])),
        },
    )


def _named(clip: ClipStanding) -> str:
    return f"{clip.prompt_id}, variant {clip.variant},"
