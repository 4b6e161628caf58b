"""`fsck`: check the store, show what is wrong, and let Dagster know what is lost."""

from __future__ import annotations

import asyncio
import uuid
from typing import Annotated

import typer

from asset_pipeline.cli import _resources as resources
from asset_pipeline.cli._count import counting
from asset_pipeline.cli._ledger import actor
from asset_pipeline.cli._options import (
    AsJson,
)
from asset_pipeline.cli._output import say, show_table, stdout, write_json
from asset_pipeline.clock import SystemClock
from asset_pipeline.custody.fsck import FsckReport
from asset_pipeline.defs.instance.home import dagster_home
from asset_pipeline.errors import ExitCode
from asset_pipeline.ledger.fsck_passes import FsckPass


def fsck(
    *,
    repair: Annotated[
        bool,
        typer.Option(
            "--repair",
            help="Fetch again what the provider still has; count the rest as lost, so that "
            "`generate` makes it again.",
        ),
    ] = False,
    accept_loss: Annotated[
        bool,
        typer.Option(
            "--accept-loss", help="With --repair: believe it even if a tenth of the store is gone."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Hold the store against the ledger, both ways: every object is read and hashed.

    A check that was killed goes on where it was. Its findings are the table fsck_report of the
    warehouse. Exit code 1 if a clip is not whole and could not be mended.
    """
    raise typer.Exit(run_fsck(repair=repair, accept_loss=accept_loss, as_json=as_json))


_SHOWN = 100


def run_fsck(*, repair: bool, accept_loss: bool, as_json: bool) -> ExitCode:
    """Check the store, print what was found and return the exit code.

    Raises:
        AssetPipelineError: Ledger or store can't be read, or too much is missing to believe it.
    """
    custody = resources.custody()
    with counting("objects", SystemClock()) as update:

        def report(at: FsckPass, total: int) -> None:
            update(min(at.objects, total), total, f"{at.bytes / 1e6:,.1f} MB")

        found = asyncio.run(
            custody.check(
                run_id=f"fsck-{uuid.uuid4().hex}",
                actor=actor(),
                repair=repair,
                report=report,
                accept_loss=accept_loss,
            )
        )
    custody.publish()
    if repair and dagster_home().is_dir():
        resources.show_lost(custody.lost_prompts())
    if as_json:
        _write(found)
    else:
        _show(found, repair=repair)
    return ExitCode.SOME_FAILED if found.flaws else ExitCode.DONE


def _show(found: FsckReport, *, repair: bool) -> None:
    console = stdout()
    if found.findings:
        show_table(
            console,
            f"{len(found.findings):,} differences between ledger and store",
            ["object", "prompt", "problem", "expected", "found", "outcome"],
            [
                (
                    each.object_key,
                    "" if each.kind is None else f"{each.kind}/{each.prompt_id}, {each.variant}",
                    each.problem,
                    each.expected,
                    each.found,
                    each.outcome,
                )
                for each in found.findings[:_SHOWN]
            ],
        )
        if len(found.findings) > _SHOWN:
            say(console, "All of them: `asset-pipeline sql 'FROM fsck_report'`.")
    checked = found.checked
    flaws = len(found.flaws)
    verdict = f"{flaws:,} are not whole." if flaws else "All are whole."
    say(
        console,
        f"{checked.objects:,} objects, {checked.bytes / 1e6:,.1f} MB read. {verdict}",
        "bold red" if flaws else "bold green",
    )
    if found.lost:
        say(
            console,
            f"{len(found.lost):,} clips are lost. Their prompts show as failed; "
            "`asset-pipeline generate` makes them again, and pays for it.",
            "yellow",
        )
    elif flaws and not repair:
        say(console, "`asset-pipeline fsck --repair` mends what can be mended.", "yellow")


def _write(found: FsckReport) -> None:
    checked = found.checked
    write_json(
        {
            "pass_id": checked.pass_id,
            "objects": checked.objects,
            "bytes": checked.bytes,
            "flaws": len(found.flaws),
            "lost_clips": [clip.clip_id for clip in found.lost],
            "findings": [
                {
                    "object_key": each.object_key,
                    "object_uri": each.object_uri,
                    "clip_id": each.clip_id,
                    "kind": each.kind,
                    "prompt_id": each.prompt_id,
                    "variant": each.variant,
                    "problem": each.problem,
                    "expected": each.expected,
                    "found": each.found,
                    "outcome": each.outcome,
                }
                for each in found.findings
            ],
        }
    )
