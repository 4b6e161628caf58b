"""`retention`: show what may go, by rule, and delete it if told so."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated

import typer

from asset_pipeline.cli import _resources as resources
from asset_pipeline.cli._count import counting
from asset_pipeline.cli._ledger import actor
from asset_pipeline.cli._options import (
    AsJson,
)
from asset_pipeline.cli._output import say, show_table, stderr, stdout, write_json
from asset_pipeline.clock import SystemClock
from asset_pipeline.custody.deleter import Deleted
from asset_pipeline.errors import ExitCode

if TYPE_CHECKING:
    from asset_pipeline.defs.resources.custody import Retained


def retention(
    *,
    delete: Annotated[
        bool, typer.Option("--delete", help="Do it. Without this nothing is deleted.")
    ] = False,
    accept_loss: Annotated[
        bool,
        typer.Option(
            "--accept-loss",
            help="With --delete: delete current clips though many prompts, or all of a "
            "collection, have left the prompt files.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show what retention.yaml lets go, and delete it if told so.

    The current clip of a live prompt, and what is approved, are kept whatever the rules say. If a
    tenth of the current clips would go, or a whole collection has left the prompt files, nothing is
    deleted until --accept-loss says that it is meant so.
    """
    raise typer.Exit(run_retention(delete=delete, accept_loss=accept_loss, as_json=as_json))


_SHOWN = 50


def run_retention(*, delete: bool, accept_loss: bool, as_json: bool) -> ExitCode:
    """Apply the rules and return the exit code.

    Raises:
        AssetPipelineError: The rules are wrong, or prompts, ledger or store can't be read, or so
            many current clips would go that it is rather the prompt files that are away.
    """
    custody = resources.custody()
    with counting("objects deleted", SystemClock()) as update:

        def report(so_far: Deleted) -> None:
            update(so_far.objects, so_far.objects, f"{so_far.bytes / 1e6:,.1f} MB")

        retained = custody.retain(
            actor=actor(), delete=delete, report=report, accept_loss=accept_loss
        )
    if delete:
        custody.publish()
    if retained.unread:
        say(
            stderr(),
            f"{retained.unread:,} prompts can't be read, so every current clip is kept. "
            "Run `asset-pipeline prompts validate`.",
            "yellow",
        )
    if retained.leaving.is_suspicious and not delete:
        say(stderr(), f"{retained.leaving} {retained.leaving.advice}", "yellow")
    if as_json:
        _write(retained, delete=delete)
    else:
        _show(retained, delete=delete)
    return ExitCode.SOME_FAILED if retained.deleted.failed else ExitCode.DONE


def _show(retained: Retained, *, delete: bool) -> None:
    console = stdout()
    choice = retained.choice
    counts: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    for each in choice.doomed:
        counts[each.rule] += 1
        sizes[each.rule] += each.bytes
    if counts:
        show_table(
            console,
            "By rule",
            ["rule", "objects", "MB"],
            [(rule, f"{count:,}", f"{sizes[rule] / 1e6:,.1f}") for rule, count in counts.items()],
            numbers=["objects", "MB"],
        )
        show_table(
            console,
            "The first of them",
            ["object", "clip of", "rule"],
            [
                (
                    each.object_key,
                    f"{each.clips[0].kind}/{each.clips[0].prompt_id}, {each.clips[0].variant}",
                    each.rule,
                )
                for each in choice.doomed[:_SHOWN]
            ],
        )
    if choice.over_bytes:
        say(
            console,
            f"{choice.over_bytes / 1e6:,.1f} MB are over max_total_gb and protected.",
            "yellow",
        )
    held = f"of {choice.held_bytes / 1e6:,.1f} MB stored"
    if not delete:
        say(
            console,
            f"{len(choice.doomed):,} objects, {choice.doomed_bytes / 1e6:,.1f} MB {held}, may go. "
            "Nothing was deleted: --delete does it.",
            "bold",
        )
        return
    deleted = retained.deleted
    say(
        console,
        f"{deleted.objects:,} objects, {deleted.bytes / 1e6:,.1f} MB {held}, deleted "
        f"with {deleted.renditions:,} renditions; {deleted.spared:,} spared, "
        f"{len(deleted.failed):,} failed.",
        "bold red" if deleted.failed else "bold green",
    )


def _write(retained: Retained, *, delete: bool) -> None:
    choice, deleted = retained.choice, retained.deleted
    write_json(
        {
            "dry_run": not delete,
            "held_bytes": choice.held_bytes,
            "may_go_bytes": choice.doomed_bytes,
            "over_bytes": choice.over_bytes,
            "current_clips_that_may_go": retained.leaving.clips,
            "deleted": deleted.objects,
            "deleted_bytes": deleted.bytes,
            "deleted_renditions": deleted.renditions,
            "spared": deleted.spared,
            "failed": list(deleted.failed),
            "may_go": [
                {
                    "object_key": each.object_key,
                    "bytes": each.bytes,
                    "rule": each.rule,
                    "clip_ids": [clip.clip_id for clip in each.clips],
                }
                for each in choice.doomed
            ],
        }
    )
