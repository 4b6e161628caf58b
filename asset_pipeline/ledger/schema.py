"""The ledger's tables, as SQLAlchemy Core; the same on SQLite and Postgres.

Money columns end in ``_microusd`` and hold integers. Times are UTC. The schema is created and
changed only by the migrations beside this module; a test compares the two.
"""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from asset_pipeline.ledger.column_types import RowId, UtcDateTime, metadata, one_of

TEXT = "text"
"""The kind of an intent that pays a language model: it makes neither image nor audio."""


class IntentState(StrEnum):
    """Where a paid call stands. The order is the order of the paid call."""

    RESERVED = "reserved"  # money set aside, nothing sent
    SUBMITTING = "submitting"  # the one POST may be on the wire
    UNKNOWN = "unknown"  # no clear answer to the POST: reconcile before anything else
    SUBMITTED = "submitted"  # the provider accepted it; its prediction id is stored
    COMPLETED = "completed"  # succeeded and charged; the clip is not stored yet
    QUESTION = "question"  # cannot be proved either way any more: a person decides
    DELIVERED = "delivered"  # the clip is stored and recorded
    FAILED = "failed"  # accepted and ended without a clip
    REFUSED = "refused"  # certainly never accepted: all its money is back


OPEN_STATES = (
    IntentState.RESERVED,
    IntentState.SUBMITTING,
    IntentState.UNKNOWN,
    IntentState.SUBMITTED,
    IntentState.COMPLETED,
    IntentState.QUESTION,
)


class EntryType(StrEnum):
    """The four movements. Balances are sums of entries.

    ``reserved = reserve - release``, ``charged = charge`` and ``cap = adjust``. A correction is a
    charge of the difference, which may be negative.
    """

    RESERVE = "reserve"
    CHARGE = "charge"
    RELEASE = "release"
    ADJUST = "adjust"


class BillingState(StrEnum):
    """Whether the provider billed a prediction; what is unknown counts as billed."""

    BILLED = "billed"
    FREE = "free"
    UNKNOWN = "unknown"
    ORPHAN = "orphan"  # billed, and no intent asked for it


class BreakerState(StrEnum):
    """Whether new predictions are asked of a model."""

    CLOSED = "closed"  # all is well
    OPEN = "open"  # it failed too often: nothing is sent until its time is up
    HALF_OPEN = "half_open"  # one prediction at a time tries whether it works again


OPEN_WORDS = "state IN ({})".format(", ".join(f"'{state}'" for state in OPEN_STATES))
"""SQL that an intent is open: SQLite uses a partial index only where it finds its very words."""

_OPEN = text(f"{OPEN_WORDS} AND found_late_at IS NULL")
_UNENDED = text(OPEN_WORDS)

