"""The ledger's table of calls to language models: what an intent alone does not tell of them."""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, String, Table, Text

from asset_pipeline.ledger.column_types import UtcDateTime, metadata, one_of


class Evidence(StrEnum):
    """What the charge of a call goes by."""

    NONE = "none"  # nothing is charged: it is under way, or was never accepted
    ANSWER = "answer"  # the cost that came with the answer
    WORST_CASE = "worst_case"  # no price is known: what was reserved stands until one is proved
    KEY_USAGE = "key_usage"  # what the key spent meanwhile, which is the most it can have cost


llm_calls = Table(
    "llm_calls",
    metadata,
    Column("intent_id", String(32), ForeignKey("intents.intent_id"), primary_key=True),
    Column("operation", String(32), nullable=False),  # draft, expand, translate, ...
    Column("subject", String(100), nullable=False),  # the brief's or the collection's name
    Column("subject_sha256", String(64), nullable=False),
    Column("evidence", String(16), nullable=False),
    Column("worst_case_microusd", BigInteger, nullable=False),
    Column("answered_model", String(200)),
    Column("finish_reason", String(32)),
    Column("prompt_tokens", Integer),
    Column("completion_tokens", Integer),
    # US dollars as the provider wrote them: rounded up, they would prove too little of a neighbour.
    Column("cost_usd", Text),
    # What the key had spent in all when the call was about to be sent.
    Column("key_usage_usd", Text),
    Column("key_usage_at", UtcDateTime),
    Column("response_text", Text),
    one_of("evidence", Evidence),
    Index("ix_llm_calls_subject", "subject", "operation"),
)
