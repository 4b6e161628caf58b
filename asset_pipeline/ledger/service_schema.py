"""The tables behind the HTTP service: what was submitted, by whom, and what people decided."""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
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


class ItemState(StrEnum):
    """Where one prompt of a submission stands."""

    QUEUED = "queued"  # no run has it yet
    RUNNING = "running"  # a run was asked for it
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    REFUSED_BY_BUDGET = "refused_by_budget"


class JobState(StrEnum):
    """Where a whole submission stands."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    PARTLY_FAILED = "partly_failed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    REFUSED_BY_BUDGET = "refused_by_budget"


class Verdict(StrEnum):
    """What a person decided about one stored file; ``undecided`` takes a decision back."""

    APPROVED = "approved"
    REJECTED = "rejected"
    UNDECIDED = "undecided"


class Scope(StrEnum):
    """What a key may do."""

    READ = "read"
    REVIEW = "review"
    GENERATE = "generate"
    ADMIN = "admin"


api_keys = Table(
    "api_keys",
    metadata,
    Column("key_id", String(16), primary_key=True),
    Column("name", String(100), nullable=False),
    # 256 random bits need no slow hash: guessing one takes for ever either way.
    Column("secret_sha256", String(64), nullable=False),
    Column("scopes", String(100), nullable=False),  # separated by commas
    Column("budget_microusd", BigInteger),  # all that the key may ever spend; NULL for no cap
    Column("rate_per_minute", Integer),  # NULL for no limit
    Column("created_by", String(200), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime),
    Column("revoked_at", UtcDateTime),
    CheckConstraint("budget_microusd >= 0", name="budget_not_negative"),
    CheckConstraint("rate_per_minute > 0", name="rate_positive"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("session_sha256", String(64), primary_key=True),
    Column("key_id", String(16), ForeignKey("api_keys.key_id"), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
)

# One row a caller that has a limit: when its next request would come if all came evenly (GCRA).
request_rates = Table(
    "request_rates",
    metadata,
    Column("name", String(100), primary_key=True),
    Column("next_us", BigInteger, nullable=False),  # microseconds since 1970
)

uploads = Table(
    "uploads",
    metadata,
    Column("file_id", String(40), primary_key=True),
    Column("owner", String(200), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("mime", String(64), nullable=False),
    Column("extension", String(8), nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("width", Integer),
    Column("height", Integer),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("removed_at", UtcDateTime),
    Index("ix_uploads_owner", "owner", "removed_at"),
)

# The prompts that came over HTTP, as collection entries with their defaults filled in.
submitted_prompts = Table(
    "submitted_prompts",
    metadata,
    Column("kind", String(16), primary_key=True),
    Column("prompt_id", String(100), primary_key=True),
    Column("collection", String(100), nullable=False),
    Column("owner", String(200), nullable=False),
    Column("entry_json", Text, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
)

# How often another take of a prompt's variant was asked for. It is part of the prompt's data
# version, so that exactly this prompt's clips become stale.
takes = Table(
    "takes",
    metadata,
    Column("kind", String(16), primary_key=True),
    Column("prompt_id", String(100), primary_key=True),
    Column("variant", Integer, primary_key=True),
    Column("take", Integer, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
)

# A run that a sensor asked for, and whether Dagster has it: it is offered until it has.
launches = Table(
    "launches",
    metadata,
    Column("launch_id", String(32), primary_key=True),
    Column("job", String(64), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("prompts_json", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("run_id", String(64)),
    Column("ended_at", UtcDateTime),
    Index(
        "ix_launches_unended",
        "ended_at",
        sqlite_where=text("ended_at IS NULL"),
        postgresql_where=text("ended_at IS NULL"),
    ),
)

submissions = Table(
    "submissions",
    metadata,
    Column("submission_id", String(32), primary_key=True),
    Column("owner", String(200), nullable=False),
    Column("key_id", String(16)),
    Column("request_id", String(64), nullable=False),
    Column("traceparent", String(64)),  # the request's span
    Column("state", String(20), nullable=False),
    Column("prompts", Integer, nullable=False),
    Column("clips", Integer, nullable=False),
    Column("cached", Integer, nullable=False),
    Column("worst_case_microusd", BigInteger, nullable=False),
    Column("running", Integer, nullable=False, server_default=text("0")),
    Column("completed", Integer, nullable=False, server_default=text("0")),
    Column("failed", Integer, nullable=False, server_default=text("0")),
    Column("cancelled", Integer, nullable=False, server_default=text("0")),
    Column("refused", Integer, nullable=False, server_default=text("0")),
    Column("last_event", Integer, nullable=False, server_default=text("0")),
    Column("cancel_requested", Boolean, nullable=False, server_default=text("false")),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("finished_at", UtcDateTime),
    one_of("state", JobState),
    Index("ix_submissions_owner", "owner", "created_at"),
)

_WAITING = text("state = 'queued'")

submission_items = Table(
    "submission_items",
    metadata,
    Column("item_id", RowId, primary_key=True, autoincrement=True),
    Column("submission_id", String(32), ForeignKey("submissions.submission_id"), nullable=False),
    Column("position", Integer, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("prompt_id", String(100), nullable=False),
    Column("variants", Integer, nullable=False),
    Column("state", String(20), nullable=False),
    Column("error_class", String(32)),
    Column("error", Text),
    Column("launch_id", String(32)),
    Column("key_id", String(16)),
    Column("updated_at", UtcDateTime, nullable=False),
    one_of("state", ItemState),
    UniqueConstraint("submission_id", "position"),
    Index("ix_submission_items_launch", "launch_id", "kind", "prompt_id"),
    Index(
        "ix_submission_items_waiting",
        "item_id",
        sqlite_where=_WAITING,
        postgresql_where=_WAITING,
    ),
)

# What happened to a submission, numbered one by one: a reader goes on after any of them.
submission_events = Table(
    "submission_events",
    metadata,
    Column("submission_id", String(32), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("type", String(32), nullable=False),
    Column("data_json", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)

# The answers that were given under a caller's own keys: the same key never does a thing twice.
idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("owner", String(200), primary_key=True),
    Column("idempotency_key", String(255), primary_key=True),
    Column("request_sha256", String(64), nullable=False),
    Column("status", Integer, nullable=False),
    Column("answer_json", Text, nullable=False),
    Column("location", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Index("ix_idempotency_keys_created", "created_at"),
)

# Verdicts are only ever added; one that names another takes its place.
reviews = Table(
    "reviews",
    metadata,
    Column("review_id", RowId, primary_key=True, autoincrement=True),
    Column("clip_id", String(32), ForeignKey("clips.clip_id"), nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("verdict", String(16), nullable=False),
    Column("reason_code", String(32), nullable=False, server_default=text("''")),
    Column("note", Text, nullable=False, server_default=text("''")),
    Column("actor", String(200), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("supersedes", BigInteger),
    # The run that was asked for because of it; NULL until a sensor has looked at it.
    Column("launch_id", String(32)),
    one_of("verdict", Verdict),
    # Of two people who decide about the same clip at once, the second is told of the first.
    UniqueConstraint("supersedes"),
    Index("ix_reviews_clip", "clip_id"),
    Index(
        "ix_reviews_unseen",
        "review_id",
        sqlite_where=text("launch_id IS NULL"),
        postgresql_where=text("launch_id IS NULL"),
    ),
)

# Who did what over HTTP, in their own words where they gave some.
service_audit = Table(
    "service_audit",
    metadata,
    Column("entry_id", RowId, primary_key=True, autoincrement=True),
    Column("request_id", String(64), nullable=False),
    Column("actor", String(200), nullable=False),
    Column("key_id", String(16)),
    Column("action", String(300), nullable=False),  # method and path
    Column("status", Integer, nullable=False),
    Column("code", String(64), nullable=False, server_default=text("''")),
    Column("client", String(64), nullable=False, server_default=text("''")),
    Column("created_at", UtcDateTime, nullable=False),
    Index("ix_service_audit_request", "request_id"),
)

# When something was last heard of: the sensors, by which the service knows of a daemon.
heartbeats = Table(
    "heartbeats",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("seen_at", UtcDateTime, nullable=False),
)