intents = Table(
    "intents",
    metadata,
    Column("intent_id", String(32), primary_key=True),
    Column("generation_hash", String(64), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("prompt_id", String(100), nullable=False),
    Column("collection", String(100), nullable=False),
    Column("variant", Integer, nullable=False),
    Column("model", String(200), nullable=False),
    Column("version", String(64)),
    Column("prompt_text", Text, nullable=False),
    Column("seed", BigInteger),
    Column("inputs_json", Text, nullable=False),  # exactly what is sent
    Column("run_id", String(64), nullable=False),
    Column("worker_id", String(32), nullable=False),
    Column("state", String(16), nullable=False),
    Column("prediction_id", String(64), unique=True),
    Column("reserved_microusd", BigInteger, nullable=False),
    Column("charged_microusd", BigInteger, nullable=False, server_default=text("0")),
    Column("price_source", Text, nullable=False),
    Column("billed", String(16)),
    Column("predict_seconds", Float),
    Column("error_class", String(32)),
    Column("error", Text),
    Column("created_at", UtcDateTime, nullable=False),
    Column("submitted_at", UtcDateTime),
    Column("lost_at", UtcDateTime),
    Column("absent_listings", Integer, nullable=False, server_default=text("0")),
    Column("completed_at", UtcDateTime),
    Column("delivered_at", UtcDateTime),
    Column("updated_at", UtcDateTime, nullable=False),
    # The generation that was wanted, and how this one came to stand in for it; NULL when it is what
    # was wanted itself.
    Column("wanted_hash", String(64)),
    Column("strategy", String(64)),
    # Who was asked: nothing of it is looked up later from the environment. Empty in rows that an
    # earlier release wrote.
    Column("provider", String(16), nullable=False, server_default=text("''")),
    Column("base_url", Text, nullable=False, server_default=text("''")),
    Column("account", String(200), nullable=False, server_default=text("''")),
    # The price and the shape of the output as they were when the money was set aside.
    Column("terms_json", Text),
    # Its place in the order of what was wanted of the prompt: the newest is the current clip.
    Column("wanted_order", BigInteger, nullable=False, server_default=text("0")),
    # Clips delivered before this did not count when the money was set aside: with force the start
    # of the run, else the beginning of time. NULL in rows that an earlier release wrote.
    Column("counts_from", UtcDateTime),
    # The verified file, written before it is put into the store, so that it is found again.
    Column("stored_json", Text),
    # When a prediction turned up that had been given up as never accepted.
    Column("found_late_at", UtcDateTime),
    # Why the charge is not what the provider's own numbers or the reservation say.
    Column("charge_note", Text),
    # The run whose cap it falls under, where that is another than its own.
    Column("run_budget", String(64)),
    # The API key on whose behalf it is paid, whose budget it falls under.
    Column("key_id", String(16)),
    # The launch of submissions that paid it.
    Column("launch_id", String(32)),
    # The span that it was made in, as the header of that name: whoever finishes it links to it.
    Column("traceparent", String(64)),
    one_of("state", IntentState),
    CheckConstraint("reserved_microusd >= 0", name="reserved_not_negative"),
    CheckConstraint("charged_microusd >= 0", name="charged_not_negative"),
    # Two processes that plan the same attempt collide here, and one of them looks again.
    UniqueConstraint("generation_hash", "attempt"),
    # At most one open intent per generation: the rule behind "never paid twice". One that turned up
    # late is beside it: it is paid for already.
    Index(
        "uq_intents_open",
        "generation_hash",
        unique=True,
        sqlite_where=_OPEN,
        postgresql_where=_OPEN,
    ),
    Index("ix_intents_state_updated", "state", "updated_at"),
    Index("ix_intents_prompt", "kind", "prompt_id", "variant"),
    Index("ix_intents_run", "run_id"),
    Index("ix_intents_created", "created_at"),
    Index("ix_intents_wanted", "wanted_hash"),
    Index("ix_intents_key", "key_id"),
    Index("ix_intents_launch", "launch_id", "kind", "prompt_id"),
    # The oldest of each open state, for metrics, without a look at any row.
    Index(
        "ix_intents_open_age",
        "state",
        "created_at",
        sqlite_where=_UNENDED,
        postgresql_where=_UNENDED,
    ),
)

budgets = Table(
    "budgets",
    metadata,
    Column("budget", String(200), primary_key=True),  # "total", "daily:2026-11-21", "run:<id>", ...
    Column("period", String(16), nullable=False),
    Column("period_start", Date),
    Column("cap_microusd", BigInteger, nullable=False),
    Column("charged_microusd", BigInteger, nullable=False, server_default=text("0")),
    Column("reserved_microusd", BigInteger, nullable=False, server_default=text("0")),
    # What a lowered cap, or a provider that billed more than its price, left above the cap.
    Column("overdrawn_microusd", BigInteger, nullable=False, server_default=text("0")),
    Column("created_at", UtcDateTime, nullable=False),
    CheckConstraint("cap_microusd >= 0", name="cap_not_negative"),
    CheckConstraint("charged_microusd >= 0", name="charged_not_negative"),
    CheckConstraint("reserved_microusd >= 0", name="reserved_not_negative"),
    CheckConstraint("overdrawn_microusd >= 0", name="overdrawn_not_negative"),
    CheckConstraint(
        "charged_microusd + reserved_microusd <= cap_microusd + overdrawn_microusd",
        name="within_cap",
    ),
)

entries = Table(
    "entries",
    metadata,
    Column("entry_id", RowId, primary_key=True, autoincrement=True),
    Column("intent_id", String(32), ForeignKey("intents.intent_id")),
    Column("budget", String(200), ForeignKey("budgets.budget"), nullable=False),
    Column("type", String(16), nullable=False),
    Column("amount_microusd", BigInteger, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    one_of("type", EntryType),
    Index("ix_entries_intent", "intent_id", "type"),
    Index("ix_entries_budget", "budget", "type"),
)

# Who waits for reserved money to come back, in the order of coming: one row a process and budget.
waiting = Table(
    "waiting",
    metadata,
    Column("ticket", RowId, primary_key=True, autoincrement=True),
    Column("worker_id", String(32), nullable=False),
    Column("budget", String(200), nullable=False),
    Column("seen_at", UtcDateTime, nullable=False),
    UniqueConstraint("worker_id", "budget"),
)

clips = Table(
    "clips",
    metadata,
    Column("clip_id", String(32), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("prompt_id", String(100), nullable=False),
    Column("collection", String(100), nullable=False),
    Column("variant", Integer, nullable=False),
    Column("model", String(200), nullable=False),
    Column("generation_hash", String(64), nullable=False),
    Column("intent_id", String(32), ForeignKey("intents.intent_id"), nullable=False),
    Column("prediction_id", String(64), nullable=False),
    Column("run_id", String(64), nullable=False),
    Column("object_key", Text, nullable=False),
    Column("object_uri", Text, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("mime", String(64), nullable=False),
    Column("width", Integer),
    Column("height", Integer),
    Column("duration_seconds", Float),
    # What this row cost: nothing when it reuses a clip that was paid for under another prompt id.
    Column("cost_microusd", BigInteger, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("superseded_at", UtcDateTime),
    Column("approved_at", UtcDateTime),
    Column("used_at", UtcDateTime),  # last exported or linked to
    # Since when its object no longer counts: deleted by retention or lost, which `custody` tells.
    Column("removed_at", UtcDateTime),
    Column("wanted_hash", String(64)),  # as for intents
    Column("strategy", String(64)),
    Column("provider", String(16), nullable=False, server_default=text("''")),
    Column("base_url", Text, nullable=False, server_default=text("''")),
    Column("account", String(200), nullable=False, server_default=text("''")),
    Column("wanted_order", BigInteger, nullable=False, server_default=text("0")),
    # What people think of it, by the last row of `reviews`; NULL before anybody decided.
    Column("review_state", String(16)),
    Column("review_id", BigInteger),
    Index("ix_clips_created", "created_at", "clip_id"),
    Index(
        "uq_clips_current",
        "kind",
        "prompt_id",
        "variant",
        unique=True,
        sqlite_where=text("superseded_at IS NULL"),
        postgresql_where=text("superseded_at IS NULL"),
    ),
    Index("ix_clips_generation", "generation_hash"),
    Index("ix_clips_sha256", "sha256"),
    Index("ix_clips_intent", "intent_id"),
    Index("ix_clips_object", "object_key"),
    Index("ix_clips_wanted", "wanted_hash"),
)

lineage = Table(
    "lineage",
    metadata,
    Column("lineage_id", RowId, primary_key=True, autoincrement=True),
    Column("child_uri", Text, nullable=False),
    Column("child_sha256", String(64), nullable=False),
    Column("parent_type", String(16), nullable=False),
    Column("parent_id", Text, nullable=False),
    Column("parent_sha256", String(64)),
    Column("relation", String(32), nullable=False),
    Column("run_id", String(64), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    UniqueConstraint("child_uri", "parent_type", "parent_id", "relation"),
)

# What is wanted of each variant of each prompt, as the newest run that asked knew it.
wants = Table(
    "wants",
    metadata,
    Column("kind", String(16), primary_key=True),
    Column("prompt_id", String(100), primary_key=True),
    Column("variant", Integer, primary_key=True),
    Column("wanted_hash", String(64), nullable=False),  # empty: nothing any more
    Column("wanted_order", BigInteger, nullable=False),
)

# One row: which ledger this is, whose payments it holds, and the last number of an order.
ledger_identity = Table(
    "ledger_identity",
    metadata,
    Column("one", Integer, primary_key=True),
    Column("ledger_id", String(32), nullable=False),
    Column("provider", String(16), nullable=False, server_default=text("''")),
    Column("last_order", BigInteger, nullable=False, server_default=text("0")),
    Column("created_at", UtcDateTime, nullable=False),
    CheckConstraint("one = 1", name="one_row"),
)

# How the last run that could not finish a prompt left it: what no intent tells, for a reservation
# that a budget refused leaves none.
endings = Table(
    "endings",
    metadata,
    Column("kind", String(16), primary_key=True),
    Column("prompt_id", String(100), primary_key=True),
    Column("how", String(16), nullable=False),  # failed, refused (by a budget), cancelled
    Column("error_class", String(32), nullable=False),
    Column("run_id", String(64), nullable=False),
    Column("ended_at", UtcDateTime, nullable=False),
)

# The configuration files that money went by, as they were last in force.
configurations = Table(
    "configurations",
    metadata,
    Column("name", String(64), primary_key=True),  # "budgets.yaml"
    Column("path", Text, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("in_force_since", UtcDateTime, nullable=False),
)

workers = Table(
    "workers",
    metadata,
    Column("worker_id", String(32), primary_key=True),
    Column("host", String(255), nullable=False),
    Column("pid", Integer, nullable=False),
    Column("pid_started", Float, nullable=False),  # tells a reused pid from the process meant
    # Host names and process ids repeat over containers and cloned machines; these two don't.
    Column("boot_id", String(64), nullable=False, server_default=text("''")),
    Column("pid_namespace", String(64), nullable=False, server_default=text("''")),
    Column("run_id", String(64), nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("heartbeat_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
    Index(
        "ix_workers_unended",
        "heartbeat_at",
        sqlite_where=text("ended_at IS NULL"),
        postgresql_where=text("ended_at IS NULL"),
    ),
)

# A model without a row has a closed breaker that never counted anything.
breakers = Table(
    "breakers",
    metadata,
    Column("model", String(200), primary_key=True),
    Column("state", String(16), nullable=False),
    # Grows with each change of state: what was sent before the last one says nothing about now.
    Column("epoch", Integer, nullable=False),
    # Failures in a row, of creates and of predictions, since one of the kind went well.
    Column("create_failures", Integer, nullable=False),
    Column("prediction_failures", Integer, nullable=False),
    # How often in a row it opened without closing, which is how long it stays open.
    Column("openings", Integer, nullable=False),
    Column("last_error_class", String(32)),
    Column("last_error", Text),
    Column("last_failure_at", UtcDateTime),
    Column("opened_at", UtcDateTime),  # since when it has not been closed
    Column("retry_at", UtcDateTime),  # when a probe may be sent
    Column("probe_owner", String(32)),
    Column("probe_expires_at", UtcDateTime),
    Column("updated_at", UtcDateTime, nullable=False),
    one_of("state", BreakerState),
    CheckConstraint(
        "state <> 'open' OR (opened_at IS NOT NULL AND retry_at IS NOT NULL)", name="open_has_times"
    ),
    CheckConstraint(
        "(probe_owner IS NULL) = (probe_expires_at IS NULL)", name="probe_has_an_expiry"
    ),
    CheckConstraint("probe_owner IS NULL OR state = 'half_open'", name="probe_in_half_open"),
)

# One row a kind of request that the provider limits; processes lease slots of it.
rate_limits = Table(
    "rate_limits",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("per_minute", Integer, nullable=False),
    Column("share", Float, nullable=False),  # of per_minute, lowered by a 429 and raised by time
    Column("next_slot_at", UtcDateTime, nullable=False),
    Column("paused_until", UtcDateTime),
    Column("throttled_at", UtcDateTime),
    Column("throttles", Integer, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    CheckConstraint("share > 0 AND share <= 1", name="share_of_one"),
)
