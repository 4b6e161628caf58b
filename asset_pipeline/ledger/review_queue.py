"""All clips of a view in short, and what changed since: what a person looks through and decides.

A page that shows 100,000 clips needs their shapes and verdicts at once, and the rest of them only
where somebody looks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, TypeAlias

from sqlalchemy import FromClause, case, func, select

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.ledger.access import LedgerAccess
from asset_pipeline.ledger.clip_pages import ClipFilter, PagedClip, conditions_of
from asset_pipeline.ledger.clips import IS_CURRENT
from asset_pipeline.ledger.records import clip_from
from asset_pipeline.ledger.schema import IntentState, clips, endings, intents
from asset_pipeline.ledger.service_schema import reviews

_IDS_A_QUERY = 500

# Ids of clips are no order of their landing, and two may land in one instant.
_News: TypeAlias = tuple[datetime, str]


class Order(StrEnum):
    """In which order clips are looked through."""

    NEWEST = "newest"
    OLDEST = "oldest"
    PROMPT = "prompt"  # all variants of a prompt one after another


@dataclass(frozen=True, slots=True)
class ShortClip:
    """A clip as far as a page full of them needs it."""

    clip_id: str
    kind: str
    width: int | None
    height: int | None
    duration_seconds: float | None
    review_state: str | None
    review_id: int | None


@dataclass(frozen=True, slots=True)
class ReviewCounts:
    """How many clips of a view are decided."""

    undecided: int
    approved: int
    rejected: int


@dataclass(frozen=True, slots=True)
class NewClip:
    """A clip that landed, and the one that it took the place of, if any."""

    clip: ShortClip
    replaces: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class RunProgress:
    """What a run that pays has done so far, in clips."""

    run_id: str
    kind: str
    open: int
    delivered: int
    failed: int


@dataclass(frozen=True, slots=True)
class FailedPrompt:
    """A prompt that the last run left without all of its clips."""

    kind: Kind
    prompt_id: str
    how: str
    error_class: str
    error: str
    run_id: str
    ended_at: datetime


class ReviewQueue(LedgerAccess):
    """Reads what the desk shows."""

    def index(
        self, wanted: ClipFilter, order: Order, *, limit: int | None = None
    ) -> list[ShortClip]:
        """Return the clips of a view in short, in order."""
        query = select(*_SHORT).select_from(_source(wanted)).where(*conditions_of(wanted))
        query = query.order_by(*_ORDERS[order])
        with self._reading() as connection:
            rows = connection.execute(query if limit is None else query.limit(limit))
            return [ShortClip(*row) for row in rows]

    def counts(self, wanted: ClipFilter) -> ReviewCounts:
        """Return how many of a view's clips are decided, whatever verdict the view asks for."""
        query = (
            select(clips.c.review_state, func.count())
            .select_from(_source(wanted))
            .where(*conditions_of(wanted))
            .group_by(clips.c.review_state)
        )
        found: dict[str | None, int] = {}
        with self._reading() as connection:
            found.update({state: number for state, number in connection.execute(query)})  # noqa: C416 -- rows are typed so
        return ReviewCounts(
            undecided=found.get(None, 0),
            approved=found.get("approved", 0),
            rejected=found.get("rejected", 0),
        )

    def choices(self) -> dict[str, list[str]]:
        """Return the collections and models that current clips have."""
        with self._reading() as connection:
            return {
                name: [
                    value
                    for (value,) in connection.execute(
                        select(column).where(*IS_CURRENT).distinct().order_by(column)
                    )
                ]
                for name, column in (("collection", clips.c.collection), ("model", clips.c.model))
            }

    def details(self, clip_ids: Sequence[str]) -> list[PagedClip]:
        """Return clips in full, in the order asked for; unknown ids are left out."""
        found: dict[str, PagedClip] = {}
        with self._reading() as connection:
            for start in range(0, len(clip_ids), _IDS_A_QUERY):
                chunk = clip_ids[start : start + _IDS_A_QUERY]
                rows = connection.execute(_WHOLE.where(clips.c.clip_id.in_(chunk))).mappings()
                for row in rows:
                    found[row["clip_id"]] = PagedClip(
                        clip_from(row), row["prompt_text"], row["seed"], row["inputs_json"]
                    )
        return [found[clip_id] for clip_id in clip_ids if clip_id in found]

    def of_prompt(self, kind: Kind, prompt_id: str, limit: int) -> list[PagedClip]:
        """Return all that was ever made of a prompt, by variant, the newest take first."""
        query = (
            _WHOLE.where(
                clips.c.kind == kind.value,
                clips.c.prompt_id == prompt_id,
                clips.c.removed_at.is_(None),
            )
            .order_by(clips.c.variant, clips.c.created_at.desc(), clips.c.clip_id)
            .limit(limit)
        )
        with self._reading() as connection:
            return [
                PagedClip(clip_from(row), row["prompt_text"], row["seed"], row["inputs_json"])
                for row in connection.execute(query).mappings()
            ]

    def last_review(self) -> int:
        """Return the number of the newest verdict; zero if there is none."""
        with self._reading() as connection:
            return connection.execute(select(func.max(reviews.c.review_id))).scalar() or 0

    def verdicts_since(self, review_id: int, limit: int) -> list[tuple[int, str, str, str]]:
        """Return the verdicts after one: number, clip, verdict and who decided."""
        columns = (reviews.c.review_id, reviews.c.clip_id, reviews.c.verdict, reviews.c.actor)
        query = select(*columns).where(reviews.c.review_id > review_id)
        with self._reading() as connection:
            rows = connection.execute(query.order_by(reviews.c.review_id).limit(limit))
            return [(row.review_id, row.clip_id, row.verdict, row.actor) for row in rows]

    def last_clip(self) -> _News | None:
        """Return where the newest clip stands."""
        query = select(clips.c.created_at, clips.c.clip_id).order_by(*_ORDERS[Order.NEWEST])
        with self._reading() as connection:
            row = connection.execute(query.limit(1)).one_or_none()
        return None if row is None else (row.created_at, row.clip_id)

    def clips_since(self, after: _News | None, limit: int) -> list[NewClip]:
        """Return the current clips that landed after one, the oldest first."""
        query = select(*_SHORT, clips.c.created_at, _REPLACED.label("replaces")).where(*IS_CURRENT)
        if after is not None:
            at, clip_id = after
            query = query.where(
                (clips.c.created_at > at)
                | ((clips.c.created_at == at) & (clips.c.clip_id > clip_id))
            )
        with self._reading() as connection:
            rows = connection.execute(query.order_by(*_ORDERS[Order.OLDEST]).limit(limit)).all()
        return [
            NewClip(ShortClip(*tuple(row)[: len(_SHORT)]), row.replaces, row.created_at)
            for row in rows
        ]

    def running(self) -> list[RunProgress]:
        """Return the runs that have something under way at the provider."""
        since = self._clock.now() - _LATELY
        busy = (
            select(intents.c.run_id)
            .where(intents.c.state.in_(_UNDER_WAY), intents.c.updated_at >= since)
            .distinct()
        )
        query = (
            select(
                intents.c.run_id,
                intents.c.kind,
                func.sum(_is(*_UNDER_WAY)),
                func.sum(_is(IntentState.DELIVERED.value)),
                func.sum(_is(IntentState.FAILED.value, IntentState.REFUSED.value)),
            )
            .where(intents.c.run_id.in_(busy))
            .group_by(intents.c.run_id, intents.c.kind)
            .order_by(intents.c.run_id, intents.c.kind)
        )
        with self._reading() as connection:
            return [
                RunProgress(run_id, kind, int(under_way), int(delivered), int(failed))
                for run_id, kind, under_way, delivered, failed in connection.execute(query)
            ]

    def failed(self, limit: int) -> list[FailedPrompt]:
        """Return the prompts that lack clips because a run failed, the newest first.

        What has landed since did not end so.
        """
        landed = (
            select(clips.c.clip_id)
            .where(
                clips.c.kind == endings.c.kind,
                clips.c.prompt_id == endings.c.prompt_id,
                clips.c.created_at > endings.c.ended_at,
            )
            .exists()
        )
        error = (
            select(intents.c.error)
            .where(
                intents.c.kind == endings.c.kind,
                intents.c.prompt_id == endings.c.prompt_id,
                intents.c.error.is_not(None),
            )
            .order_by(intents.c.created_at.desc())
            .limit(1)
            .scalar_subquery()
        )
        query = (
            select(endings, error.label("error"))
            .where(~landed)
            .order_by(endings.c.ended_at.desc(), endings.c.prompt_id)
            .limit(limit)
        )
        with self._reading() as connection:
            return [
                FailedPrompt(
                    Kind(row["kind"]),
                    row["prompt_id"],
                    row["how"],
                    row["error_class"],
                    row["error"] or "",
                    row["run_id"],
                    row["ended_at"],
                )
                for row in connection.execute(query).mappings()
            ]


