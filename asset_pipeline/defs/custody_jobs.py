"""Custody jobs: the integrity check of the store, and retention."""

import time
from collections.abc import Callable

import dagster as dg
from dagster import MetadataValue
from pydantic import Field

from asset_pipeline.custody.deleter import Deleted
from asset_pipeline.defs.lost_clips import FSCK_JOB, plan_again, shown_as_landed
from asset_pipeline.defs.markdown import bullets
from asset_pipeline.defs.resources.custody import CustodyResource
from asset_pipeline.ledger.fsck_passes import FsckPass

_NAMED = 20
_LINE_SECONDS = 5.0


class RetentionConfig(dg.Config):
    """The config of the retention job."""

    delete: bool = Field(
        default=False, description="Delete what the rules let go; otherwise it is only listed."
    )


@dg.op(
    description="Reads every stored clip back, compares it with the ledger both ways, fetches "
    "again what the provider still has and counts the rest as lost; fails if anything is not whole."
)
async def check_store(context: dg.OpExecutionContext, custody: CustodyResource) -> None:
    """Compare the store with the ledger; continue where a killed run stopped."""
    say = _paced(context.log.info)

    def report(at: FsckPass, total: int) -> None:
        say(f"{at.objects:,} of {total:,} objects read, {at.bytes:,} bytes")

    checked = await custody.check(
        run_id=context.run_id, actor=f"run {context.run_id}", repair=True, report=report
    )
    custody.publish()
    # Not only what this run lost: an earlier one may have been killed before it could tell.
    lost = shown_as_landed(context.instance, custody.lost_prompts())
    plan_again(context.instance, context.run, lost)
    lines = [
        f"{each.kind}/{each.prompt_id}, variant {each.variant}: {each.problem}, {each.outcome}"
        for each in checked.flaws
    ]
    extras = len(checked.findings) - len(checked.flaws)
    if lines or lost:
        named = "; ".join(lines[:_NAMED]) or "see the failed partitions"
        raise dg.Failure(
            f"{len(lines):,} of {checked.checked.objects:,} stored files are not whole: {named}",
            metadata={
                "flaws": MetadataValue.md(bullets(lines)),
                "what_to_do": MetadataValue.text(
                    "Lost clips show as failed partitions; `asset-pipeline generate --failed`, or "
                    "a backfill of failed partitions, pays for them again."
                ),
            },
            allow_retries=False,
        )
    context.add_output_metadata(
        {"objects": checked.checked.objects, "bytes": checked.checked.bytes, "others": extras}
    )


@dg.op(
    description="Works out by retention.yaml what may go, and deletes it if told so. The current "
    "clip of a live prompt and what is approved are kept whatever the rules say."
)
def apply_retention(
    context: dg.OpExecutionContext, config: RetentionConfig, custody: CustodyResource
) -> None:
    """Apply the rules; a dry run unless told otherwise."""
    say = _paced(context.log.info)

    def report(so_far: Deleted) -> None:
        say(f"{so_far.objects:,} objects deleted, {so_far.bytes:,} bytes")

    retained = custody.retain(actor=f"run {context.run_id}", delete=config.delete, report=report)
    deleted = retained.deleted
    if config.delete:
        custody.publish()
    if deleted.failed:
        raise dg.Failure(
            f"The store did not delete {len(deleted.failed):,} objects: "
            f"{', '.join(deleted.failed[:_NAMED])}. The next run tries again."
        )
    context.add_output_metadata(
        {
            "dry_run": not config.delete,
            "may_go": len(retained.choice.doomed),
            "may_go_bytes": retained.choice.doomed_bytes,
            "deleted": deleted.objects,
            "deleted_bytes": deleted.bytes,
            "held_bytes": retained.choice.held_bytes,
        }
    )


@dg.job(
    name=FSCK_JOB,
    description="Compare the store with the ledger, repair what can be repaired, and show "
    "what is lost as failed partitions. It spends nothing.",
)
def fsck_job() -> None:
    """Check the store."""
    check_store()


@dg.job(
    name="retention",
    description="Delete stored clips by retention.yaml; a dry run unless its config says delete.",
)
def retention_job() -> None:
    """Apply the rules."""
    apply_retention()


def _paced(log: Callable[[str], None]) -> Callable[[str], None]:
    """Return a log that takes a line every few seconds and drops the others."""
    said = [time.monotonic()]

    def say(line: str) -> None:
        now = time.monotonic()
        if now - said[0] >= _LINE_SECONDS:
            said[0] = now
            log(line)

    return say
