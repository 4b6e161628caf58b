"""How a landed prompt looks in Dagster: what people see, and the tags that staleness rests on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg
from dagster import MetadataValue

from asset_pipeline.defs.assets.prompts import prompt_key
from asset_pipeline.defs.markdown import code, picture, shown, table
from asset_pipeline.desk_links import prompt_link
from asset_pipeline.disclosure.addresses import is_web_address, shown_address
from asset_pipeline.generation.batch import PromptOutcome
from asset_pipeline.generation.payment.recorder import Landed
from asset_pipeline.media.preview import Preview
from asset_pipeline.money import format_usd, to_decimal
from asset_pipeline.settings import load_settings

# Raise it when the same prompt would give another clip: all clips then show as stale.
CODE_VERSION = "1"


def data_version(outcome: PromptOutcome) -> str:
    """Return a hash over the SHA-256s of a prompt's clips, in the order of the variants."""
    clips = sorted(outcome.landed, key=lambda landed: landed.clip.variant)
    return hashlib.sha256("".join(landed.clip.sha256 for landed in clips).encode()).hexdigest()


def metadata_of(outcome: PromptOutcome) -> dict[str, Any]:
    """Return what a materialization shows: preview, cost, model, prediction, place, hashes."""
    clips = sorted(outcome.landed, key=lambda landed: landed.clip.variant)
    prompt = outcome.prompt
    total = sum(landed.clip.cost_microusd for landed in clips)
    told: dict[str, Any] = {
        "thumbnail": MetadataValue.md(thumbnail_markdown(clips[0].preview)),
        "preview": MetadataValue.md(_preview(clips, prompt.prompt_id)),
        "prompt": MetadataValue.text(prompt.full_text),
        "collection": MetadataValue.text(prompt.collection),
        "model": MetadataValue.text(prompt.model),
        # A float because Dagster plots nothing else; the ledger holds the exact amount.
        "cost_usd": MetadataValue.float(float(to_decimal(total))),
        "paid_in_this_run": MetadataValue.text(format_usd(outcome.paid)),
        "seconds": MetadataValue.float(round(outcome.seconds, 3)),
        "cache_hits": MetadataValue.int(sum(landed.cached for landed in clips)),
        "clips": MetadataValue.md(_table(clips)),
        # The command, never a link: an event is kept for good, and read by many.
        "link": MetadataValue.text(f"asset-pipeline link {prompt.kind}/{prompt.prompt_id}"),
    }
    review = prompt_link(load_settings().service_url, prompt.kind.value, prompt.prompt_id)
    if review is not None:
        told["review"] = MetadataValue.url(review)
    if any(landed.clip.strategy for landed in clips):
        told["made_instead"] = MetadataValue.md(_stand_ins(clips))
    pages = [shown_address(each.web_url) for each in clips if is_web_address(each.web_url)]
    if pages:
        told["prediction"] = MetadataValue.url(pages[0])
    return told


def tags_of(outcome: PromptOutcome, observation_id: int | None) -> Mapping[str, str]:
    """Return the five tags that make staleness work for a partition logged by hand."""
    upstream = prompt_key(outcome.prompt.kind).to_user_string()
    return {
        "dagster/code_version": CODE_VERSION,
        "dagster/data_version": data_version(outcome),
        "dagster/data_version_is_user_provided": "true",
        f"dagster/input_data_version/{upstream}": outcome.prompt.prompt_hash,
        f"dagster/input_event_pointer/{upstream}": str(observation_id or "NULL"),
    }


def materialization_of(
    outcome: PromptOutcome, asset_key: dg.AssetKey, observation_id: int | None
) -> dg.AssetMaterialization:
    """Return the event that turns one partition of a batch green."""
    return dg.AssetMaterialization(
        asset_key,
        partition=outcome.prompt.prompt_id,
        metadata=metadata_of(outcome),
        tags=tags_of(outcome, observation_id),
    )


def thumbnail_markdown(preview: Preview) -> str:
    """Return a preview so small that the UI shows it in place."""
    return picture(preview.thumbnail)


def _preview(clips: Sequence[Landed], prompt_id: str) -> str:
    return " ".join(
        picture(landed.preview.webp, f"{prompt_id}, variant {landed.clip.variant}")
        for landed in clips
    )


def _stand_ins(clips: Sequence[Landed]) -> str:
    """Return what really made the clips that were not made as the prompt says."""
    return table(
        ("variant", "how", "model", "text"),
        [
            (str(clip.variant), shown(clip.strategy), shown(clip.model), shown(landed.text))
            for landed in clips
            if (clip := landed.clip).strategy
        ],
    )


def _table(clips: Sequence[Landed]) -> str:
    rows: list[tuple[str, ...]] = []
    for landed in clips:
        clip = landed.clip
        size = (
            f"{clip.width} x {clip.height}"
            if clip.duration_seconds is None
            else f"{clip.duration_seconds:.1f} s"
        )
        rows.append(
            (
                str(clip.variant),
                f"{size}, {clip.bytes:,} bytes",
                format_usd(clip.cost_microusd),
                shown(clip.prediction_id),
                code(clip.object_uri),
                code(clip.sha256[:16]),
            )
        )
    return table(("variant", "size", "cost", "prediction", "object", "sha256"), rows)
