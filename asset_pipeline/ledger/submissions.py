"""Submissions: what was asked for over HTTP, the answer that was given, and what became of it.

A submission, its prompts, its idempotency key and its answer are one transaction. A sensor turns
what waits into launches, a run settles each prompt as it ends, and every change of a submission is
an event with a number of its own: the row of the submission is locked while it is drawn, so that
whoever reads up to a number has missed none below it.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar, cast

from sqlalchemy import (
    Connection,
    Row,
    RowMapping,
    Table,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.ledger.access import LedgerAccess
from asset_pipeline.ledger.service_schema import (
    ItemState,
    JobState,
    heartbeats,
    idempotency_keys,
    launches,
    submission_events,
    submission_items,
    submissions,
    submitted_prompts,
)
from asset_pipeline.ledger.takes import bump
from asset_pipeline.ledger.transactions import looking_again
from asset_pipeline.money import MicroUsd
from asset_pipeline.tracing.spans import traceparent

ANSWERS_KEPT = timedelta(days=7)
"""How long an idempotency key stands for the answer that it was given."""

# SQLite takes 32,766 parameters a statement.
_VALUES_A_QUERY = 1000

_T = TypeVar("_T")

_COUNTER = {
    ItemState.RUNNING: "running",
    ItemState.COMPLETED: "completed",
    ItemState.FAILED: "failed",
    ItemState.CANCELLED: "cancelled",
    ItemState.REFUSED_BY_BUDGET: "refused",
}


class IdempotencyKeyReusedError(AssetPipelineError):
    """The key stands for another request."""


class PromptTakenError(AssetPipelineError):
    """A prompt of this id belongs to somebody else."""

    def __init__(self, kind: Kind, prompt_id: str) -> None:
        super().__init__(
            f"The {kind} prompt {prompt_id!r} belongs to another key.",
            hint="Choose another id, or leave it out and get one.",
        )
        self.prompt_id = prompt_id


@dataclass(frozen=True, slots=True)
class NewItem:
    """One prompt of a submission.

    Attributes:
        entry: The prompt as a collection file would write it; None for one that stands elsewhere.
        retake: The variant of which another take is wanted.
    """

    kind: Kind
    prompt_id: str
    collection: str
    variants: int
    entry: Mapping[str, Any] | None = None
    retake: int | None = None


@dataclass(frozen=True, slots=True)
class NewSubmission:
    """What is asked for, before it has an id.

    Attributes:
        owner: Who asks, as the ledger names them.
        key_id: With which key, whose budget pays; None without one.
        clips: Clips wanted; ``cached`` of them are stored already.
    """

    owner: str
    key_id: str | None
    request_id: str
    items: Sequence[NewItem]
    clips: int
    cached: int
    worst_case: MicroUsd


@dataclass(frozen=True, slots=True)
class Answer:
    """What a caller is told, now and whenever it asks again with the same key."""

    status: int
    body: Mapping[str, Any]
    location: str = ""


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """A caller's own name for a request, and the hash of what it asks."""

    key: str
    request_sha256: str


@dataclass(frozen=True, slots=True)
class Submission:
    """One row of ``submissions``."""

    submission_id: str
    owner: str
    key_id: str | None
    request_id: str
    state: JobState
    prompts: int
    clips: int
    cached: int
    worst_case_microusd: int
    running: int
    completed: int
    failed: int
    cancelled: int
    refused: int
    last_event: int
    cancel_requested: bool
    created_at: datetime
    updated_at: datetime
    finished_at: datetime | None

    @property
    def queued(self) -> int:
        """Prompts that no run has taken up yet."""
        ended = self.completed + self.failed + self.cancelled + self.refused
        return self.prompts - ended - self.running


