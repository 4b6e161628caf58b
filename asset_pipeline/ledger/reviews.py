"""Verdicts about stored files: only ever added, each bound to the file's SHA-256."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, RowMapping, insert, select, update

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.chunks import chunks
from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.ledger.access import LedgerAccess
from asset_pipeline.ledger.exports import JudgedExport
from asset_pipeline.ledger.schema import clips
from asset_pipeline.ledger.service_schema import Verdict, launches, reviews, takes
from asset_pipeline.ledger.submissions import Launch, enter_launch

# SQLite takes 32,766 parameters a statement.
_A_QUERY = 1000

# What a launch id says of a verdict that asks for no run.
_NO_RUN = "none"

# For how long takes that were asked for are looked at: several ticks of the sensor.
_RECENT = timedelta(minutes=2)

# After how long files that a run was to take back, and did not, are tried again.
_TRIED_AGAIN = timedelta(minutes=10)


class NoSuchClipError(AssetPipelineError):
    """There is no such clip, or no such verdict."""


class StaleVerdictError(AssetPipelineError):
    """The file, or what is thought of it, is not what the decision was made on.

    Attributes:
        code: ``clip_replaced``, ``clip_changed`` or ``review_changed``.
        current: The clip that stands there now, if there is one.
    """

    def __init__(self, code: str, message: str, *, current: str | None = None) -> None:
        super().__init__(message, hint="Look at it again, and decide anew.")
        self.code = code
        self.current = current


@dataclass(frozen=True, slots=True)
class Decision:
    """What somebody decides about one clip.

    Attributes:
        sha256: Of the file that was looked at.
        supersedes: The verdict that stood there when it was looked at, zero for none; None where
            it is not said.
    """

    clip_id: str
    sha256: str
    verdict: Verdict
    reason_code: str = ""
    note: str = ""
    supersedes: int | None = None


@dataclass(frozen=True, slots=True)
class Review:
    """One row of ``reviews``."""

    review_id: int
    clip_id: str
    sha256: str
    verdict: Verdict
    reason_code: str
    note: str
    actor: str
    created_at: datetime
    supersedes: int | None


@dataclass(slots=True)
class TakenUp:
    """What a sensor's tick makes of the verdicts since the last one.

    Attributes:
        launches: Runs that publish what was approved.
        rejected: Prompts with a clip that was rejected.
        judged: Prompts with a clip that anything was decided about.
        last: The newest verdict among them; zero if there is none.
    """

    launches: list[Launch] = field(default_factory=list[Launch])
    rejected: set[tuple[Kind, str]] = field(default_factory=set[tuple[Kind, str]])
    judged: set[tuple[Kind, str]] = field(default_factory=set[tuple[Kind, str]])
    last: int = 0


class Reviews(LedgerAccess):
    """What people decided; every method is one transaction."""

    def decide(self, decisions: Iterable[Decision], actor: str) -> list[Review]:
        """Write verdicts, all or none.

        Raises:
            NoSuchClipError: One is about no clip.
            StaleVerdictError: One is about another file, or another verdict, than stands there.
        """
        with self._writing() as (connection, now):
            return [decide(connection, each, actor, now) for each in decisions]

    def undo(self, review_id: int, actor: str) -> Review:
        """Take a verdict back by another one: what was thought before it.

        Raises:
            NoSuchClipError: There is no such verdict.
            StaleVerdictError: Another one was given since, or the clip was replaced.
        """
        with self._writing() as (connection, now):
            undone = (
                connection.execute(select(reviews).where(reviews.c.review_id == review_id))
                .mappings()
                .one_or_none()
            )
            if undone is None:
                raise NoSuchClipError(f"There is no verdict {review_id}.")
            before = Verdict.UNDECIDED
            reason, note = "", ""
            if undone["supersedes"] is not None:
                earlier = (
                    connection.execute(
                        select(reviews).where(reviews.c.review_id == undone["supersedes"])
                    )
                    .mappings()
                    .one()
                )
                before = Verdict(earlier["verdict"])
                reason, note = earlier["reason_code"], earlier["note"]
            decision = Decision(
                undone["clip_id"], undone["sha256"], before, reason, note, supersedes=review_id
            )
            return decide(connection, decision, actor, now)

    def of_clip(self, clip_id: str) -> list[Review]:
        """Return the verdicts about a clip, the newest first."""
        query = select(reviews).where(reviews.c.clip_id == clip_id)
        with self._reading() as connection:
            rows = connection.execute(query.order_by(reviews.c.review_id.desc())).mappings()
            return [_review_from(row) for row in rows]

    def listed(self, before: int | None, limit: int, clip_id: str | None = None) -> list[Review]:
        """Return verdicts, the newest first."""
        query = select(reviews)
        if before is not None:
            query = query.where(reviews.c.review_id < before)
        if clip_id is not None:
            query = query.where(reviews.c.clip_id == clip_id)
        with self._reading() as connection:
            rows = connection.execute(query.order_by(reviews.c.review_id.desc()).limit(limit))
            return [_review_from(row) for row in rows.mappings()]

    def rejections(self, review_ids: Sequence[int]) -> set[int]:
        """Return those of these verdicts that reject."""
        query = select(reviews.c.review_id).where(
            reviews.c.review_id.in_(review_ids), reviews.c.verdict == Verdict.REJECTED.value
        )
        with self._reading() as connection:
            return set(connection.execute(query).scalars())

    def retaken(self) -> set[tuple[Kind, str]]:
        """Return the prompts that another take was asked of lately."""
        since = self._clock.now() - _RECENT
        query = select(takes.c.kind, takes.c.prompt_id).where(takes.c.updated_at >= since)
        with self._reading() as connection:
            return {(Kind(kind), prompt_id) for kind, prompt_id in connection.execute(query)}

    def standing(self, kind: Kind, prompt_ids: Iterable[str] | None = None) -> list[ClipStanding]:
        """Return what is thought of the current clips of a kind, or of some prompts of it."""
        asked = [None] if prompt_ids is None else list(chunks(sorted(prompt_ids), _A_QUERY))
        found: list[ClipStanding] = []
        with self._reading() as connection:
            for some in asked:
                query = _STANDING.where(clips.c.kind == kind.value)
                if some is not None:
                    query = query.where(clips.c.prompt_id.in_(some))
                found += [_standing_from(row) for row in connection.execute(query).mappings()]
        return found

    def take_up(self, jobs: Mapping[Kind, str], withdrawn: Iterable[JudgedExport] = ()) -> TakenUp:
        """Make one launch a kind of all that was approved and no tick has looked at.

        Args:
            jobs: What publishes a kind's clips, by name.
            withdrawn: What is published and is not to be any more: the same runs take it back.
        """
        query = (
            select(reviews.c.review_id, reviews.c.verdict, clips.c.kind, clips.c.prompt_id)
            .join(clips, clips.c.clip_id == reviews.c.clip_id)
            .where(reviews.c.launch_id.is_(None))
            .order_by(reviews.c.review_id)
        )
        found = TakenUp()
        with self._writing() as (connection, now):
            rows = connection.execute(query).all()
            approved: dict[Kind, dict[str, list[int]]] = {}
            others: list[int] = []
            for review_id, verdict, kind, prompt_id in rows:
                found.last = max(found.last, review_id)
                found.judged.add((Kind(kind), prompt_id))
                if verdict == Verdict.APPROVED.value:
                    approved.setdefault(Kind(kind), {}).setdefault(prompt_id, []).append(review_id)
                    continue
                others.append(review_id)
                if verdict == Verdict.REJECTED.value:
                    found.rejected.add((Kind(kind), prompt_id))
            for kind, prompt_id in _due(connection, jobs, withdrawn, now):
                approved.setdefault(kind, {}).setdefault(prompt_id, [])
            for kind, by_prompt in approved.items():
                launch = Launch(uuid.uuid4().hex, jobs[kind], kind, tuple(by_prompt))
                enter_launch(connection, launch, now)
                seen = [each for ids in by_prompt.values() for each in ids]
                _mark(connection, seen, launch.launch_id)
                found.launches.append(launch)
            _mark(connection, others, _NO_RUN)
        return found


@dataclass(frozen=True, slots=True)
class ClipStanding:
    """What is thought of one current clip.

    Attributes:
        verdict: The last; undecided where there is none.
    """

    kind: Kind
    prompt_id: str
    variant: int
    clip_id: str
    sha256: str
    verdict: Verdict
    reason_code: str
    actor: str
    decided_at: datetime | None


def decide(connection: Connection, decision: Decision, actor: str, now: datetime) -> Review:
    """Write one verdict in the caller's transaction.

    Raises:
        NoSuchClipError: It is about no clip.
        StaleVerdictError: It is about another file, or another verdict, than stands there.
    """
    clip = (
        connection.execute(
            select(clips).where(clips.c.clip_id == decision.clip_id).with_for_update()
        )
        .mappings()
        .one_or_none()
    )
    if clip is None:
        raise NoSuchClipError(f"There is no clip {decision.clip_id!r}.")
    _check(connection, clip, decision)
    row = {
        "clip_id": decision.clip_id,
        "sha256": decision.sha256,
        "verdict": decision.verdict.value,
        "reason_code": decision.reason_code,
        "note": decision.note,
        "actor": actor,
        "created_at": now,
        "supersedes": clip["review_id"],
    }
    review_id = connection.execute(
        insert(reviews).values(row).returning(reviews.c.review_id)
    ).scalar_one()
    state = None if decision.verdict is Verdict.UNDECIDED else decision.verdict.value
    connection.execute(
        update(clips)
        .where(clips.c.clip_id == decision.clip_id)
        .values(review_id=review_id, review_state=state)
    )
    fields: dict[str, Any] = {**row, "verdict": decision.verdict, "review_id": review_id}
    return Review(**fields)


def _check(connection: Connection, clip: RowMapping, decision: Decision) -> None:
    what = f"{clip['kind']}/{clip['prompt_id']}, variant {clip['variant']}"
    if clip["superseded_at"] is not None or clip["removed_at"] is not None:
        current = connection.execute(
            select(clips.c.clip_id).where(
                clips.c.kind == clip["kind"],
                clips.c.prompt_id == clip["prompt_id"],
                clips.c.variant == clip["variant"],
                clips.c.superseded_at.is_(None),
                clips.c.removed_at.is_(None),
            )
        ).scalar()
        raise StaleVerdictError(
            "clip_replaced", f"The clip of {what} was replaced meanwhile.", current=current
        )
    if clip["sha256"] != decision.sha256:
        raise StaleVerdictError(
            "clip_changed",
            f"The clip of {what} has another SHA-256 than the one decided about.",
            current=clip["clip_id"],
        )
    if decision.supersedes is not None and decision.supersedes != (clip["review_id"] or 0):
        raise StaleVerdictError(
            "review_changed",
            f"Somebody else decided about {what} meanwhile.",
            current=clip["clip_id"],
        )


def _due(
    connection: Connection,
    jobs: Mapping[Kind, str],
    withdrawn: Iterable[JudgedExport],
    now: datetime,
) -> set[tuple[Kind, str]]:
    """Return the prompts of which no launch has taken files back since they are not to be there.

    A run that failed is followed by another after a while, not by one each tick.
    """
    asked = list(withdrawn)
    if not asked:
        return set()
    query = select(launches.c.kind, launches.c.prompts_json, launches.c.created_at).where(
        launches.c.job.in_(list(jobs.values())), launches.c.created_at > now - _TRIED_AGAIN
    )
    last: dict[tuple[Kind, str], datetime] = {}
    for kind, prompts_json, created_at in connection.execute(query):
        for prompt_id in json.loads(prompts_json):
            key = (Kind(kind), prompt_id)
            last[key] = max(created_at, last.get(key, created_at))
    keys = {(each.kind, each.prompt_id): each.since for each in sorted(asked, key=_since)}
    return {key for key, since in keys.items() if key not in last or last[key] <= since}


def _since(export: JudgedExport) -> datetime:
    return export.since


def _mark(connection: Connection, review_ids: list[int], launch_id: str) -> None:
    for start in range(0, len(review_ids), 1000):
        connection.execute(
            update(reviews)
            .where(reviews.c.review_id.in_(review_ids[start : start + 1000]))
            .values(launch_id=launch_id)
        )


def _review_from(row: RowMapping) -> Review:
    fields: dict[str, Any] = {name: row[name] for name in Review.__slots__}
    fields["verdict"] = Verdict(row["verdict"])
    return Review(**fields)


def _standing_from(row: RowMapping) -> ClipStanding:
    fields: dict[str, Any] = {name: row[name] for name in ClipStanding.__slots__}
    fields["kind"] = Kind(row["kind"])
    fields["verdict"] = Verdict(row["verdict"] or Verdict.UNDECIDED.value)
    fields["reason_code"], fields["actor"] = row["reason_code"] or "", row["actor"] or ""
    return ClipStanding(**fields)


_STANDING = (
    select(
        clips.c.kind,
        clips.c.prompt_id,
        clips.c.variant,
        clips.c.clip_id,
        clips.c.sha256,
        clips.c.review_state.label("verdict"),
        reviews.c.reason_code,
        reviews.c.actor,
        reviews.c.created_at.label("decided_at"),
    )
    .outerjoin(reviews, reviews.c.review_id == clips.c.review_id)
    .where(clips.c.superseded_at.is_(None))
    .order_by(clips.c.prompt_id, clips.c.variant)
)
