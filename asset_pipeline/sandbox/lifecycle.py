"""A prediction's life, laid down when it is created and read off the clock afterwards.

Nothing runs in the background: when it starts, when it ends and how are columns of its row, and
the status is what they say at the moment of asking. A restart therefore changes nothing, and two
server processes always tell the same story.
"""

from __future__ import annotations

import base64
import json
import random
import secrets
import sqlite3
from dataclasses import dataclass
from typing import Any, cast

from pydantic import JsonValue

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.catalog.spec import Model
from asset_pipeline.sandbox.faults.names import FaultName
from asset_pipeline.sandbox.faults.plan import FaultRule
from asset_pipeline.sandbox.options import SandboxOptions
from asset_pipeline.sandbox.outputs import planned_output
from asset_pipeline.sandbox.state import MICROSECONDS, State
from asset_pipeline.sandbox.webhooks import Webhook

RETENTION_US = 3600 * MICROSECONDS
TERMINAL = frozenset({"succeeded", "failed", "canceled", "aborted"})


@dataclass(frozen=True, slots=True)
class Prediction:
    """One accepted prediction. Times are microseconds since 1970 on the server's clock.

    Args:
        id: The row's own.
        account: Whose token created it.
        created_us: As clients see it, both skews included; the other times are without them.
        starts_us: When it starts to run; None when it ends before that.
        ends_us: When it reaches :attr:`outcome`.
        deadline_us: When it was told to end at the latest (``Cancel-After``).
        outcome: The terminal status.
        output: What it will deliver: see :func:`asset_pipeline.sandbox.outputs.planned_output`.
        audio_seconds: Measured length of the sound, once it was rendered.
        skew_us: How far the clock that clients see was off when it was created.
        created_skew_us: How far ``created_at`` was off on top of that.
        shown_id: Id of an earlier prediction that is shown in place of its own.
        webhook: Where its ends are posted to, as the create said.
    """

    seq: int
    id: str
    model: str
    version: str
    deployment: str | None
    kind: Kind
    prompt: str
    input: dict[str, JsonValue]
    output: dict[str, JsonValue]
    created_us: int
    starts_us: int | None
    ends_us: int
    deadline_us: int | None
    outcome: str
    error: str | None
    fault: FaultRule | None
    audio_seconds: float | None
    account: str
    skew_us: int
    created_skew_us: int
    shown_id: str | None
    webhook: Webhook | None

    @property
    def public_id(self) -> str:
        """The id that clients see."""
        return self.shown_id or self.id

    @property
    def accepted_us(self) -> int:
        """When it was accepted, by the server's own clock."""
        return self.created_us - self.skew_us - self.created_skew_us

    def status(self, now_us: int) -> str:
        """Return the status at a moment."""
        if now_us >= self.ends_us:
            return self.outcome
        if self.starts_us is not None and now_us >= self.starts_us:
            return "processing"
        return "starting"

    def removed(self, now_us: int) -> bool:
        """Return whether its input, output and files have vanished."""
        return now_us >= self.ends_us + RETENTION_US

    @property
    def files(self) -> list[str]:
        """Names of the files it delivers, in order."""
        return cast("list[str]", self.output["files"])


@dataclass(frozen=True, slots=True)
class Order:
    """What a client asked for, validated.

    Args:
        cancel_after: Seconds after which it must have ended, if a limit was set.
        deployment: ``owner/name`` of the deployment it was sent to, if one.
        fault: What is to go wrong with it.
        webhook: Where to post what becomes of it, if anywhere.
        shown_id: Id to show in place of its own.
    """

    account: str
    model: Model
    inputs: dict[str, JsonValue]
    cancel_after: float | None = None
    deployment: str | None = None
    fault: FaultRule | None = None
    webhook: Webhook | None = None
    shown_id: str | None = None


