"""What checks ask of the ledger: clips with what was asked for, a piece at a time."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from pydantic import JsonValue
from sqlalchemy import ColumnElement, or_, select

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.ledger.access import LedgerAccess
from asset_pipeline.ledger.clips import IS_CURRENT
from asset_pipeline.ledger.records import Clip, clip_from
from asset_pipeline.ledger.schema import clips, intents


@dataclass(frozen=True, slots=True)
class AskedClip:
    """A current clip with the request that made its file.

    Attributes:
        inputs: What was sent, exactly.
        asked_at: When: it decides the price.
        reused: It was paid for under another prompt or variant, and cost nothing here.
    """

    clip: Clip
    inputs: dict[str, JsonValue]
    asked_at: datetime
    reused: bool


@dataclass(slots=True)
class PromptClips:
    """A prompt's current clips as far as their identity goes, by variant."""

    prompt_id: str
    sha256s: list[str]
    newest: datetime


class ClipInspection(LedgerAccess):
    """Reads current clips for checks; memory is bounded by what the caller keeps."""

    def due(
        self, kind: Kind, since: datetime | None, again: Collection[str], limit: int
    ) -> list[AskedClip]:
        """Return current clips in the order in which they landed.

        Args:
            kind: Pictures or sounds.
            since: Those that became current after this time; None for all.
            again: These too, by clip id, however old.
            limit: How many at the most.
        """
        wanted: list[ColumnElement[bool]] = [clips.c.clip_id.in_(again)]
        if since is not None:
            wanted.append(clips.c.created_at > since)
        query = (
            select(
                clips,
                intents.c.inputs_json,
                intents.c.created_at.label("asked_at"),
                intents.c.prompt_id.label("asked_for"),
                intents.c.variant.label("asked_variant"),
            )
            .join(intents, intents.c.intent_id == clips.c.intent_id)
            .where(clips.c.kind == kind.value, *IS_CURRENT)
            .order_by(clips.c.created_at, clips.c.clip_id)
            .limit(limit)
        )
        if since is not None:
            query = query.where(or_(*wanted))
        with self._reading() as connection:
            return [
                AskedClip(
                    clip=clip_from(row),
                    inputs=cast("dict[str, JsonValue]", json.loads(row["inputs_json"])),
                    asked_at=row["asked_at"],
                    reused=(row["asked_for"], row["asked_variant"])
                    != (row["prompt_id"], row["variant"]),
                )
                for row in connection.execute(query).mappings()
            ]

    def variants_of(self, kind: Kind, prompt_ids: Collection[str]) -> list[Clip]:
        """Return all current clips of some prompts, by prompt and variant."""
        query = (
            select(clips)
            .where(
                clips.c.kind == kind.value,
                clips.c.prompt_id.in_(prompt_ids),
                *IS_CURRENT,
            )
            .order_by(clips.c.prompt_id, clips.c.variant)
        )
        with self._reading() as connection:
            return [clip_from(row) for row in connection.execute(query).mappings()]

    def identities(self, kind: Kind) -> Iterator[PromptClips]:
        """Yield every prompt that has current clips, with their SHA-256s.

        Those with a lost or deleted file are included, because the event log shows them too.
        """
        query = (
            select(clips.c.prompt_id, clips.c.sha256, clips.c.created_at)
            .where(clips.c.kind == kind.value, clips.c.superseded_at.is_(None))
            .order_by(clips.c.prompt_id, clips.c.variant)
        )
        prompt: PromptClips | None = None
        with self._reading() as connection:
            for prompt_id, sha256, created in connection.execute(query).yield_per(5000):
                if prompt is None or prompt.prompt_id != prompt_id:
                    if prompt is not None:
                        yield prompt
                    prompt = PromptClips(prompt_id, [], created)
                prompt.sha256s.append(sha256)
                prompt.newest = max(prompt.newest, created)
        if prompt is not None:
            yield prompt