@dataclass(frozen=True, slots=True)
class Item:
    """One row of ``submission_items``."""

    position: int
    kind: Kind
    prompt_id: str
    variants: int
    state: ItemState
    error_class: str | None
    error: str | None
    launch_id: str | None
    run_id: str | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened to a submission."""

    number: int
    type: str
    data: Mapping[str, Any]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Launch:
    """A run that is wanted."""

    launch_id: str
    job: str
    kind: Kind
    prompt_ids: tuple[str, ...]
    run_id: str | None = None
    created_at: datetime | None = field(default=None, compare=False)


class Submissions(LedgerAccess):
    """What came over HTTP; every method is one transaction."""

    def answer_to(self, owner: str, idempotency: IdempotencyKey) -> Answer | None:
        """Return the answer that was given under a key; None if it is new.

        Raises:
            IdempotencyKeyReusedError: It was given to another request.
        """
        with self._reading() as connection:
            return _answer_to(connection, owner, idempotency)

    def submit(
        self,
        new: NewSubmission,
        answer_of: Callable[[str], Answer],
        idempotency: IdempotencyKey | None = None,
    ) -> tuple[Answer, bool]:
        """Take a submission: prompts, items, key and answer, or none of them.

        Args:
            new: What is asked for.
            answer_of: Makes the answer from the submission's id.
            idempotency: The caller's key.

        Returns:
            The answer, and whether it had been given before: then nothing was taken.

        Raises:
            IdempotencyKeyReusedError: The key stands for another request.
            PromptTakenError: Somebody else's prompt has one of the ids.
        """

        def submit() -> tuple[Answer, bool]:
            with self._writing() as (connection, now):
                if idempotency is not None:
                    known = _answer_to(connection, new.owner, idempotency)
                    if known is not None:
                        return known, True
                submission_id = uuid.uuid4().hex
                answer = answer_of(submission_id)
                if idempotency is not None:
                    _remember(connection, new.owner, idempotency, answer, now)
                enter(connection, submission_id, new, now)
                return answer, False

        return looking_again(submit)

    def remember(
        self, owner: str, idempotency: IdempotencyKey, do: Callable[[Connection, datetime], Answer]
    ) -> tuple[Answer, bool]:
        """Do something else once for a key: the deed and its answer are one transaction.

        Raises:
            IdempotencyKeyReusedError: The key stands for another request.
        """

        def attempt() -> tuple[Answer, bool]:
            with self._writing() as (connection, now):
                known = _answer_to(connection, owner, idempotency)
                if known is not None:
                    return known, True
                answer = do(connection, now)
                _remember(connection, owner, idempotency, answer, now)
                return answer, False

        return looking_again(attempt)

    def get(self, submission_id: str) -> Submission | None:
        """Return a submission; None if there is none."""
        with self._reading() as connection:
            row = connection.execute(_GET, {"id": submission_id}).mappings().one_or_none()
        return None if row is None else _submission_from(row)

    def of_owner(
        self, owner: str | None, before: tuple[datetime, str] | None, limit: int
    ) -> list[Submission]:
        """Return submissions, the newest first; those of everybody without an owner."""
        query = select(submissions)
        if owner is not None:
            query = query.where(submissions.c.owner == owner)
        if before is not None:
            created_at, submission_id = before
            query = query.where(
                (submissions.c.created_at < created_at)
                | (
                    (submissions.c.created_at == created_at)
                    & (submissions.c.submission_id < submission_id)
                )
            )
        order = (submissions.c.created_at.desc(), submissions.c.submission_id.desc())
        with self._reading() as connection:
            rows = connection.execute(query.order_by(*order).limit(limit)).mappings()
            return [_submission_from(row) for row in rows]

    def items(self, submission_id: str, after: int, limit: int) -> list[Item]:
        """Return a submission's prompts in their order, from behind a position on."""
        query = (
            select(submission_items, launches.c.run_id)
            .outerjoin(launches, launches.c.launch_id == submission_items.c.launch_id)
            .where(
                submission_items.c.submission_id == submission_id,
                submission_items.c.position > after,
            )
            .order_by(submission_items.c.position)
            .limit(limit)
        )
        with self._reading() as connection:
            return [_item_from(row) for row in connection.execute(query).mappings()]

    def events(self, submission_id: str, after: int, limit: int = 1000) -> list[Event]:
        """Return what happened to a submission after an event, in order."""
        asked = {"id": submission_id, "after": after, "most": limit}
        with self._reading() as connection:
            rows = connection.execute(_EVENTS, asked).mappings()
            return [
                Event(row["number"], row["type"], json.loads(row["data_json"]), row["created_at"])
                for row in rows
            ]

    def cancel(self, submission_id: str, actor: str) -> Submission | None:
        """Begin nothing more of a submission; what is at the provider already still lands.

        Returns:
            It as it stands then; None if there is none. One that has ended stays as it is.
        """
        with self._writing() as (connection, now):
            row = connection.execute(
                select(submissions.c.finished_at)
                .where(submissions.c.submission_id == submission_id)
                .with_for_update()
            ).one_or_none()
            if row is None:
                return None
            if row.finished_at is None:
                connection.execute(
                    update(submissions)
                    .where(submissions.c.submission_id == submission_id)
                    .values(cancel_requested=True)
                )
                _event(connection, submission_id, "job.cancel_requested", {"by": actor}, now)
                ended = connection.execute(
                    update(submission_items)
                    .where(
                        submission_items.c.submission_id == submission_id,
                        submission_items.c.state.in_(
                            [ItemState.QUEUED.value, ItemState.RUNNING.value]
                        ),
                    )
                    .values(state=ItemState.CANCELLED.value, updated_at=now)
                    .returning(submission_items.c.launch_id)
                ).all()
                started = sum(launch_id is not None for (launch_id,) in ended)
                if ended:
                    moved = {"cancelled": len(ended), "running": -started}
                    _count(connection, submission_id, moved, now)
            found = connection.execute(_GET, {"id": submission_id}).mappings().one()
            return _submission_from(found)

    def beat(self, name: str) -> None:
        """Note that something lives."""
        with self._writing() as (connection, now):
            dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
            statement = dialect.insert(heartbeats).values(name=name, seen_at=now)
            connection.execute(
                statement.on_conflict_do_update(index_elements=["name"], set_={"seen_at": now})
            )

    def last_beat(self, name: str) -> datetime | None:
        """Return when something was last heard of."""
        with self._reading() as connection:
            return connection.execute(
                select(heartbeats.c.seen_at).where(heartbeats.c.name == name)
            ).scalar()

    def waiting(self) -> int:
        """Return how many prompts wait for a run."""
        with self._reading() as connection:
            query = select(func.count()).where(submission_items.c.state == ItemState.QUEUED.value)
            return connection.execute(query).scalar_one()

    def take_up(self, kind: Kind, job: str, most: int) -> Launch | None:
        """Make a launch of what waits of a kind, the oldest first; None if nothing does.

        Several submissions become one launch. A prompt that two of them want is made once.
        """
        with self._writing() as (connection, now):
            waiting = connection.execute(_WAITING, {"kind": kind.value, "most": most}).all()
            launch_id = uuid.uuid4().hex
            taken: dict[int, str] = {}
            by_submission: dict[str, list[int]] = {}
            for row in waiting:
                by_submission.setdefault(row.submission_id, []).append(row.item_id)
            # The submission before its items, as everywhere: Postgres locks rows in that order.
            for submission_id in sorted(by_submission):
                taken |= _take(
                    connection, launch_id, kind, submission_id, by_submission[submission_id], now
                )
            if not taken:
                return None
            prompt_ids = tuple(dict.fromkeys(taken[item_id] for item_id in sorted(taken)))
            launch = Launch(launch_id, job, kind, prompt_ids)
            enter_launch(connection, launch, now)
            return launch

    def unended(self) -> list[Launch]:
        """Return the launches whose run has not ended, or is not known to have begun."""
        query = select(launches).where(launches.c.ended_at.is_(None))
        with self._reading() as connection:
            rows = connection.execute(query.order_by(launches.c.created_at)).mappings()
            return [_launch_from(row) for row in rows]

    def traceparents(self, launch_id: str) -> list[str]:
        """Return the spans of the requests that a launch is made for, the first one first."""
        query = (
            select(submissions.c.traceparent)
            .join(submission_items, submission_items.c.submission_id == submissions.c.submission_id)
            .where(submission_items.c.launch_id == launch_id)
            .where(submissions.c.traceparent.is_not(None))
            .group_by(submissions.c.traceparent)
            .order_by(func.min(submission_items.c.item_id))
        )
        with self._reading() as connection:
            return [str(each) for each in connection.execute(query).scalars()]

    def begun(self, launch_id: str, run_id: str) -> None:
        """Note which run makes a launch."""
        with self._writing() as (connection, _):
            connection.execute(
                update(launches).where(launches.c.launch_id == launch_id).values(run_id=run_id)
            )

    def end(self, launch_id: str, why: str) -> int:
        """End a launch whose run has ended; return how many prompts it left behind.

        Args:
            launch_id: The launch.
            why: What became of the run, for those prompts.
        """
        with self._writing() as (connection, now):
            left = connection.execute(
                select(submission_items.c.kind, submission_items.c.prompt_id)
                .where(
                    submission_items.c.launch_id == launch_id,
                    submission_items.c.state == ItemState.RUNNING.value,
                )
                .distinct()
            ).all()
            for kind, prompt_id in left:
                lost = Settled(Kind(kind), prompt_id, ItemState.FAILED, "unknown", why)
                _settle(connection, launch_id, lost, now)
            connection.execute(
                update(launches).where(launches.c.launch_id == launch_id).values(ended_at=now)
            )
            return len(left)

    def settle(self, launch_id: str, found: Iterable[Settled]) -> None:
        """Write what became of prompts that a launch has made, or could not make."""
        with self._writing() as (connection, now):
            for each in found:
                _settle(connection, launch_id, each, now)

    def forget_answers(self) -> int:
        """Forget the answers that are older than :data:`ANSWERS_KEPT`; return how many."""
        with self._writing() as (connection, now):
            gone = delete(idempotency_keys).where(
                idempotency_keys.c.created_at < now - ANSWERS_KEPT
            )
            return connection.execute(gone).rowcount


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of one prompt of a launch."""

    kind: Kind
    prompt_id: str
    state: ItemState
    error_class: str | None = None
    error: str | None = None


def enter(connection: Connection, submission_id: str, new: NewSubmission, now: datetime) -> None:
    """Write a submission with its prompts, in the caller's transaction.

    Raises:
        PromptTakenError: Somebody else's prompt has one of the ids.
    """
    connection.execute(
        insert(submissions).values(
            submission_id=submission_id,
            owner=new.owner,
            key_id=new.key_id,
            request_id=new.request_id,
            traceparent=traceparent(),
            state=JobState.QUEUED.value,
            prompts=len(new.items),
            clips=new.clips,
            cached=new.cached,
            worst_case_microusd=new.worst_case,
            created_at=now,
            updated_at=now,
        )
    )
    _keep_prompts(connection, new, now)
    for item in new.items:
        if item.retake is not None:
            bump(connection, item.kind, item.prompt_id, item.retake, now)
    connection.execute(
        _INSERT_ITEM,
        [
            {
                "submission_id": submission_id,
                "position": position,
                "kind": item.kind.value,
                "prompt_id": item.prompt_id,
                "variants": item.variants,
                "state": ItemState.QUEUED.value,
                "key_id": new.key_id,
                "updated_at": now,
            }
            for position, item in enumerate(new.items)
        ],
    )
    _event(connection, submission_id, "job.queued", {"prompts": len(new.items)}, now)


def enter_launch(connection: Connection, launch: Launch, now: datetime) -> None:
    """Write down a run that is wanted, in the caller's transaction."""
    connection.execute(
        insert(launches).values(
            launch_id=launch.launch_id,
            job=launch.job,
            kind=launch.kind.value,
            prompts_json=json.dumps(launch.prompt_ids),
            created_at=now,
        )
    )


