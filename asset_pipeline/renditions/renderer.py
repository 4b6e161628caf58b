"""Making the renditions of a prompt's clips that do not exist yet.

A rendition is found again by the file it was made from and the recipe it was made by, so an
unchanged clip under an unchanged setting costs one look into the ledger and one into the store.
"""

from __future__ import annotations

import hashlib
import math
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.ledger.ledger import Ledger
from asset_pipeline.ledger.provenance import ProvenanceRecord
from asset_pipeline.ledger.provenance_schema import ProvenanceRole
from asset_pipeline.ledger.records import Clip
from asset_pipeline.ledger.renditions import Rendition, RenditionRepository
from asset_pipeline.media.image_renditions import ready_to_render, render_picture
from asset_pipeline.media.preview import Preview
from asset_pipeline.media.preview_cache import PreviewCache
from asset_pipeline.media.probe import Examined, MediaInfo, examine
from asset_pipeline.prompts.provenance import NONE, ProvenancePolicy
from asset_pipeline.prompts.rendition_specs import AudioRendition, ImageRendition, Renditions
from asset_pipeline.provenance.stamp import RENDERED_PICTURE, RENDERED_SOUND, Stamp
from asset_pipeline.provenance.statement import Statement
from asset_pipeline.stores.protocol import Store, rendition_key


@dataclass(frozen=True, slots=True)
class Made:
    """A rendition's file, and what was measured in it; None for pictures and for what is too quiet.

    Attributes:
        note: Why a target was not reached; empty when it was.
    """

    path: Path
    info: MediaInfo
    loudness_lufs: float | None = None
    true_peak_dbtp: float | None = None
    gain_db: float | None = None
    note: str = ""


def make_renditions(
    original: Path, examined: Examined, settings: Renditions
) -> Iterator[tuple[str, Made]]:
    """Yield each rendition by its name; its file is the caller's until the next is asked for.

    Args:
        original: A verified clip; the files are written beside it.
        examined: What was found in it.
        settings: By name, those of the clip's kind.

    Raises:
        BadMediaError: It cannot be rendered.
    """
    target = original.with_name("rendition")
    if examined.picture is not None:
        picture = ready_to_render(examined.picture)
        for name, setting in settings.items():
            if isinstance(setting, ImageRendition):
                yield name, Made(target, render_picture(picture, target, setting))
    elif settings:
        yield from _sounds(original, target, settings)


def _sounds(original: Path, target: Path, settings: Renditions) -> Iterator[tuple[str, Made]]:
    # SciPy takes 0.3 s to import, and pictures have no use for it.
    from asset_pipeline.media.audio_renditions import render_sound  # noqa: PLC0415
    from asset_pipeline.media.loudness import measure  # noqa: PLC0415

    source = measure(original)
    for name, setting in settings.items():
        if isinstance(setting, AudioRendition):
            made = render_sound(original, source, target, setting)
            yield (
                name,
                Made(
                    target,
                    made.info,
                    loudness_lufs=_measured(made.loudness.integrated_lufs),
                    true_peak_dbtp=_measured(made.loudness.true_peak_dbtp),
                    gain_db=round(made.gain_db, 2),
                    note=made.note,
                ),
            )


def _measured(decibels: float) -> float | None:
    return round(decibels, 2) if math.isfinite(decibels) else None


