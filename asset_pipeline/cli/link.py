"""`link`: a link to a stored clip, for whoever is meant to have it."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer

from asset_pipeline.cli import _resources as resources
from asset_pipeline.cli._ledger import clip_fields, open_custody
from asset_pipeline.cli._options import AsJson
from asset_pipeline.cli._output import say, say_link, stdout, write_json
from asset_pipeline.clock import SystemClock
from asset_pipeline.custody.links import link_to, signs_links
from asset_pipeline.ledger.records import Clip
from asset_pipeline.stores.protocol import LONGEST_LINK


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
    ttl = LONGEST_LINK if hours is None else timedelta(hours=hours)
    store = resources.store().open()
    with open_custody() as custody:
        clips = custody.find(clip)
        custody.touch(each.clip_id for each in clips)
    signed = signs_links(store)
    now = SystemClock().now()
    documents: list[dict[str, object]] = []
    for each in clips:
        made = link_to(store, each, now, ttl) if signed else None
        documents.append(
            clip_fields(each)
            | {
                "object_uri": store.uri(each.object_key),
                "link": None if made is None else made.url,
                "expires_at": None if made is None else made.expires_at,
            }
        )
    if as_json:
        write_json(documents, whole_links=True)
        return
    console = stdout()
    for each, document in zip(clips, documents, strict=True):
        until = document["expires_at"]
        holds = "" if until is None else f", until {until:%Y-%m-%d %H:%M} UTC"
        say(console, f"{_who(each)}{holds}:", "bold")
        say_link(console, document["link"] or document["object_uri"])
    if not signed:
        say(console, "The store is a folder: its files need no link, and have none to hand on.")


def _who(clip: Clip) -> str:
    return f"{clip.kind}/{clip.prompt_id}, variant {clip.variant}"
