"""Renditions of a prompt's clips: what is there is kept, what is missing is made and recorded.

A rendition is found again by the file it was made from and the recipe it was made by, so an
unchanged clip under an unchanged setting costs one look into the ledger and one into the store.
"""

from __future__ import annotations

import hashlib
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.ledger.ledger import Ledger
from asset_pipeline.ledger.records import Clip
from asset_pipeline.ledger.renditions import Rendition, RenditionRepository
from asset_pipeline.media.preview import Preview
from asset_pipeline.media.preview_cache import PreviewCache
from asset_pipeline.media.probe import Examined, examine
from asset_pipeline.prompts.rendition_specs import Renditions
from asset_pipeline.renditions.render import Made, make_renditions
from asset_pipeline.stores.protocol import Store, rendition_key


class NothingToRenderError(AssetPipelineError):
    """A prompt has no clip, or its clip's file is not what was paid for."""


@dataclass(frozen=True, slots=True)
class RenderedClip:
    """One clip with its current renditions, in the order of the setting.

    Attributes:
        preview: The clip's preview.
        made: How many of the renditions were made just now; the others were there.
    """

    clip: Clip
    renditions: tuple[Rendition, ...]
    preview: Preview
    made: int


class Renderer:
    """Gives clips the renditions that their collection asks for. Threads may share one.

    Args:
        ledger: Knows the clips.
        book: Knows the renditions.
        store: Has the files of both.
        shelf: Keeps previews.
        run_id: Who makes them.
    """

    def __init__(
        self,
        ledger: Ledger,
        book: RenditionRepository,
        store: Store,
        shelf: PreviewCache,
        run_id: str,
    ) -> None:
        self._ledger = ledger
        self._book = book
        self._store = store
        self._shelf = shelf
        self._run_id = run_id

    def render(self, kind: Kind, prompt_id: str, settings: Renditions) -> list[RenderedClip]:
        """Return a prompt's current clips, by variant, each with all renditions of the setting.

        Decodes and encodes: call it in a thread. At most one clip is in memory.

        Raises:
            AssetPipelineError: There is no clip, its file is missing or damaged, or the store
                failed. What was made before that is recorded.
        """
        clips = self._ledger.current_clips_of(kind, prompt_id)
        if not clips:
            raise NothingToRenderError("there is no clip to render", hint="Generate it first.")
        known = self._book.made_from(clips)
        return [self._render_clip(clip, settings, known) for clip in clips]

    def _render_clip(
        self, clip: Clip, settings: Renditions, known: Sequence[Rendition]
    ) -> RenderedClip:
        current = {
            row.name: row
            for row in known
            if row.clip_id == clip.clip_id and row.superseded_at is None
        }
        found = {
            name: row
            for name, setting in settings.items()
            if (row := self._find(clip, setting.recipe, current.get(name), known)) is not None
        }
        missing = {name: setting for name, setting in settings.items() if name not in found}
        preview = self._shelf.get(clip.sha256)
        made: Mapping[str, Rendition] = {}
        if missing or preview is None:
            with tempfile.TemporaryDirectory(prefix="rendition-") as folder:
                original = Path(folder) / "original"
                examined = self._fetch(clip, original)
                preview = self._shelf.make(original, examined)
                made = self._make(clip, original, examined, missing)
        new = {
            name: _row_for(clip, name, row)
            for name, row in (found | made).items()
            if row is not current.get(name)
        }
        gone = current.keys() - settings.keys()
        if new or gone:
            self._book.replace(clip, list(new.values()), gone, run_id=self._run_id)
        ordered = tuple(new.get(name) or current[name] for name in settings)
        return RenderedClip(clip, ordered, preview, len(made))

    def _find(
        self, clip: Clip, recipe: str, current: Rendition | None, known: Sequence[Rendition]
    ) -> Rendition | None:
        """Return a rendition of the same file by the same recipe that the store still has."""
        candidates = [row for row in known if row.clip_sha256 == clip.sha256]
        if current is not None:
            candidates.insert(0, current)
        for row in candidates:
            if row.recipe == recipe and self._store.exists(row.object_key):
                return row
        return None

    def _fetch(self, clip: Clip, target: Path) -> Examined:
        """Bring a clip's file here and decode it, refusing one that is not what was paid for."""
        digest = hashlib.sha256()
        with target.open("wb") as file:
            for block in self._store.read(clip.object_key):
                digest.update(block)
                file.write(block)
        if digest.hexdigest() != clip.sha256:
            raise NothingToRenderError(
                f"{clip.object_uri} is not the file that was paid for: its SHA-256 differs",
                hint="Put the file back from a backup, or generate the clip again with force.",
            )
        return examine(target, clip.kind)

    def _make(
        self, clip: Clip, original: Path, examined: Examined, settings: Renditions
    ) -> dict[str, Rendition]:
        rows: dict[str, Rendition] = {}
        for name, made in make_renditions(original, examined, settings):
            info = made.info
            key = rendition_key(clip.kind, info.sha256, info.extension)
            stored = self._store.put(key, made.path, sha256=info.sha256, content_type=info.mime)
            rows[name] = _recorded(clip, name, settings[name].recipe, made, key, stored.uri)
        return rows


def _recorded(clip: Clip, name: str, recipe: str, made: Made, key: str, uri: str) -> Rendition:
    return Rendition(
        rendition_id=uuid.uuid4().hex,
        clip_id=clip.clip_id,
        clip_sha256=clip.sha256,
        name=name,
        recipe=recipe,
        object_key=key,
        object_uri=uri,
        sha256=made.info.sha256,
        bytes=made.info.bytes,
        mime=made.info.mime,
        width=made.info.width,
        height=made.info.height,
        duration_seconds=made.info.duration_seconds,
        loudness_lufs=made.loudness_lufs,
        true_peak_dbtp=made.true_peak_dbtp,
        gain_db=made.gain_db,
        note=made.note,
        run_id="",  # the ledger's to fill in, as is the time
        created_at=datetime.now(UTC),
        superseded_at=None,
    )


def _row_for(clip: Clip, name: str, row: Rendition) -> Rendition:
    """Return a rendition as this clip's own under this name."""
    return replace(
        row, rendition_id=uuid.uuid4().hex, clip_id=clip.clip_id, name=name, superseded_at=None
    )
