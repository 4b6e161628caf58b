"""The asset checks of clips: one pass over what landed since the last, in a run of its own.

They are no partitioned checks: Dagster 1.13 previews those, and an evaluation's event costs 4 ms
of CPU where looking at a picture costs 23, so seven checks a partition would take longer than the
look. What is wrong is named by its prompt and variant instead.
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg
from dagster import DagsterInstance, MetadataValue
from pydantic import Field

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.clock import SystemClock
from asset_pipeline.defs.assets.warehouse import AFTER_A_BATCH
from asset_pipeline.defs.checks.agreement import Agreement, compare
from asset_pipeline.defs.checks.inspection import CheckName, Inspection, Inspector
from asset_pipeline.defs.checks.progress import STATE, Progress
from asset_pipeline.defs.markdown import bullets, shown
from asset_pipeline.defs.resources.ledger import LedgerResource
from asset_pipeline.defs.resources.prompt_library import PromptLibraryResource
from asset_pipeline.defs.resources.store import StoreResource
from asset_pipeline.ledger.clip_inspection import ClipInspection
from asset_pipeline.media.preview_cache import PreviewCache
from asset_pipeline.settings import load_settings

AGREE = "ledger_and_event_log_agree"

# Some minutes of work. What is more waits for the next evaluation, the oldest first.
_MOST = 20_000
_NAMED = 50
_HISTORY = 20

_ERROR, _WARN = dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN

# An error is a clip that was paid for and is not to be had; a warning is one to look at.
_SEVERITIES = {
    CheckName.WHOLE: _ERROR,
    CheckName.DECODES: _ERROR,
    CheckName.SHOWS: _ERROR,
    CheckName.SIZE: _WARN,
    CheckName.COST: _WARN,
    CheckName.DIFFER: _WARN,
}
_DESCRIPTIONS = {
    CheckName.WHOLE: "The store has each clip, with the length and SHA-256 that were paid for.",
    CheckName.DECODES: "Each clip decodes from its first to its last byte.",
    CheckName.SHOWS: "No picture is blank and no sound silent.",
    CheckName.SIZE: "Size, aspect ratio and length are what the inputs asked for.",
    CheckName.COST: "Each clip cost what its model's price allows.",
    CheckName.DIFFER: "No two variants of a prompt show the same picture.",
}


class ClipChecksConfig(dg.Config):
    """The config of the checks."""

    everything: bool = Field(
        default=False,
        description=f"Read all current clips back, not only those that landed since the last "
        f"evaluation and those it found wrong; {_MOST:,} at the most, the oldest first.",
    )


def build_clip_checks(kind: Kind) -> dg.AssetChecksDefinition:
    """Return the checks of one kind's clips; they run together, after a batch."""
    names = [name for name in CheckName if kind is Kind.IMAGE or name is not CheckName.DIFFER]
    described = {name.value: _DESCRIPTIONS[name] for name in names}
    described[AGREE] = "The event log shows the clips that the ledger holds, of every prompt."

    @dg.multi_asset_check(
        name=f"{kind}_clip_checks",
        specs=[
            dg.AssetCheckSpec(
                name,
                asset=dg.AssetKey(kind.value),
                description=description,
                automation_condition=AFTER_A_BATCH,
            )
            for name, description in described.items()
        ],
        description=f"Reads back the {kind} clips that landed since the last evaluation, once, "
        "for all checks.",
        can_subset=True,  # without it the UI has no button to execute them
    )
    def clip_checks(
        context: dg.AssetCheckExecutionContext,
        config: ClipChecksConfig,
        ledger: LedgerResource,
        store: StoreResource,
        prompt_library: PromptLibraryResource,
    ) -> Iterator[dg.AssetCheckResult]:
        settings, clock = load_settings(), SystemClock()
        known = _last(context.instance, kind)
        last = Progress() if config.everything else known
        with ledger.open() as book:
            reading = ClipInspection(book.engine, clock)
            due = last.still_due(reading.due(kind, last.since, last.again, _MOST))
            inspector = Inspector(
                store.open(),
                prompt_library.load().catalog,
                PreviewCache(settings.previews_dir),
                settings.max_images_decoded,
            )
            inspection = inspector.inspect(due, reading)
            agreement = compare(context.instance, reading, kind, clock.now())
        selected = {key.name for key in context.selected_asset_check_keys}
        # A clip that only some checks have seen is still due for the others.
        reached = last.after(due, inspection) if selected == described.keys() else known
        state = {STATE: MetadataValue.text(reached.written())}
        for name in names:
            if name.value in selected:
                yield _result(name, inspection, state if name is CheckName.WHOLE else {})
        if AGREE in selected:
            yield _agreement_result(agreement)

    return clip_checks


def _result(name: CheckName, inspection: Inspection, state: dict[str, Any]) -> dg.AssetCheckResult:
    count, clips = inspection.counts[name], inspection.clips
    flaws = [str(flaw) for flaw in inspection.of(name)]
    return dg.AssetCheckResult(
        check_name=name.value,
        passed=not count,
        severity=_SEVERITIES[name],
        description=f"{clips - count:,} of {clips:,} clips that were looked at are so."
        + (f" {shown(flaws[0])}" if flaws else ""),
        metadata={
            "looked_at": MetadataValue.int(clips),
            "flawed": MetadataValue.int(count),
            "flaws": MetadataValue.md(bullets(flaws[:_NAMED])),
            **state,
        },
    )


def _agreement_result(agreement: Agreement) -> dg.AssetCheckResult:
    differing, untold = agreement.differing, agreement.untold
    lines = [f"{prompt_id}: shows other clips than the ledger has" for prompt_id in differing]
    lines += [f"{prompt_id}: materialize it to show its stored clips" for prompt_id in untold]
    return dg.AssetCheckResult(
        check_name=AGREE,
        passed=not differing and not untold,
        severity=_ERROR if differing else _WARN,
        description=f"{agreement.compared:,} prompts compared; {len(differing):,} differ, of "
        f"{len(untold):,} Dagster was never told.",
        metadata={
            "compared": MetadataValue.int(agreement.compared),
            "differing": MetadataValue.int(len(differing)),
            "untold": MetadataValue.int(len(untold)),
            "flaws": MetadataValue.md(bullets(lines[:_NAMED])),
        },
    )


def _last(instance: DagsterInstance, kind: Kind) -> Progress:
    """Return how far the last evaluation came."""
    key = dg.AssetCheckKey(dg.AssetKey(kind.value), CheckName.WHOLE.value)
    history = instance.event_log_storage.get_asset_check_execution_history(key, limit=_HISTORY)
    for record in history:
        # One that is planned, as this one is, has no metadata.
        metadata = getattr(record.evaluation, "metadata", None)
        if metadata and STATE in metadata:
            return Progress.read(str(metadata[STATE].value))
    return Progress()