class NothingToRenderError(AssetPipelineError):
    """A prompt has no clip, or its clip's file is damaged."""


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
        stamp: Marks them; None leaves them without marks.
    """

    def __init__(
        self,
        ledger: Ledger,
        book: RenditionRepository,
        store: Store,
        shelf: PreviewCache,
        run_id: str,
        stamp: Stamp | None = None,
    ) -> None:
        self._ledger = ledger
        self._book = book
        self._store = store
        self._shelf = shelf
        self._run_id = run_id
        self._stamp = stamp

    def render(
        self,
        kind: Kind,
        prompt_id: str,
        settings: Renditions,
        policy: ProvenancePolicy = NONE,
    ) -> list[RenderedClip]:
        """Return a prompt's current clips, by variant, each with all renditions of the setting.

        Decodes and encodes: call it in a thread. At most one clip is in memory.

        Args:
            kind: What the prompt makes.
            prompt_id: Whose clips.
            settings: By name, those of the prompt's collection.
            policy: What the files may say of themselves.

        Raises:
            AssetPipelineError: There is no clip, its file is missing or damaged, or the store
                failed. What was made before that is recorded.
        """
        clips = self._ledger.current_clips_of(kind, prompt_id)
        if not clips:
            raise NothingToRenderError("there is no clip to render", hint="Generate it first.")
        known = self._book.made_from(clips)
        said = self._said(clips, policy)
        sealed = [] if self._stamp is None else self._stamp.sealed(clips)
        return [self._render_clip(clip, settings, known, said, sealed) for clip in clips]

    def _said(self, clips: Sequence[Clip], policy: ProvenancePolicy) -> Mapping[str, Statement]:
        """Return what is said of each clip, by its id; nothing where nothing is marked."""
        if self._stamp is None:
            return {}
        payments = self._stamp.payments(clips)
        return {clip.clip_id: Statement(clip, payments[clip.intent_id], policy) for clip in clips}

    def _render_clip(
        self,
        clip: Clip,
        settings: Renditions,
        known: Sequence[Rendition],
        statements: Mapping[str, Statement],
        sealed: Sequence[str],
    ) -> RenderedClip:
        said = statements.get(clip.clip_id)
        recipes = {name: self._recipe(setting.recipe, said) for name, setting in settings.items()}
        current = {
            row.name: row
            for row in known
            if row.clip_id == clip.clip_id and row.superseded_at is None
        }
        found = {
            name: row
            for name, recipe in recipes.items()
            if (row := self._find(clip, recipe, current.get(name), known)) is not None
        }
        missing = {name: setting for name, setting in settings.items() if name not in found}
        preview = self._shelf.get(clip.sha256)
        made: Mapping[str, Rendition] = {}
        unsealed = (
            said is not None
            and self._stamp is not None
            and not self._stamp.is_sealed(clip, said.policy, sealed)
        )
        if missing or preview is None or unsealed:
            with tempfile.TemporaryDirectory(prefix="rendition-") as folder:
                original = Path(folder) / "original"
                examined = self._fetch(clip, original)
                preview = self._shelf.make(original, examined)
                if self._stamp is not None and said is not None:
                    records = self._stamp.seal(original, said)
                    self._stamp.book.record(records, run_id=self._run_id)
                made = self._make(clip, original, examined, missing, recipes, said)
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
        self,
        clip: Clip,
        original: Path,
        examined: Examined,
        settings: Renditions,
        recipes: Mapping[str, str],
        said: Statement | None,
    ) -> dict[str, Rendition]:
        rows: dict[str, Rendition] = {}
        records: list[ProvenanceRecord] = []
        for name, plain in make_renditions(original, examined, settings):
            made, of_it = self._marked(clip, original, plain, said)
            records += of_it
            info = made.info
            key = rendition_key(clip.kind, info.sha256, info.extension)
            stored = self._store.put(key, made.path, sha256=info.sha256, content_type=info.mime)
            rows[name] = _recorded(clip, name, recipes[name], made, key, stored.uri)
        if self._stamp is not None:
            self._stamp.book.record(records, run_id=self._run_id)
        return rows

    def _marked(
        self, clip: Clip, original: Path, made: Made, said: Statement | None
    ) -> tuple[Made, list[ProvenanceRecord]]:
        """Mark a rendition before it is stored: what is added to a signed file breaks it."""
        if self._stamp is None or said is None:
            return made, []
        actions = RENDERED_PICTURE if clip.kind is Kind.IMAGE else RENDERED_SOUND
        marked = self._stamp.mark(made.path, said, original=original, actions=actions)
        info = replace(made.info, sha256=marked.sha256, bytes=marked.bytes)
        key = rendition_key(clip.kind, info.sha256, info.extension)
        records = [
            self._stamp.record(marked, said, ProvenanceRole.RENDITION, self._store.uri(key), key)
        ]
        sidecar = self._stamp.put_sidecar(marked, said, key)
        if sidecar is not None:
            records.append(sidecar)
        return replace(made, info=info), records

    def _recipe(self, recipe: str, said: Statement | None) -> str:
        marks = "" if said is None or self._stamp is None else self._stamp.recipe(said.policy)
        return f"{recipe}:{marks}" if marks else recipe


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
