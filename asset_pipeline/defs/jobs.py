"""Jobs: the clips of one kind, publishing what they cost, and the ledger's care."""

from datetime import timedelta
from typing import Any

import dagster as dg
from dagster import MetadataValue

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.defs.markdown import bullets
from asset_pipeline.defs.resources.maintenance import MaintenanceResource
from asset_pipeline.defs.run_tags import KIND_TAG
from asset_pipeline.defs.signals import stopped_by_signals
from asset_pipeline.generation.reconciliation.orphans import ProviderSilentError
from asset_pipeline.generation.reconciliation.resume import Resumed, ResumeResult
from asset_pipeline.money import MicroUsd, format_usd

# The audit runs hourly; two days let a weekend's outage pass without a gap on Monday morning if
# somebody looks, and are some thousand predictions to list.
ORPHAN_REACH = timedelta(days=2)

_NAMED = 20

CLIP_JOBS = {
    kind: dg.define_asset_job(
        name=f"{kind}_clips",
        selection=dg.AssetSelection.assets(kind.value).without_checks(),
        tags={KIND_TAG: kind.value},
        description=f"Generate the {kind} clips of the chosen prompts.",
    )
    for kind in Kind
}

PUBLISHED_JOBS = {
    kind: dg.define_asset_job(
        name=f"publish_{kind}_clips",
        selection=dg.AssetSelection.assets(dg.AssetKey(["published", kind.value])).without_checks(),
        # No kind's tag: publishing takes no clip run's place.
        description=f"Copy the {kind} clips of the chosen prompts to where people take them from.",
    )
    for kind in Kind
}

RENDER_JOBS = {
    kind: dg.define_asset_job(
        name=f"render_{kind}_clips",
        selection=dg.AssetSelection.assets(f"{kind}_rendition").without_checks(),
        # No kind's tag: rendering takes no clip run's place.
        description=f"Derive the renditions of the {kind} clips of the chosen prompts.",
    )
    for kind in Kind
}

CHECK_JOBS = {
    kind: dg.define_asset_job(
        name=f"check_{kind}_clips",
        selection=dg.AssetSelection.checks_for_assets(dg.AssetKey(kind.value)),
        description=f"Read the {kind} clips back that landed since the last checks.",
    )
    for kind in Kind
}

COST_REPORT_JOB = dg.define_asset_job(
    name="report_costs",
    selection=dg.AssetSelection.assets("cost_report"),
    description="Report what one UTC day cost, and what the budgets have left.",
)

PUBLISH_JOB = dg.define_asset_job(
    name="publish",
    # All that is published from the ledger at once; a report is of one day.
    selection=dg.AssetSelection.groups("warehouse") - dg.AssetSelection.assets("cost_report"),
    description="Publish the ledger to DuckDB and draw the gallery.",
)


@dg.op(
    description="Proves open intents at the provider, fetches their clips, finishes their payments."
)
async def resume_open_intents(
    context: dg.OpExecutionContext, maintenance: MaintenanceResource
) -> None:
    """Finish what dead processes left, and remove their temporary files."""
    swept = maintenance.sweep()
    async with stopped_by_signals():
        resumed = await maintenance.resume_open_intents(context.run_id)
    for each in resumed:
        if each.result in {ResumeResult.OPEN, ResumeResult.QUESTION}:
            context.log.warning(_line(each))
    shown: dict[str, Any] = {
        result.value: sum(each.result is result for each in resumed) for result in ResumeResult
    }
    shown["swept files"] = swept.files
    shown["intents"] = MetadataValue.md(bullets(map(_line, resumed[:_NAMED])))
    context.add_output_metadata(shown)


@dg.op(description="Derives all balances and states of the ledger again; fails where they differ.")
def audit_ledger(context: dg.OpExecutionContext, maintenance: MaintenanceResource) -> None:
    """Compare the ledger's balances with its entries."""
    report = maintenance.audit_ledger()
    found = [
        f"{each.subject}: {each.rule}: expected {each.expected}, found {each.found}"
        for each in report.mismatches
    ]
    if found:
        raise _disagreement("mismatches in the ledger", found)
    context.add_output_metadata(
        {"budgets": report.budgets, "intents": report.intents, "entries": report.entries}
    )


@dg.op(description="Records predictions that no intent asked for; fails if there is any.")
async def audit_orphans(context: dg.OpExecutionContext, maintenance: MaintenanceResource) -> None:
    """Compare the provider's list with the ledger."""
    try:
        report = await maintenance.audit_orphans(ORPHAN_REACH)
    except ProviderSilentError as error:
        # The next hour's audit looks as far back; an outage is no disagreement.
        context.log.warning("%s Nothing was compared.", error.message)
        return
    found = [
        f"{each.prediction_id} ({each.model}, {each.created_at:%Y-%m-%d %H:%M}): "
        f"{format_usd(each.amount)}, recorded now"
        for each in report.recorded
    ]
    found += [f"{prediction_id}: its model has no price" for prediction_id in report.unpriced]
    found += [
        f"{each.subject}: {each.rule}: expected {each.expected}, found {each.found}"
        for each in report.mismatches
    ]
    if report.gap:
        context.log.warning("The provider did not list everything: %s.", report.gap)
    if found:
        raise _disagreement("things at the provider that the ledger did not know", found)
    context.add_output_metadata(
        {"listed": report.listed, "known": report.known, "running": report.running}
    )


@dg.job(
    name="reconcile",
    description="Finish what dead processes left open. It sends nothing new and spends nothing.",
)
def reconcile_job() -> None:
    """Resume all open intents."""
    resume_open_intents()


@dg.job(
    name="audit_spending",
    description="Compare the ledger with its own entries and with the provider's list; a run that "
    "fails names the differences.",
)
def audit_job() -> None:
    """Audit the ledger, and the provider's list against it."""
    audit_ledger()
    audit_orphans()


def _line(each: Resumed) -> str:
    intent = each.intent
    held = format_usd(MicroUsd(intent.reserved_microusd + intent.charged_microusd))
    reason = f": {each.reason}" if each.reason else ""
    return (
        f"{intent.intent_id} ({intent.kind}/{intent.prompt_id}, {held}) was {intent.state}, "
        f"{each.result}{reason}"
    )


def _disagreement(what: str, found: list[str]) -> dg.Failure:
    named = "; ".join(found[:_NAMED])
    more = f"; and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return dg.Failure(
        f"{len(found)} {what}: {named}{more}",
        metadata={"found": MetadataValue.md(bullets(found))},
        allow_retries=False,
    )