def job_state(row: Submission | RowMapping | Row[Any]) -> JobState:
    """Return what a submission's counts come to."""
    prompts, running = row.prompts, row.running
    completed, failed, cancelled, refused = (
        row.completed,
        row.failed,
        row.cancelled,
        row.refused,
    )
    ended = completed + failed + cancelled + refused
    if ended < prompts:
        return JobState.RUNNING if running or ended else JobState.QUEUED
    if completed == prompts:
        return JobState.COMPLETED
    if failed + refused == 0:
        return JobState.CANCELLED
    if completed:
        return JobState.PARTLY_FAILED
    return JobState.FAILED if failed else JobState.REFUSED_BY_BUDGET


def _keep_prompts(connection: Connection, new: NewSubmission, now: datetime) -> None:
    written = [item for item in new.items if item.entry is not None]
    known: dict[tuple[str, str], tuple[str, str]] = {}
    for chunk in _chunks([item.prompt_id for item in written]):
        rows = connection.execute(
            select(
                submitted_prompts.c.kind,
                submitted_prompts.c.prompt_id,
                submitted_prompts.c.owner,
                submitted_prompts.c.entry_json,
            ).where(submitted_prompts.c.prompt_id.in_(chunk))
        )
        known.update({(row.kind, row.prompt_id): (row.owner, row.entry_json) for row in rows})
    fresh: list[dict[str, Any]] = []
    for item in written:
        text = json.dumps(item.entry, ensure_ascii=False, sort_keys=True)
        found = known.get((item.kind.value, item.prompt_id))
        if found is None:
            fresh.append(
                {
                    "kind": item.kind.value,
                    "prompt_id": item.prompt_id,
                    "collection": item.collection,
                    "owner": new.owner,
                    "entry_json": text,
                    "revision": 1,
                    "created_at": now,
                    "updated_at": now,
                }
            )
        elif found[0] != new.owner:
            raise PromptTakenError(item.kind, item.prompt_id)
        elif found[1] != text:
            connection.execute(
                update(submitted_prompts)
                .where(
                    submitted_prompts.c.kind == item.kind.value,
                    submitted_prompts.c.prompt_id == item.prompt_id,
                )
                .values(
                    collection=item.collection,
                    entry_json=text,
                    revision=submitted_prompts.c.revision + 1,
                    updated_at=now,
                )
            )
    if fresh:
        connection.execute(_INSERT_PROMPT, fresh)


