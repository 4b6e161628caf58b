"""`fsck`, `retention`, `export`, `link`, `approve`: the flags; the views beside do the work."""

from __future__ import annotations

from typing import Annotated

import typer

from asset_pipeline.cli._options import (
    AsJson,
    Collections,
    Everything,
    Failed,
    Kinds,
    Limit,
    Missing,
    PromptIds,
    Stale,
    Tags,
)
from asset_pipeline.cli._selection import PromptSelection

Clips = Annotated[
    list[str],
    typer.Argument(
        metavar="CLIP...", help="Prompt ids (their current clips), kind/prompt-id, or clip ids."
    ),
]


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
    # The ledger, the store and Dagster: `--help` does not wait for them.
    from asset_pipeline.cli.fsck import run_fsck  # noqa: PLC0415

    raise typer.Exit(run_fsck(repair=repair, accept_loss=accept_loss, as_json=as_json))


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
    from asset_pipeline.cli.retention import run_retention  # noqa: PLC0415 -- as above

    raise typer.Exit(run_retention(delete=delete, accept_loss=accept_loss, as_json=as_json))


def export(
    *,
    to: Annotated[
        str, typer.Option("--to", metavar="PLACE", help="A folder, s3://bucket/… or gs://bucket/….")
    ],
    template: Annotated[
        str | None,
        typer.Option(
            "--template", help="Names of the files; {collection}/{prompt_id}-{variant}.{ext}."
        ),
    ] = None,
    kind: Kinds = None,
    collection: Collections = None,
    prompt: PromptIds = None,
    tag: Tags = None,
    missing: Missing = False,
    failed: Failed = False,
    stale: Stale = False,
    everything: Everything = False,
    limit: Limit = None,
    as_json: AsJson = False,
) -> None:
    """Copy current clips under human names, with manifest.json, manifest.csv and SHA256SUMS.

    All prompts are taken if none are named. A second export writes only what has changed. No file
    is replaced that something else put there, or that somebody has worked on since it was exported.
    Exit code 1 if a clip could not be copied.
    """
    from asset_pipeline.cli.export import run_export  # noqa: PLC0415 -- as above

    choice = PromptSelection(
        kinds=kind,
        collections=collection,
        prompt_ids=prompt,
        tags=tag,
        missing=missing,
        failed=failed,
        stale=stale,
        everything=everything or not (missing or failed or stale),
        limit=limit,
    )
    raise typer.Exit(run_export(choice, to, template, as_json=as_json))


def link(
    *,
    clip: Annotated[
        str, typer.Argument(metavar="CLIP", help="A prompt id, kind/prompt-id, or clip id.")
    ],
    hours: Annotated[
        int | None,
        typer.Option("--hours", min=1, max=168, help="How long it holds; seven days if not given."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print a link to a stored clip, good for anybody until it expires."""
    from asset_pipeline.cli.clips_view import show_links  # noqa: PLC0415 -- as above

    show_links(clip, hours, as_json=as_json)


def approve(
    *,
    clips: Clips,
    reason: Annotated[str, typer.Option("--reason", help="Why, for the ledger.")] = "",
    as_json: AsJson = False,
) -> None:
    """Keep clips for good: no retention rule deletes them."""
    from asset_pipeline.cli.clips_view import set_approval  # noqa: PLC0415 -- as above

    set_approval(clips, reason, approved=True, as_json=as_json)


def unapprove(
    *,
    clips: Clips,
    reason: Annotated[str, typer.Option("--reason", help="Why, for the ledger.")] = "",
    as_json: AsJson = False,
) -> None:
    """Leave clips to the retention rules again."""
    from asset_pipeline.cli.clips_view import set_approval  # noqa: PLC0415 -- as above

    set_approval(clips, reason, approved=False, as_json=as_json)
