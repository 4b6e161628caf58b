"""Which rows of the ledger and of the prompt library each published table holds.

Columns are named as in ``schema.sql``, which alone says what type they have. Columns of money are
selected as the ledger's integer micro-dollars.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sqlalchemy import Connection, Executable, case, select

from asset_pipeline.ledger.custody_schema import custody, exports, fsck_findings, fsck_passes
from asset_pipeline.ledger.llm_schema import llm_calls
from asset_pipeline.ledger.provenance_schema import provenance
from asset_pipeline.ledger.rendition_schema import renditions
from asset_pipeline.ledger.schema import (
    breakers,
    budgets,
    clips,
    endings,
    entries,
    intents,
    lineage,
)
from asset_pipeline.ledger.service_schema import (
    reviews,
    service_audit,
    submission_items,
    submissions,
)
from asset_pipeline.prompts.spec import Prompt

CHUNK_ROWS = 5_000
"""Rows in memory at once while they move."""

Row = Mapping[str, Any]

_HEADROOM = budgets.c.cap_microusd - budgets.c.charged_microusd - budgets.c.reserved_microusd

LEDGER_TABLES: Mapping[str, Executable] = {
    "predictions": select(
        intents.c.intent_id,
        intents.c.run_id,
        intents.c.kind,
        intents.c.prompt_id,
        intents.c.variant,
        intents.c.attempt,
        intents.c.model,
        intents.c.version,
        intents.c.generation_hash,
        intents.c.prediction_id,
        intents.c.state,
        intents.c.error_class,
        intents.c.error,
        intents.c.reserved_microusd.label("reserved_usd"),
        intents.c.charged_microusd.label("charged_usd"),
        intents.c.price_source,
        intents.c.billed,
        intents.c.predict_seconds,
        intents.c.created_at,
        intents.c.submitted_at,
        intents.c.completed_at,
        intents.c.delivered_at,
        intents.c.collection,
        intents.c.wanted_hash,
        intents.c.strategy,
        intents.c.prompt_text,
        intents.c.key_id,
        intents.c.provider,
        intents.c.account,
        intents.c.seed,
        intents.c.inputs_json.label("inputs"),
    ),
    "ledger_entries": select(
        entries.c.entry_id,
        entries.c.intent_id,
        entries.c.budget,
        entries.c.type,
        entries.c.amount_microusd.label("amount_usd"),
        entries.c.created_at,
    ),
    "llm_calls": select(
        llm_calls.c.intent_id.label("call_id"),
        intents.c.run_id,
        llm_calls.c.operation,
        llm_calls.c.subject,
        llm_calls.c.subject_sha256,
        intents.c.collection,
        intents.c.attempt,
        intents.c.model,
        llm_calls.c.answered_model,
        intents.c.generation_hash.label("call_hash"),
        intents.c.prediction_id.label("generation_id"),
        intents.c.state,
        intents.c.error_class,
        intents.c.error,
        llm_calls.c.finish_reason,
        llm_calls.c.prompt_tokens,
        llm_calls.c.completion_tokens,
        llm_calls.c.worst_case_microusd.label("worst_case_usd"),
        intents.c.reserved_microusd.label("reserved_usd"),
        intents.c.charged_microusd.label("charged_usd"),
        llm_calls.c.evidence,
        intents.c.charge_note,
        intents.c.price_source,
        intents.c.provider,
        intents.c.created_at,
        intents.c.submitted_at,
        intents.c.completed_at,
    ).join(intents, intents.c.intent_id == llm_calls.c.intent_id),
    "clips": select(
        clips.c.clip_id,
        clips.c.kind,
        clips.c.prompt_id,
        clips.c.variant,
        clips.c.model,
        clips.c.generation_hash,
        clips.c.prediction_id,
        clips.c.run_id,
        clips.c.object_uri,
        clips.c.sha256,
        clips.c.bytes,
        clips.c.mime,
        clips.c.width,
        clips.c.height,
        clips.c.duration_seconds,
        clips.c.cost_microusd.label("cost_usd"),
        clips.c.created_at,
        clips.c.collection,
        clips.c.superseded_at,
        clips.c.approved_at,
        clips.c.used_at,
        clips.c.removed_at,
        clips.c.wanted_hash,
        clips.c.strategy,
        clips.c.review_state,
        intents.c.prompt_text,
        intents.c.seed,
        intents.c.inputs_json.label("inputs"),
    ).join(intents, intents.c.intent_id == clips.c.intent_id),
    "renditions": select(
        renditions.c.rendition_id,
        renditions.c.clip_id,
        clips.c.kind,
        clips.c.prompt_id,
        clips.c.collection,
        clips.c.variant,
        renditions.c.name,
        renditions.c.recipe,
        renditions.c.object_uri,
        renditions.c.sha256,
        renditions.c.bytes,
        renditions.c.mime,
        renditions.c.width,
        renditions.c.height,
        renditions.c.duration_seconds,
        renditions.c.loudness_lufs,
        renditions.c.true_peak_dbtp,
        renditions.c.gain_db,
        renditions.c.note,
        renditions.c.run_id,
        renditions.c.created_at,
        renditions.c.superseded_at,
    ).join(clips, clips.c.clip_id == renditions.c.clip_id),
    "reviews": select(
        reviews.c.review_id,
        reviews.c.clip_id,
        reviews.c.sha256,
        reviews.c.verdict,
        reviews.c.reason_code,
        reviews.c.note,
        reviews.c.actor,
        reviews.c.created_at,
        reviews.c.supersedes,
    ),
    "submissions": select(
        submissions.c.submission_id,
        submissions.c.owner,
        submissions.c.key_id,
        submissions.c.request_id,
        submissions.c.state,
        submissions.c.prompts,
        submissions.c.clips,
        submissions.c.cached,
        submissions.c.worst_case_microusd.label("worst_case_usd"),
        submissions.c.completed,
        submissions.c.failed,
        submissions.c.cancelled,
        submissions.c.refused,
        submissions.c.created_at,
        submissions.c.finished_at,
    ),
    "submission_items": select(
        submission_items.c.submission_id,
        submission_items.c.position,
        submission_items.c.kind,
        submission_items.c.prompt_id,
        submission_items.c.variants,
        submission_items.c.state,
        submission_items.c.error_class,
        submission_items.c.error,
        submission_items.c.launch_id,
        submission_items.c.updated_at,
    ),
    "service_audit": select(
        service_audit.c.entry_id,
        service_audit.c.request_id,
        service_audit.c.actor,
        service_audit.c.key_id,
        service_audit.c.action,
        service_audit.c.status,
        service_audit.c.code,
        service_audit.c.client,
        service_audit.c.created_at,
    ),
    "provenance": select(
        provenance.c.uri,
        provenance.c.sha256,
        provenance.c.role,
        provenance.c.clip_id,
        provenance.c.clip_sha256,
        clips.c.kind,
        clips.c.prompt_id,
        clips.c.collection,
        clips.c.variant,
        provenance.c.policy,
        provenance.c.marks,
        provenance.c.digital_source_type,
        provenance.c.signed_by,
        provenance.c.signer,
        provenance.c.certificate_sha256,
        provenance.c.note,
        provenance.c.run_id,
        provenance.c.created_at,
    ).join(clips, clips.c.clip_id == provenance.c.clip_id),
    "lineage": select(
        lineage.c.child_uri,
        lineage.c.child_sha256,
        lineage.c.parent_type,
        lineage.c.parent_id,
        lineage.c.parent_sha256,
        lineage.c.relation,
        lineage.c.run_id,
        lineage.c.created_at,
    ),
    "budgets": select(
        budgets.c.budget,
        budgets.c.period,
        budgets.c.period_start,
        budgets.c.cap_microusd.label("cap_usd"),
        budgets.c.charged_microusd.label("charged_usd"),
        budgets.c.reserved_microusd.label("reserved_usd"),
        case((_HEADROOM > 0, _HEADROOM), else_=0).label("headroom_usd"),
    ),
    "prompt_endings": select(
        endings.c.kind,
        endings.c.prompt_id,
        endings.c.how,
        endings.c.error_class,
        endings.c.run_id,
        endings.c.ended_at,
    ),
    "circuit_breakers": select(
        breakers.c.model,
        breakers.c.state,
        breakers.c.create_failures,
        breakers.c.prediction_failures,
        breakers.c.openings,
        breakers.c.last_error_class,
        breakers.c.last_error,
        breakers.c.last_failure_at,
        breakers.c.opened_at,
        breakers.c.retry_at,
        breakers.c.probe_owner,
        breakers.c.probe_expires_at,
        breakers.c.updated_at,
    ),
    "custody": select(
        custody.c.entry_id,
        custody.c.action,
        custody.c.clip_id,
        custody.c.object_uri,
        custody.c.sha256,
        custody.c.bytes,
        custody.c.actor,
        custody.c.reason,
        custody.c.created_at,
    ),
    "exports": select(
        exports.c.target,
        exports.c.path,
        exports.c.clip_id,
        exports.c.sha256,
        exports.c.bytes,
        exports.c.exported_at,
    ),
    "fsck_passes": select(
        fsck_passes.c.pass_id,
        fsck_passes.c.store,
        fsck_passes.c.phase,
        fsck_passes.c.objects,
        fsck_passes.c.bytes,
        fsck_passes.c.started_at,
        fsck_passes.c.finished_at,
    ),
    "fsck_report": select(
        fsck_findings.c.pass_id,
        fsck_findings.c.object_uri,
        fsck_findings.c.clip_id,
        fsck_findings.c.kind,
        fsck_findings.c.prompt_id,
        fsck_findings.c.variant,
        fsck_findings.c.problem,
        fsck_findings.c.expected,
        fsck_findings.c.found,
        fsck_findings.c.outcome,
        fsck_findings.c.created_at.label("found_at"),
    ),
}


def ledger_rows(connection: Connection, query: Executable) -> Iterator[Row]:
    """Yield a query's rows; :data:`CHUNK_ROWS` of them are in memory at a time."""
    streaming = connection.execution_options(yield_per=CHUNK_ROWS)
    with streaming.execute(query) as result:
        names = list(result.keys())
        for row in result:
            yield dict(zip(names, row, strict=True))


