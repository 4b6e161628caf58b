"""What `link`, `approve` and `unapprove` do: find clips by their names, and act on them."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from datetime import timedelta

from asset_pipeline.cli._actor import actor
from asset_pipeline.cli._output import say, say_link, stdout, write_json
from asset_pipeline.clock import SystemClock
from asset_pipeline.custody.links import link_to, signs_links
from asset_pipeline.defs.resources.store import StoreResource
from asset_pipeline.ledger.custody import CustodyRepository
from asset_pipeline.ledger.provider_ledger import open_own_engine
from asset_pipeline.ledger.records import Clip
from asset_pipeline.settings import load_settings
from asset_pipeline.stores.protocol import LONGEST_LINK


def show_links(name: str, hours: int | None, *, as_json: bool) -> None:
    """Print a link to each clip that a name means.

    Raises:
        AssetPipelineError: There is no such clip, or the store gives no links.
    """
    ttl = LONGEST_LINK if hours is None else timedelta(hours=hours)
    store = StoreResource().open()
    with _book() as book:
        clips = book.find(name)
        book.touch(clip.clip_id for clip in clips)
    signed = signs_links(store)
    now = SystemClock().now()
    documents: list[dict[str, object]] = []
    for clip in clips:
        made = link_to(store, clip, now, ttl) if signed else None
        documents.append(
            _named(clip)
            | {
                "object_uri": store.uri(clip.object_key),
                "link": None if made is None else made.url,
                "expires_at": None if made is None else made.expires_at,
            }
        )
    if as_json:
        write_json(documents, whole_links=True)
        return
    console = stdout()
    for clip, document in zip(clips, documents, strict=True):
        until = document["expires_at"]
        holds = "" if until is None else f", until {until:%Y-%m-%d %H:%M} UTC"
        say(console, f"{_who(clip)}{holds}:", "bold")
        say_link(console, document["link"] or document["object_uri"])
    if not signed:
        say(console, "The store is a folder: its files need no link, and have none to hand on.")


def set_approval(names: Iterable[str], reason: str, *, approved: bool, as_json: bool) -> None:
    """Approve clips, or take it back.

    Raises:
        AssetPipelineError: One of the names means no clip; nothing was changed.
    """
    with _book() as book:
        clips = [clip for name in names for clip in book.find(name)]
        change = book.approve if approved else book.unapprove
        changed = change(clips, actor=actor(), reason=reason)
    if as_json:
        write_json({"changed": changed, "clips": [_named(clip) for clip in clips]})
        return
    state = "approved: retention keeps them" if approved else "left to the retention rules"
    say(stdout(), f"{len(clips):,} clips are {state} ({changed:,} were not before).", "bold")


@contextmanager
def _book() -> Generator[CustodyRepository]:
    book = CustodyRepository(open_own_engine(load_settings()), SystemClock())
    try:
        yield book
    finally:
        book.close()


def _named(clip: Clip) -> dict[str, object]:
    return {
        "clip_id": clip.clip_id,
        "kind": clip.kind,
        "prompt_id": clip.prompt_id,
        "variant": clip.variant,
    }


def _who(clip: Clip) -> str:
    return f"{clip.kind}/{clip.prompt_id}, variant {clip.variant}"