def _source(wanted: ClipFilter) -> FromClause:
    """Return where a view's clips are looked for; texts are joined only where one is searched."""
    joined = clips.join(intents, intents.c.intent_id == clips.c.intent_id)
    return joined if wanted.text else clips


def _is(*states: str) -> Any:  # noqa: ANN401 -- an SQL expression
    return case((intents.c.state.in_(states), 1), else_=0)


def _states(states: Iterable[IntentState]) -> tuple[str, ...]:
    return tuple(state.value for state in states)


# Whatever a killed process left open, or a person has to decide, is under way no more.
_UNDER_WAY = _states(
    (
        IntentState.RESERVED,
        IntentState.SUBMITTING,
        IntentState.UNKNOWN,
        IntentState.SUBMITTED,
        IntentState.COMPLETED,
    )
)
_LATELY = timedelta(minutes=10)
_SHORT = (
    clips.c.clip_id,
    clips.c.kind,
    clips.c.width,
    clips.c.height,
    clips.c.duration_seconds,
    clips.c.review_state,
    clips.c.review_id,
)
_ORDERS: dict[Order, tuple[Any, ...]] = {
    Order.NEWEST: (clips.c.created_at.desc(), clips.c.clip_id.desc()),
    Order.OLDEST: (clips.c.created_at, clips.c.clip_id),
    Order.PROMPT: (
        clips.c.collection,
        clips.c.kind,
        clips.c.prompt_id,
        clips.c.variant,
        clips.c.clip_id,
    ),
}
_WHOLE = select(clips, intents.c.prompt_text, intents.c.seed, intents.c.inputs_json).join(
    intents, intents.c.intent_id == clips.c.intent_id
)
_OTHER = clips.alias("other")
_REPLACED = (
    select(_OTHER.c.clip_id)
    .where(
        _OTHER.c.kind == clips.c.kind,
        _OTHER.c.prompt_id == clips.c.prompt_id,
        _OTHER.c.variant == clips.c.variant,
        _OTHER.c.superseded_at.is_not(None),
    )
    .order_by(_OTHER.c.superseded_at.desc(), _OTHER.c.created_at.desc())
    .limit(1)
    .scalar_subquery()
)
