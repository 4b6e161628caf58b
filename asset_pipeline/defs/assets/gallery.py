"""The gallery: one page of all current clips, for people."""

from dataclasses import replace
from typing import Any

import dagster as dg
from dagster import MetadataValue

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.clock import SystemClock
from asset_pipeline.custody.links import links_of
from asset_pipeline.defs.assets.warehouse import AFTER_A_BATCH
from asset_pipeline.defs.resources.ledger import LedgerResource
from asset_pipeline.defs.resources.prompt_library import PromptLibraryResource
from asset_pipeline.defs.resources.store import StoreResource
from asset_pipeline.desk_links import prompt_link
from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.ledger.provenance import ProvenanceBook
from asset_pipeline.media.preview_cache import PreviewCache
from asset_pipeline.prompts.spec import Prompt
from asset_pipeline.provenance.badges import badge_of
from asset_pipeline.settings import load_settings
from asset_pipeline.stores.protocol import StoreError
from asset_pipeline.warehouse.gallery import GalleryClip, GalleryLinks, render_gallery
from asset_pipeline.warehouse.publication import show_own


@dg.asset(
    key=dg.AssetKey("gallery"),
    deps=[dg.AssetKey(kind.value) for kind in Kind],
    group_name="warehouse",
    kinds={"html"},
    automation_condition=AFTER_A_BATCH,
    description="data/gallery/index.html: pictures and players by collection, with their costs.",
)
def gallery(
    context: dg.AssetExecutionContext,
    ledger: LedgerResource,
    store: StoreResource,
    prompt_library: PromptLibraryResource,
) -> dg.MaterializeResult[Any]:
    """Draw the page anew from the ledger; its links to a remote store hold for seven days."""
    settings = load_settings()
    shelf = PreviewCache(settings.previews_dir)
    with ledger.open() as book:
        clips = book.current_clips_with_texts()
        accounts = ProvenanceBook(book.engine, SystemClock()).of_clips()
    try:
        links = links_of(store.open(), SystemClock().now())
    except StoreError as error:
        # A page without links is better than no page.
        context.log.warning("The gallery has no links: %s", error)
        links = None
    sweeps = _sweeps(context, prompt_library)
    shown = (
        _placed(
            GalleryClip(
                clip,
                text,
                None if (preview := shelf.get(clip.sha256)) is None else preview.webp,
                None if links is None else links.url_of(clip),
                badge_of(accounts.get(clip.sha256, ())),
                review=prompt_link(settings.service_url, clip.kind.value, clip.prompt_id),
            ),
            sweeps.get((clip.kind, clip.prompt_id)),
        )
        for clip, text in clips
    )
    common = None if links is None else GalleryLinks(links.sample, links.expire_at)
    with ledger.open() as book:
        show_own(book.engine, settings)
        count = render_gallery(shown, settings.own_gallery_path, common)
        show_own(book.engine, settings)
    return dg.MaterializeResult(
        metadata={
            "clips": MetadataValue.int(count),
            "page": MetadataValue.path(settings.gallery_path),
        }
    )


def _sweeps(
    context: dg.AssetExecutionContext, prompt_library: PromptLibraryResource
) -> dict[tuple[Kind, str], Prompt]:
    """Return the prompts of sweeps; without them the page shows their clips like others."""
    try:
        prompts = prompt_library.load().library.prompts
    except AssetPipelineError as error:
        context.log.warning("The gallery shows sweeps as it shows other clips: %s", error)
        return {}
    return {key: prompt for key, prompt in prompts.items() if prompt.axes}


def _placed(member: GalleryClip, prompt: Prompt | None) -> GalleryClip:
    """Return a clip with its place in a sweep, if its prompt is of one."""
    if prompt is None:
        return member
    return replace(member, axes=prompt.axes, fields=prompt.fields)
