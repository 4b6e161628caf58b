"""Clips page by page, for people who look through them: newest first, filtered by what they say."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, func, select

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.ledger.access import LedgerAccess
from asset_pipeline.ledger.clips import IS_CURRENT
from asset_pipeline.ledger.records import Clip, clip_from
from asset_pipeline.ledger.schema import clips, intents


@dataclass(frozen=True, slots=True)
class ClipFilter:
    """Which clips are looked for; what is None does not matter.

    Attributes:
        review_state: ``approved``, ``rejected`` or ``undecided``.
        text: A part of the prompt's id or of the text that was sent.
        superseded: Also those that were replaced.
    """

    kind: Kind | None = None
    collection: str | None = None
    prompt_id: str | None = None
    model: str | None = None
    review_state: str | None = None
    text: str | None = None
    superseded: bool = False


@dataclass(frozen=True, slots=True)
class PagedClip:
    """A clip, with what was asked of the model for it."""

    clip: Clip
    prompt_text: str
    seed: int | None
    inputs_json: str


class ClipPages(LedgerAccess):
    """Reads clips in pages whose cost does not grow with their number."""

    def page(
        self, wanted: ClipFilter, before: tuple[datetime, str] | None, limit: int
    ) -> list[PagedClip]:
        """Return clips, the newest first, from before a place on."""
        query = _WITH_INTENTS.where(*conditions_of(wanted))
        if before is not None:
            created_at, clip_id = before
            query = query.where(
                (clips.c.created_at < created_at)
                | ((clips.c.created_at == created_at) & (clips.c.clip_id < clip_id))
            )
        query = query.order_by(clips.c.created_at.desc(), clips.c.clip_id.desc()).limit(limit)
        with self._reading() as connection:
            return [
                PagedClip(clip_from(row), row["prompt_text"], row["seed"], row["inputs_json"])
                for row in connection.execute(query).mappings()
            ]

    def count(self, wanted: ClipFilter) -> int:
        """Return how many clips a filter finds."""
        query = (
            select(func.count())
            .select_from(clips)
            .join(intents, intents.c.intent_id == clips.c.intent_id)
            .where(*conditions_of(wanted))
        )
        with self._reading() as connection:
            return int(connection.execute(query).scalar_one())

    def get(self, clip_id: str) -> PagedClip | None:
        """Return one clip, also one that was replaced; None if there is none."""
        query = _WITH_INTENTS.where(clips.c.clip_id == clip_id)
        with self._reading() as connection:
            row = connection.execute(query).mappings().one_or_none()
        if row is None:
            return None
        return PagedClip(clip_from(row), row["prompt_text"], row["seed"], row["inputs_json"])

    def takes_of(self, clip: Clip) -> list[Clip]:
        """Return all clips that ever stood where this one stands, the newest first."""
        query = select(clips).where(
            clips.c.kind == clip.kind.value,
            clips.c.prompt_id == clip.prompt_id,
            clips.c.variant == clip.variant,
        )
        with self._reading() as connection:
            rows = connection.execute(query.order_by(clips.c.created_at.desc())).mappings()
            return [clip_from(row) for row in rows]


def conditions_of(wanted: ClipFilter) -> list[ColumnElement[bool]]:
    """Return what a clip, joined with its intent, has to be to pass a filter."""
    found: list[ColumnElement[bool]] = []
    if wanted.superseded:
        found.append(clips.c.removed_at.is_(None))
    else:
        found.extend(IS_CURRENT)
    if wanted.kind is not None:
        found.append(clips.c.kind == wanted.kind.value)
    equal = (
        (clips.c.collection, wanted.collection),
        (clips.c.prompt_id, wanted.prompt_id),
        (clips.c.model, wanted.model),
    )
    found.extend(column == value for column, value in equal if value is not None)
    if wanted.review_state == "undecided":
        found.append(clips.c.review_state.is_(None))
    elif wanted.review_state is not None:
        found.append(clips.c.review_state == wanted.review_state)
    if wanted.text:
        part = wanted.text.lower()
        found.append(
            clips.c.prompt_id.contains(part, autoescape=True)
            | func.lower(intents.c.prompt_text).contains(part, autoescape=True)
        )
    return found


_WITH_INTENTS = select(clips, intents.c.prompt_text, intents.c.seed, intents.c.inputs_json).join(
    intents, intents.c.intent_id == clips.c.intent_id
)
