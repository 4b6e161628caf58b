"""Prompts without all their clips: how their last run ended, by the ledger."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from sqlalchemy import Engine, func, select
from sqlalchemy.dialects import postgresql, sqlite

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.ledger.access import LedgerAccess
from asset_pipeline.ledger.schema import TEXT, IntentState, clips, endings, intents
from asset_pipeline.ledger.transactions import transaction

_Prompt: TypeAlias = tuple[Kind, str]

# Of a released intent: it was stopped before anything was sent.
_UNSENT = "cancelled"


class HowEnded(StrEnum):
    """Why a run left a prompt without all of its clips."""

    FAILED = "failed"
    REFUSED = "refused"  # by a budget: nothing was sent
    CANCELLED = "cancelled"  # it was stopped


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ended a prompt that did not land."""

    kind: Kind
    prompt_id: str
    how: HowEnded
    error_class: str


@dataclass(frozen=True, slots=True)
class PromptHistory:
    """What the ledger knows of how prompts stand.

    Attributes:
        ended: How the last run of an unfinished prompt ended.
        made: Prompts that ever had a clip.
        begun: Prompts with at least one attempt.
        failed: Those with an attempt that failed, for whatever reason but being stopped unsent.
        vacant: Those that lack a clip because its file is gone, with the variant.
    """

    ended: dict[_Prompt, HowEnded]
    made: frozenset[_Prompt]
    begun: frozenset[_Prompt]
    failed: frozenset[_Prompt]
    vacant: frozenset[tuple[Kind, str, int]]


class FailedPromptRepository(LedgerAccess):
    """Notes how runs end prompts; every method is one transaction."""

    def note(self, found: Iterable[Ending], run_id: str) -> None:
        """Record how a run ended prompts, replacing the record of an earlier run."""
        dialect = sqlite if self.engine.dialect.name == "sqlite" else postgresql
        insert = dialect.insert(endings)
        changed = {name: insert.excluded[name] for name in _CHANGED}
        note = insert.on_conflict_do_update(index_elements=["kind", "prompt_id"], set_=changed)
        with self._writing() as (connection, now):
            rows = [
                {
                    "kind": each.kind.value,
                    "prompt_id": each.prompt_id,
                    "how": each.how.value,
                    "error_class": each.error_class,
                    "run_id": run_id,
                    "ended_at": now,
                }
                for each in found
            ]
            if rows:
                connection.execute(note, rows)


_CHANGED = ("how", "error_class", "run_id", "ended_at")


def read_history(engine: Engine) -> PromptHistory:
    """Return how all prompts stand by the ledger, in five queries."""
    ended_so = intents.c.state == IntentState.FAILED.value
    never_accepted = intents.c.state == IntentState.REFUSED.value
    failed = ended_so | (never_accepted & (intents.c.error_class != _UNSENT))
    asked = select(intents.c.kind, intents.c.prompt_id).where(intents.c.kind != TEXT).distinct()
    vacant = select(clips.c.kind, clips.c.prompt_id, clips.c.variant).where(
        clips.c.superseded_at.is_(None), clips.c.removed_at.is_not(None)
    )
    with transaction(engine, reading=True) as connection:
        made = {
            (Kind(kind), prompt_id): newest
            for kind, prompt_id, newest in connection.execute(
                select(clips.c.kind, clips.c.prompt_id, func.max(clips.c.created_at)).group_by(
                    clips.c.kind, clips.c.prompt_id
                )
            )
        }
        rows = connection.execute(
            select(endings.c.kind, endings.c.prompt_id, endings.c.how, endings.c.ended_at)
        )
        return PromptHistory(
            # What has landed since did not end so.
            ended={
                key: HowEnded(how)
                for kind, prompt_id, how, ended_at in rows
                if (key := (Kind(kind), prompt_id)) not in made or made[key] <= ended_at
            },
            made=frozenset(made),
            begun=frozenset((Kind(kind), each) for kind, each in connection.execute(asked)),
            failed=frozenset(
                (Kind(kind), each) for kind, each in connection.execute(asked.where(failed))
            ),
            vacant=frozenset(
                (Kind(kind), prompt_id, variant)
                for kind, prompt_id, variant in connection.execute(vacant)
            ),
        )