def _take(
    connection: Connection,
    launch_id: str,
    kind: Kind,
    submission_id: str,
    item_ids: Sequence[int],
    now: datetime,
) -> dict[int, str]:
    """Give a submission's waiting prompts to a launch; return them by item."""
    _lock(connection, submission_id)
    taken: dict[int, str] = {}
    for chunk in _chunks(item_ids):
        rows = connection.execute(
            update(submission_items)
            .where(
                submission_items.c.item_id.in_(chunk),
                submission_items.c.state == ItemState.QUEUED.value,
            )
            .values(state=ItemState.RUNNING.value, launch_id=launch_id, updated_at=now)
            .returning(submission_items.c.item_id, submission_items.c.prompt_id)
        )
        taken |= {row.item_id: row.prompt_id for row in rows}
    if taken:
        _count(connection, submission_id, {"running": len(taken)}, now)
        told = {"prompts": len(taken), "kind": kind.value}
        _event(connection, submission_id, "job.running", told, now)
    return taken


def _settle(connection: Connection, launch_id: str, each: Settled, now: datetime) -> None:
    asked = {"launch": launch_id, "kind": each.kind.value, "prompt": each.prompt_id}
    found = connection.execute(_RUNNING_ITEMS, asked).all()
    for item in sorted(found, key=lambda row: row.submission_id):
        # The submission before its items, as everywhere: Postgres locks rows in that order.
        moved = {"running": -1, _COUNTER[each.state]: 1}
        _count(connection, item.submission_id, moved, now, item_id=item.item_id, each=each)


