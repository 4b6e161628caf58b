"""How a rendered prompt looks in Dagster."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg
from dagster import MetadataValue

from asset_pipeline.defs.markdown import bullets, code, picture, shown, table
from asset_pipeline.defs.materializations import thumbnail_markdown
from asset_pipeline.defs.rendition_inputs import Descent
from asset_pipeline.ledger.renditions import Rendition
from asset_pipeline.renditions.renderer import RenderedClip

# Raise it when the same clip would give other renditions: all of them then show as stale.
CODE_VERSION = "3"


@dataclass(frozen=True, slots=True)
class Rendered:
    """A prompt whose clips all have their renditions.

    Attributes:
        clips: By variant; at least one.
    """

    prompt_id: str
    clips: Sequence[RenderedClip]
    seconds: float

    @property
    def made(self) -> int:
        """How many files were made in this run."""
        return sum(clip.made for clip in self.clips)

    @property
    def renditions(self) -> list[Rendition]:
        """All of them, by variant."""
        return [rendition for clip in self.clips for rendition in clip.renditions]


def data_version(rendered: Rendered) -> str:
    """Return a hash over the names and SHA-256s of a prompt's renditions."""
    digest = hashlib.sha256()
    for rendition in rendered.renditions:
        digest.update(f"{rendition.name}\0{rendition.sha256}\n".encode())
    return digest.hexdigest()


def metadata_of(rendered: Rendered) -> dict[str, Any]:
    """Return what a materialization shows: preview, files, sizes, loudness."""
    first = rendered.clips[0]
    renditions = rendered.renditions
    previews = (
        picture(each.preview.webp, f"{rendered.prompt_id}, variant {each.clip.variant}")
        for each in rendered.clips
    )
    told: dict[str, Any] = {
        "thumbnail": MetadataValue.md(thumbnail_markdown(first.preview)),
        "preview": MetadataValue.md(" ".join(previews)),
        "collection": MetadataValue.text(first.clip.collection),
        "renditions": MetadataValue.md(_table(rendered.clips)),
        "files": MetadataValue.int(len(renditions)),
        "made_in_this_run": MetadataValue.int(rendered.made),
        "bytes": MetadataValue.int(sum(rendition.bytes for rendition in renditions)),
        "seconds": MetadataValue.float(round(rendered.seconds, 3)),
    }
    loud = [each.loudness_lufs for each in renditions if each.loudness_lufs is not None]
    peaks = [each.true_peak_dbtp for each in renditions if each.true_peak_dbtp is not None]
    if loud and peaks:
        told["loudness_lufs"] = MetadataValue.float(min(loud))
        told["true_peak_dbtp"] = MetadataValue.float(max(peaks))
    notes = [f"{each.name}: {each.note}" for each in renditions if each.note]
    if notes:
        told["notes"] = MetadataValue.md(bullets(notes))
    return told


def tags_of(rendered: Rendered, descent: Descent) -> dict[str, str]:
    """Return the tags that make staleness work for a partition logged by hand."""
    return {
        "dagster/code_version": CODE_VERSION,
        "dagster/data_version": data_version(rendered),
        "dagster/data_version_is_user_provided": "true",
        **descent.tags,
    }


def materialization_of(
    asset_key: dg.AssetKey, rendered: Rendered, descent: Descent
) -> dg.AssetMaterialization:
    """Return the event that turns one partition of a range green."""
    return dg.AssetMaterialization(
        asset_key,
        partition=rendered.prompt_id,
        metadata=metadata_of(rendered),
        tags=tags_of(rendered, descent),
    )


def _table(clips: Sequence[RenderedClip]) -> str:
    return table(
        ("variant", "name", "what", "bytes", "object", "made from", "sha256"),
        [
            (
                str(each.clip.variant),
                shown(made.name),
                shown(_what(made)),
                f"{made.bytes:,}",
                code(made.object_uri),
                f"clip {code(each.clip.clip_id[:12])}",
                code(made.sha256[:16]),
            )
            for each in clips
            for made in each.renditions
        ],
    )


def _what(made: Rendition) -> str:
    if made.duration_seconds is None:
        return f"{made.mime}, {made.width} x {made.height}"
    loudness = "too quiet to measure"
    if made.loudness_lufs is not None:
        loudness = f"{made.loudness_lufs:.1f} LUFS, {made.true_peak_dbtp:.1f} dBTP"
    return f"{made.mime}, {made.duration_seconds:.1f} s, {loudness}, {made.gain_db:+.1f} dB"
