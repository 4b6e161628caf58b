"""The states of prompts: Dagster's statuses and two more that Dagster lacks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

from asset_pipeline.catalog.kind import Kind

if TYPE_CHECKING:
    from asset_pipeline.prompts.spec import Prompt

PromptKey: TypeAlias = tuple[Kind, str]


class PromptState(StrEnum):
    """How a prompt stands. Dagster shows what was refused as failed, what was stopped as missing.

    Refused and cancelled prompts failed at nothing: the next run goes on with them as with missing
    ones.
    """

    LANDED = "landed"
    MISSING = "missing"
    FAILED = "failed"
    REFUSED = "refused"  # by a budget
    CANCELLED = "cancelled"  # it was begun, and stopped
    RUNNING = "running"


_TO_GO_ON_WITH = frozenset({PromptState.MISSING, PromptState.REFUSED, PromptState.CANCELLED})


@dataclass(frozen=True, slots=True)
class PromptStates:
    """How the prompts stand in Dagster.

    Attributes:
        known: Their statuses; a prompt that is not in it is missing.
        stale: Those whose clips differ from what the prompt would give now, whatever their
            status.
        edited: Those that failed and were edited since.
        lost: Those that lack a clip because its file is gone, whatever their status.
    """

    known: Mapping[PromptKey, PromptState] = field(default_factory=dict[PromptKey, PromptState])
    stale: frozenset[PromptKey] = frozenset()
    edited: frozenset[PromptKey] = frozenset()
    lost: frozenset[PromptKey] = frozenset()

    def of(self, prompt: Prompt) -> PromptState:
        """Return a prompt's status."""
        return self.known.get((prompt.kind, prompt.prompt_id), PromptState.MISSING)

    def is_stale(self, prompt: Prompt) -> bool:
        """Tell whether a prompt's landed clips are not what it would give now."""
        return (prompt.kind, prompt.prompt_id) in self.stale

    def is_missing(self, prompt: Prompt) -> bool:
        """Tell whether a prompt waits to be made: never begun, refused, stopped, or lost since."""
        is_lost = (prompt.kind, prompt.prompt_id) in self.lost
        return self.of(prompt) in _TO_GO_ON_WITH or (
            is_lost and self.of(prompt) is not PromptState.RUNNING
        )

    def is_due(self, prompt: Prompt) -> bool:
        """Tell whether a prompt waits for its first run, or for one since it was edited.

        A failed prompt that was not edited is not due: it would fail again.
        """
        state = self.of(prompt)
        if state is PromptState.RUNNING:
            return False
        if state is PromptState.FAILED:
            return (prompt.kind, prompt.prompt_id) in self.edited
        return state in _TO_GO_ON_WITH or self.is_stale(prompt)
