"""What has become of the prompts of a command so far, across its runs and their retries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from asset_pipeline.generation.batch import PromptOutcome
from asset_pipeline.generation.failures import ErrorClass, GenerationFailure
from asset_pipeline.ledger.failed_prompts import HowEnded
from asset_pipeline.money import MicroUsd
from asset_pipeline.prompts.spec import Prompt
from asset_pipeline.prompts.states import PromptKey


@dataclass(frozen=True, slots=True)
class _Latest:
    """How a prompt ended the last time it was tried, in clips."""

    landed: int
    failed: int
    refused: int


@dataclass(slots=True)
class Tally:
    """Counts outcomes; a prompt that is tried again counts as it ended last.

    Attributes:
        prompts: Prompts wanted.
        clips: Clips wanted, variants counted.
        done: Prompts whose clips all landed.
        landed: Clips that did.
        failed: Clips that did not.
        refused: Clips that a budget refused: nothing was sent for them.
        generated: Clips made by this command.
        paid: Micro-dollars paid, for what failed too; set by whoever asks the ledger, it is exact.
        failures: Why the prompts that have not landed did not.
        ended: How they ended.
        changed: Called after each change.
        waiting: Returns how many clips wait for reserved money to come back.
    """

    prompts: int = 0
    clips: int = 0
    done: int = 0
    landed: int = 0
    failed: int = 0
    refused: int = 0
    generated: int = 0
    paid: int = 0
    failures: dict[PromptKey, tuple[GenerationFailure, ...]] = field(
        default_factory=dict[PromptKey, tuple[GenerationFailure, ...]]
    )
    ended: dict[PromptKey, HowEnded] = field(default_factory=dict[PromptKey, HowEnded])
    changed: Callable[[], None] | None = None
    waiting: Callable[[], int] = lambda: 0
    _latest: dict[PromptKey, _Latest] = field(default_factory=dict[PromptKey, _Latest])

    def want(self, prompts: Sequence[Prompt]) -> None:
        """Set what there is to do."""
        self.prompts = len(prompts)
        self.clips = sum(prompt.variants for prompt in prompts)

    def add(self, outcome: PromptOutcome) -> None:
        """Count one outcome in the place of the prompt's earlier one."""
        key = (outcome.prompt.kind, outcome.prompt.prompt_id)
        before = self._latest.get(key, _Latest(0, 0, 0))
        refused = sum(cause.error_class is ErrorClass.BUDGET for cause in outcome.failures)
        now = _Latest(len(outcome.landed), len(outcome.failures) - refused, refused)
        self._latest[key] = now
        self.landed += now.landed - before.landed
        self.failed += now.failed - before.failed
        self.refused += now.refused - before.refused
        self.generated += sum(not landed.cached for landed in outcome.landed)
        self.paid += outcome.paid
        if outcome.done:
            self.done += 1
            self.failures.pop(key, None)
            self.ended.pop(key, None)
        else:
            self.failures[key] = tuple(outcome.failures)
            self.ended[key] = outcome.how
        if self.changed is not None:
            self.changed()

    def settle(self, paid: MicroUsd) -> None:
        """Take what the ledger says was paid, failed attempts and finished predictions among it."""
        self.paid = paid
        if self.changed is not None:
            self.changed()

    def count(self, how: HowEnded) -> int:
        """Return how many prompts ended so."""
        return sum(each is how for each in self.ended.values())

    @property
    def cached(self) -> int:
        """Clips that were stored before this command."""
        return self.landed - self.generated

    @property
    def refused_by_budget(self) -> bool:
        """Whether a budget stood in the way of any."""
        return any(
            cause.error_class is ErrorClass.BUDGET
            for causes in self.failures.values()
            for cause in causes
        )
