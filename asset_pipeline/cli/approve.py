"""`approve` and `unapprove`: which clips are kept whatever the retention rules say."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import typer

from asset_pipeline.cli._ledger import actor, clip_fields, open_custody
from asset_pipeline.cli._options import AsJson
from asset_pipeline.cli._output import say, stdout, write_json

Clips = Annotated[
    list[str],
    typer.Argument(
        metavar="CLIP...", help="Prompt ids (their current clips), kind/prompt-id, or clip ids."
    ),
]


def approve(
    *,
    clips: Clips,
    reason: Annotated[str, typer.Option("--reason", help="Why, for the ledger.")] = "",
    as_json: AsJson = False,
) -> None:
    """Keep clips for good: no retention rule deletes them."""
    set_approval(clips, reason, approved=True, as_json=as_json)


def unapprove(
    *,
    clips: Clips,
    reason: Annotated[str, typer.Option("--reason", help="Why, for the ledger.")] = "",
    as_json: AsJson = False,
) -> None:
    """Leave clips to the retention rules again."""
    set_approval(clips, reason, approved=False, as_json=as_json)


def set_approval(names: Iterable[str], reason: str, *, approved: bool, as_json: bool) -> None:
    """Approve clips, or take it back.

    Raises:
        AssetPipelineError: One of the names means no clip; nothing was changed.
    """
    with open_custody() as custody:
        clips = [clip for name in names for clip in custody.find(name)]
        change = custody.approve if approved else custody.unapprove
        changed = change(clips, actor=actor(), reason=reason)
    if as_json:
        write_json({"changed": changed, "clips": [clip_fields(clip) for clip in clips]})
        return
    state = "approved: retention keeps them" if approved else "left to the retention rules"
    say(stdout(), f"{len(clips):,} clips are {state} ({changed:,} were not before).", "bold")
