"""`prompts prune`: the partitions of prompts that are gone, told apart and taken back."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.cli import _resources as resources
from asset_pipeline.cli._context import open_context, show_problems
from asset_pipeline.cli._output import say, show_table, stderr, stdout, write_json
from asset_pipeline.defs.instance.home import dagster_home
from asset_pipeline.errors import ExitCode

if TYPE_CHECKING:
    from asset_pipeline.defs.gone_prompts import GonePrompts

_SHOWN = 50


def prune_prompts(
    kinds: Sequence[Kind] | None, *, dry_run: bool, sure: bool, as_json: bool
) -> ExitCode:
    """Show the partitions without a prompt, delete them in Dagster, and return the exit code.

    On a terminal it is asked first. Clips, their rows and Dagster's history stay.

    Raises:
        AssetPipelineError: Prompts or Dagster's instance can't be read.
    """
    library = open_context().library
    show_problems(library)
    if not dagster_home().is_dir():
        found: list[GonePrompts] = []
    else:
        found = resources.gone_prompts(library, kinds or list(Kind))
    unsure = [each for each in found if each.ids and each.unreadable]
    gone = [each for each in found if each.ids and not each.unreadable]
    may_ask = sys.stdin.isatty() and sys.stdout.isatty() and not as_json
    if not as_json:
        _show(gone)
    pruned = bool(gone) and not dry_run
    if pruned and not sure:
        # A folder that is not mounted looks like prompts that are gone: nobody deletes unasked.
        pruned = may_ask and typer.confirm(
            "Delete these partitions? Their clips stay.", default=False
        )
        if not may_ask:
            say(stderr(), "Give --yes to delete these partitions in Dagster.", "yellow")
    if pruned:
        resources.forget_prompts(gone)
    if as_json:
        write_json({"pruned": pruned, "gone": [_object(each) for each in gone + unsure]})
    else:
        _show_outcome(gone, pruned=pruned)
    for each in unsure:
        say(
            stderr(),
            f"{len(each.ids):,} {each.kind} partitions have no prompt, but may be of a file that "
            f"can't be read: {', '.join(each.unreadable)}. Correct it, then prune.",
            "yellow",
        )
    return ExitCode.BAD_INPUT if unsure else ExitCode.DONE


def _show(gone: Sequence[GonePrompts]) -> None:
    rows = [
        (
            f"{each.kind}/{prompt_id}",
            "yes" if prompt_id in each.landed else "no",
            f"renamed to {each.renamed[prompt_id]}" if prompt_id in each.renamed else "removed",
        )
        for each in gone
        for prompt_id in each.ids
    ]
    if rows:
        show_table(
            stdout(),
            f"{len(rows):,} partitions of prompts that are gone",
            ["partition", "clips", "its prompt was"],
            rows[:_SHOWN],
        )
    if len(rows) > _SHOWN:
        say(stdout(), f"... and {len(rows) - _SHOWN:,} more: --json lists them all.")


def _show_outcome(gone: Sequence[GonePrompts], *, pruned: bool) -> None:
    count = sum(len(each.ids) for each in gone)
    partitions = f"{count:,} partition{'s' if count != 1 else ''}"
    if pruned:
        say(stdout(), f"{partitions} deleted in Dagster; clips and history stay.", "bold green")
    elif count:
        say(stdout(), "Nothing was deleted.", "bold")
    else:
        say(stdout(), "Every partition has its prompt.", "bold green")


def _object(each: GonePrompts) -> dict[str, object]:
    return {
        "kind": each.kind,
        "prompt_ids": each.ids,
        "renamed": dict(each.renamed),
        "landed": sorted(each.landed),
        "unreadable": each.unreadable,
    }