def _count(
    connection: Connection,
    submission_id: str,
    moved: Mapping[str, int],
    now: datetime,
    *,
    item_id: int | None = None,
    each: Settled | None = None,
) -> None:
    """Move a submission's counts, and an item with them; tell of it, and of its end."""
    _lock(connection, submission_id)
    if item_id is not None and each is not None:
        changed = connection.execute(
            update(submission_items)
            .where(
                submission_items.c.item_id == item_id,
                submission_items.c.state == ItemState.RUNNING.value,
            )
            .values(
                state=each.state.value,
                error_class=each.error_class,
                error=each.error,
                updated_at=now,
            )
        ).rowcount
        if not changed:
            return  # it was cancelled meanwhile
    columns = {name: submissions.c[name] + by for name, by in moved.items()}
    connection.execute(
        update(submissions)
        .where(submissions.c.submission_id == submission_id)
        .values(**columns, updated_at=now)
    )
    if each is not None:
        told = {"kind": each.kind.value, "prompt_id": each.prompt_id, "state": each.state.value}
        if each.error:
            told |= {"error_class": each.error_class or "", "error": each.error}
        _event(connection, submission_id, f"prompt.{each.state.value}", told, now)
    row = connection.execute(_GET, {"id": submission_id}).one()
    state = job_state(row)
    ended = row.completed + row.failed + row.cancelled + row.refused == row.prompts
    values: dict[str, Any] = {"state": state.value}
    if ended:
        values["finished_at"] = now
    connection.execute(
        update(submissions).where(submissions.c.submission_id == submission_id).values(**values)
    )
    if ended:
        counts = {name: getattr(row, name) for name in _COUNTER.values() if name != "running"}
        _event(connection, submission_id, f"job.{state.value}", counts, now)


