"""Frozen records of the ledger's rows."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any, cast

from pydantic import JsonValue, TypeAdapter
from sqlalchemy import RowMapping

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.catalog.terms import Terms, terms_from
from asset_pipeline.ledger.schema import OPEN_STATES, BillingState, IntentState
from asset_pipeline.money import MicroUsd
from asset_pipeline.origin import Origin

UNCAPPED = MicroUsd(10**15)
"""The cap of a budget whose cap was lifted, and the largest that a cap may be."""


@dataclass(frozen=True, slots=True)
class AttemptInputs:
    """What one attempt sends: attempts differ in their derived seed."""

    seed: int | None
    inputs: Mapping[str, JsonValue]


@dataclass(frozen=True, slots=True)
class NewIntent:
    """A payment about to be made, before it has an attempt number.

    Attributes:
        wanted_hash: The generation that was wanted, when this one only stands in for it.
        strategy: How it came to stand in.
        terms: Price and output form as they are now, which the payment keeps.
        wanted_order: Its place in the order of what was wanted of the prompt.
        variants: How many clips the prompt asks for; zero leaves its others alone.
        origin: Who is asked.
        key_id: The API key on whose behalf it is paid.
        launch_id: The launch of submissions that it belongs to.
        traceparent: The span that it is made in, if it is traced.
    """

    generation_hash: str
    kind: Kind
    prompt_id: str
    collection: str
    variant: int
    model: str
    version: str | None
    prompt_text: str
    worst_case: MicroUsd
    price_source: str
    inputs_for_attempt: Callable[[int], AttemptInputs]
    wanted_hash: str | None = None
    strategy: str | None = None
    terms: Terms | None = None
    wanted_order: int = 0
    variants: int = 0
    origin: Origin = field(default_factory=Origin)
    key_id: str | None = None
    launch_id: str | None = None
    traceparent: str | None = None

    def reserved(
        self,
        attempt: int,
        *,
        run_id: str,
        worker_id: str,
        now: datetime,
        run_budget: str | None = None,
    ) -> Intent:
        """Return the intent of one attempt as it begins, its money set aside.

        Args:
            attempt: Its number, from 1.
            run_id: The run that pays.
            worker_id: The process that pays.
            now: The time of the reservation.
            run_budget: The run whose cap it falls under, where that is another.
        """
        sent = self.inputs_for_attempt(attempt)
        return Intent(
            intent_id=uuid.uuid4().hex,
            generation_hash=self.generation_hash,
            attempt=attempt,
            kind=self.kind,
            prompt_id=self.prompt_id,
            collection=self.collection,
            variant=self.variant,
            model=self.model,
            version=self.version,
            prompt_text=self.prompt_text,
            seed=sent.seed,
            inputs_json=json.dumps(sent.inputs, ensure_ascii=False, sort_keys=True),
            run_id=run_id,
            worker_id=worker_id,
            state=IntentState.RESERVED,
            prediction_id=None,
            reserved_microusd=self.worst_case,
            charged_microusd=MicroUsd(0),
            price_source=self.price_source,
            billed=None,
            predict_seconds=None,
            error_class=None,
            error=None,
            created_at=now,
            submitted_at=None,
            lost_at=None,
            absent_listings=0,
            completed_at=None,
            delivered_at=None,
            updated_at=now,
            wanted_hash=self.wanted_hash,
            strategy=self.strategy,
            provider=self.origin.provider,
            base_url=self.origin.base_url,
            account=self.origin.account,
            terms_json=None if self.terms is None else self.terms.to_json(),
            wanted_order=self.wanted_order,
            run_budget=run_budget,
            key_id=self.key_id,
            launch_id=self.launch_id,
            traceparent=self.traceparent,
        )


@dataclass(frozen=True, slots=True)
class Intent:
    """One row of ``intents``."""

    intent_id: str
    generation_hash: str
    attempt: int
    kind: Kind
    prompt_id: str
    collection: str
    variant: int
    model: str
    version: str | None
    prompt_text: str
    seed: int | None
    inputs_json: str
    run_id: str
    worker_id: str
    state: IntentState
    prediction_id: str | None
    reserved_microusd: MicroUsd
    charged_microusd: MicroUsd
    price_source: str
    billed: BillingState | None
    predict_seconds: float | None
    error_class: str | None
    error: str | None
    created_at: datetime
    submitted_at: datetime | None
    lost_at: datetime | None
    absent_listings: int
    completed_at: datetime | None
    delivered_at: datetime | None
    updated_at: datetime
    wanted_hash: str | None = None
    strategy: str | None = None
    provider: str = ""
    base_url: str = ""
    account: str = ""
    terms_json: str | None = None
    wanted_order: int = 0
    stored_json: str | None = None
    found_late_at: datetime | None = None
    charge_note: str | None = None
    run_budget: str | None = None
    key_id: str | None = None
    launch_id: str | None = None
    traceparent: str | None = None

    @property
    def origin(self) -> Origin:
        """Who was asked."""
        return Origin(self.provider, self.base_url, self.account)

    @property
    def terms(self) -> Terms | None:
        """The terms it was begun on; None where an earlier release kept none."""
        return None if self.terms_json is None else terms_from(self.terms_json)

    @property
    def noted(self) -> NotedFile | None:
        """The verified file that was to be stored when its process ended; None without one."""
        return None if self.stored_json is None else _NOTED.validate_json(self.stored_json)

    @property
    def is_open(self) -> bool:
        """Whether money is still reserved or a clip still to be fetched."""
        return self.state in OPEN_STATES

    @property
    def inputs(self) -> dict[str, JsonValue]:
        """The inputs exactly as they are sent."""
        return cast("dict[str, JsonValue]", json.loads(self.inputs_json))


@dataclass(frozen=True, slots=True)
class Reuse:
    """The variant of a prompt that a stored clip becomes the current clip of, and for whom.

    Attributes:
        variants: How many clips the prompt asks for; zero leaves its others alone.
        wanted_order: The run's place in the order of what was wanted.
        wanted_hash: The generation that was wanted, where the clip only stands in for it.
        strategy: How it came to stand in.
    """

    kind: Kind
    prompt_id: str
    collection: str
    variant: int
    run_id: str
    variants: int = 0
    wanted_order: int = 0
    wanted_hash: str | None = None
    strategy: str | None = None


@dataclass(frozen=True, slots=True)
class Clip:
    """One row of ``clips``: this variant of this prompt is this stored file."""

    clip_id: str
    kind: Kind
    prompt_id: str
    collection: str
    variant: int
    model: str
    generation_hash: str
    intent_id: str
    prediction_id: str
    run_id: str
    object_key: str
    object_uri: str
    sha256: str
    bytes: int
    mime: str
    width: int | None
    height: int | None
    duration_seconds: float | None
    cost_microusd: MicroUsd
    created_at: datetime
    superseded_at: datetime | None
    approved_at: datetime | None = None
    used_at: datetime | None = None
    removed_at: datetime | None = None
    wanted_hash: str | None = None
    strategy: str | None = None
    provider: str = ""
    base_url: str = ""
    account: str = ""
    wanted_order: int = 0
    review_state: str | None = None
    review_id: int | None = None

    @property
    def origin(self) -> Origin:
        """Who made it."""
        return Origin(self.provider, self.base_url, self.account)


@dataclass(frozen=True, slots=True)
class Parent:
    """One thing a clip was made from."""

    parent_type: str
    parent_id: str
    parent_sha256: str | None
    relation: str


@dataclass(frozen=True, slots=True)
class StoredFile:
    """The verified file that a delivery records."""

    object_key: str
    object_uri: str
    sha256: str
    bytes: int
    mime: str
    width: int | None
    height: int | None
    duration_seconds: float | None


@dataclass(frozen=True, slots=True)
class NotedFile:
    """A verified file as its intent notes it before it is put into the store.

    Attributes:
        stored: What it is, and the key that it gets.
        lineage: What else is to be recorded with the clip: the bytes as they were received, and
            the other files of the same output.
    """

    stored: StoredFile
    lineage: tuple[Parent, ...] = ()

    def to_json(self) -> str:
        """Return it as the ledger keeps it."""
        return _NOTED.dump_json(self).decode()


@dataclass(frozen=True, slots=True)
class BudgetBalance:
    """One budget as it stands."""

    budget: str
    period: str
    cap: MicroUsd
    charged: MicroUsd
    reserved: MicroUsd

    @property
    def is_capped(self) -> bool:
        """Whether a cap is in force; without one, spending is counted and not limited."""
        return self.cap < UNCAPPED

    @property
    def headroom(self) -> MicroUsd:
        """What may still be reserved; never negative."""
        return MicroUsd(max(0, self.cap - self.charged - self.reserved))


_NOTED = TypeAdapter(NotedFile)


def intent_from(row: RowMapping) -> Intent:
    """Build an intent from its row."""
    billed = row["billed"]
    fields: dict[str, Any] = {name: row[name] for name in Intent.__slots__}
    fields["kind"] = Kind(row["kind"])
    fields["state"] = IntentState(row["state"])
    fields["billed"] = None if billed is None else BillingState(billed)
    return Intent(**fields)


def row_of(record: Intent | Clip) -> dict[str, Any]:
    """Return the row of a record, with enumerations as their words."""
    return as_columns({name: getattr(record, name) for name in record.__slots__})


def as_columns(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return fields as they are written, enumerations as their words."""
    return {
        name: value.value if isinstance(value, Enum) else value for name, value in fields.items()
    }


def clip_from(row: RowMapping) -> Clip:
    """Build a clip from its row."""
    fields: dict[str, Any] = {name: row[name] for name in Clip.__slots__}
    fields["kind"] = Kind(row["kind"])
    return Clip(**fields)


def budget_from(row: RowMapping) -> BudgetBalance:
    """Build a balance from its row of ``budgets``."""
    return BudgetBalance(
        budget=row["budget"],
        period=row["period"],
        cap=MicroUsd(row["cap_microusd"]),
        charged=MicroUsd(row["charged_microusd"]),
        reserved=MicroUsd(row["reserved_microusd"]),
    )