def accept(state: State, options: SandboxOptions, order: Order) -> Prediction:
    """Write a prediction down, its whole life with it; from here on it is billed."""
    created, skew = state.now_us(), state.skew()
    starts, ends = _times(options, order, created)
    outcome, error = _outcome(order.fault)
    deadline = None
    if order.cancel_after is not None:
        deadline = created + round(order.cancel_after * MICROSECONDS)
    if outcome == "aborted" or (deadline is not None and deadline < starts):
        outcome, error, ends = "aborted", None, min(starts, deadline or starts)
    elif deadline is not None and deadline < ends:
        outcome, error, ends = "canceled", None, deadline
    row = state.connection.execute(
        "INSERT INTO predictions (id, model, version, deployment, kind, prompt, input, output,"
        " created_us, starts_us, ends_us, deadline_us, outcome, error, fault, account, skew_us,"
        " created_skew_us, shown_id, webhook)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING *",
        (
            _new_id(),
            order.model.name,
            order.model.version or "hidden",
            order.deployment,
            order.model.kind,
            str(order.inputs.get(order.model.prompt_input, "")),
            json.dumps(order.inputs),
            json.dumps(planned_output(order.model, order.inputs)),
            created + skew.clock_us + skew.created_us,
            None if outcome == "aborted" else starts,
            ends,
            deadline,
            outcome,
            error,
            None if order.fault is None else order.fault.model_dump_json(exclude_defaults=True),
            order.account,
            skew.clock_us,
            skew.created_us,
            order.shown_id,
            None if order.webhook is None else order.webhook.stored(),
        ),
    ).fetchone()
    return from_row(row)


def find(state: State, prediction_id: str) -> Prediction | None:
    """Return a prediction by the id of its row."""
    row = state.connection.execute(
        "SELECT * FROM predictions WHERE id = ?", (prediction_id,)
    ).fetchone()
    return None if row is None else from_row(row)


def find_of(state: State, account: str, public_id: str) -> Prediction | None:
    """Return an account's prediction by the id that it is shown by."""
    row = state.connection.execute(
        "SELECT * FROM predictions WHERE id = ? AND account = ? AND shown_id IS NULL",
        (public_id, account),
    ).fetchone()
    return None if row is None else from_row(row)


def latest_of(state: State, account: str) -> Prediction | None:
    """Return the last prediction that an account made."""
    row = state.connection.execute(
        "SELECT * FROM predictions WHERE account = ? ORDER BY seq DESC LIMIT 1", (account,)
    ).fetchone()
    return None if row is None else from_row(row)


def cancel(state: State, prediction_id: str) -> Prediction | None:
    """End a prediction now; one that has ended stays as it is, one unknown is None."""
    now = state.now_us()
    state.connection.execute(
        "UPDATE predictions SET outcome = 'canceled', error = NULL, ends_us = :now,"
        " starts_us = CASE WHEN starts_us <= :now THEN starts_us END"
        " WHERE id = :id AND ends_us > :now",
        {"now": now, "id": prediction_id},
    )
    return find(state, prediction_id)


def from_row(row: sqlite3.Row) -> Prediction:
    """Turn a row of ``predictions`` into a :class:`Prediction`."""
    values: dict[str, Any] = {key: row[key] for key in row.keys() if key != "swept"}  # noqa: SIM118 -- a Row iterates over its values
    fault = values["fault"]
    values["kind"] = Kind(values["kind"])
    values["input"] = json.loads(values["input"])
    values["output"] = json.loads(values["output"])
    values["fault"] = None if fault is None else FaultRule.model_validate_json(fault)
    values["webhook"] = None if values["webhook"] is None else Webhook.read(values["webhook"])
    return Prediction(**values)


def _times(options: SandboxOptions, order: Order, created: int) -> tuple[int, int]:
    # No need for secrecy, and a repeatable load is none of this number's business.
    roll = random.random()  # noqa: S311
    if options.predict_seconds is not None:
        shortest, longest = options.predict_seconds
        running = shortest + (longest - shortest) * roll
    elif order.model.kind is Kind.IMAGE:
        small = order.inputs.get("megapixels") == "0.25"
        running = (0.6 if small else 1.0) * (0.85 + 0.3 * roll)
    else:
        text = str(order.inputs.get(order.model.prompt_input, ""))
        running = (0.4 + len(text) / 1000) * (0.85 + 0.3 * roll)
    if order.fault is not None and order.fault.fault is FaultName.SLOW:
        running += order.fault.params.seconds
    starts = created + round(options.start_seconds * MICROSECONDS)
    return starts, starts + round(running * MICROSECONDS)


def _outcome(rule: FaultRule | None) -> tuple[str, str | None]:
    if rule is None:
        return "succeeded", None
    if rule.fault is FaultName.FAILED:
        return "failed", rule.params.failure
    if rule.fault in (FaultName.CANCELED, FaultName.ABORTED):
        return str(rule.fault), None
    return "succeeded", None


def _new_id() -> str:
    return base64.b32encode(secrets.token_bytes(16)).decode().rstrip("=").lower()