BESIDE_PROMPTS = ("predictions", "clips")
"""The tables whose rows have what their prompt says beside its text."""


class PromptNotes:
    """What prompts say beside their texts, for the rows of what was made from them.

    Args:
        prompts: The usable prompts.
    """

    def __init__(self, prompts: Iterable[Prompt]) -> None:
        self._known = {
            (prompt.kind.value, prompt.prompt_id): _notes(prompt)
            for prompt in prompts
            if prompt.tags or prompt.fields
        }

    def beside(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Yield rows with the tags and fields of their prompts."""
        for row in rows:
            yield {**row, **self._known.get((row["kind"], row["prompt_id"]), _NO_NOTES)}


_NO_NOTES: Row = {"tags": [], "fields": "{}"}


def _notes(prompt: Prompt) -> Row:
    return {"tags": list(prompt.tags), "fields": _json(prompt.fields)}


def _json(values: Mapping[str, Any]) -> str:
    return json.dumps(dict(values), ensure_ascii=False)


def prompt_rows(prompts: Iterable[Prompt]) -> Iterator[Row]:
    """Yield prompts as rows of the ``prompts`` table."""
    for prompt in prompts:
        yield {
            "kind": prompt.kind.value,
            "prompt_id": prompt.prompt_id,
            "collection": prompt.collection,
            "text": prompt.text,
            "model": prompt.model,
            "variants": prompt.variants,
            "prompt_hash": prompt.prompt_hash,
            "style": prompt.style,
            "reference": prompt.reference,
            "inputs": _json(prompt.inputs),
            **_notes(prompt),
        }