def _lock(connection: Connection, submission_id: str) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(_LOCK, {"id": submission_id})


def _event(
    connection: Connection, submission_id: str, kind: str, data: Mapping[str, Any], now: datetime
) -> None:
    number = connection.execute(_NEXT_EVENT, {"id": submission_id}).scalar_one()
    connection.execute(
        _INSERT_EVENT,
        {
            "submission_id": submission_id,
            "number": number,
            "type": kind,
            "data_json": json.dumps(data, ensure_ascii=False),
            "created_at": now,
        },
    )


def _answer_to(connection: Connection, owner: str, asked: IdempotencyKey) -> Answer | None:
    row = connection.execute(_ANSWER, {"of_owner": owner, "key": asked.key}).one_or_none()
    if row is None:
        return None
    if row.request_sha256 != asked.request_sha256:
        raise IdempotencyKeyReusedError(
            f"The Idempotency-Key {asked.key!r} stands for another request.",
            hint="Use a new key for a new request, and the same one only to repeat it unchanged.",
        )
    return Answer(row.status, json.loads(row.answer_json), row.location)


def _remember(
    connection: Connection, owner: str, asked: IdempotencyKey, answer: Answer, now: datetime
) -> None:
    connection.execute(
        insert(idempotency_keys).values(
            owner=owner,
            idempotency_key=asked.key,
            request_sha256=asked.request_sha256,
            status=answer.status,
            answer_json=json.dumps(answer.body, ensure_ascii=False),
            location=answer.location,
            created_at=now,
        )
    )


def _submission_from(row: RowMapping) -> Submission:
    fields: dict[str, Any] = {name: row[name] for name in Submission.__slots__}
    fields["state"] = JobState(row["state"])
    return Submission(**fields)


def _item_from(row: RowMapping) -> Item:
    fields: dict[str, Any] = {name: row[name] for name in Item.__slots__}
    fields["kind"], fields["state"] = Kind(row["kind"]), ItemState(row["state"])
    return Item(**fields)


def _launch_from(row: RowMapping) -> Launch:
    prompts = cast("list[str]", json.loads(row["prompts_json"]))
    return Launch(
        row["launch_id"],
        row["job"],
        Kind(row["kind"]),
        tuple(prompts),
        row["run_id"],
        row["created_at"],
    )


def _chunks(values: Sequence[_T]) -> Iterable[Sequence[_T]]:
    for start in range(0, len(values), _VALUES_A_QUERY):
        yield values[start : start + _VALUES_A_QUERY]


def _of(table: Table) -> Any:  # noqa: ANN401 -- a column
    return table.c.submission_id == bindparam("id")


# Statements are built once: building one costs as much as SQLite needs to run it.
_GET = select(submissions).where(_of(submissions))
_LOCK = select(submissions.c.state).where(_of(submissions)).with_for_update()
_NEXT_EVENT = (
    update(submissions)
    .where(_of(submissions))
    .values(last_event=submissions.c.last_event + 1)
    .returning(submissions.c.last_event)
)
_EVENTS = (
    select(submission_events)
    .where(_of(submission_events), submission_events.c.number > bindparam("after"))
    .order_by(submission_events.c.number)
    .limit(bindparam("most"))
)
_ANSWER = select(idempotency_keys).where(
    idempotency_keys.c.owner == bindparam("of_owner"),
    idempotency_keys.c.idempotency_key == bindparam("key"),
)
_WAITING = (
    select(
        submission_items.c.item_id, submission_items.c.submission_id, submission_items.c.prompt_id
    )
    .where(
        submission_items.c.state == ItemState.QUEUED.value,
        submission_items.c.kind == bindparam("kind"),
    )
    .order_by(submission_items.c.item_id)
    .limit(bindparam("most"))
)
_RUNNING_ITEMS = select(submission_items.c.item_id, submission_items.c.submission_id).where(
    submission_items.c.launch_id == bindparam("launch"),
    submission_items.c.kind == bindparam("kind"),
    submission_items.c.prompt_id == bindparam("prompt"),
    submission_items.c.state == ItemState.RUNNING.value,
)
_INSERT_ITEM = insert(submission_items)
_INSERT_EVENT = insert(submission_events)
_INSERT_PROMPT = insert(submitted_prompts)
