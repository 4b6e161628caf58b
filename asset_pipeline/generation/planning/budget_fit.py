"""Selecting the prompts that fit into the budgets, in batches of one run each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from asset_pipeline.catalog.reader import Catalog
from asset_pipeline.generation.planning.plan import PlannedClip, wanted_clips
from asset_pipeline.ledger.budgets import BudgetCaps, budget_lines
from asset_pipeline.ledger.reports import LedgerReader
from asset_pipeline.money import MicroUsd
from asset_pipeline.prompts.spec import Prompt


@dataclass(slots=True)
class Affordable:
    """What may be asked for.

    Attributes:
        batches: Prompts by run.
        left: Prompts that a budget has no room for.
        budgets: Which budgets those are.
    """

    batches: list[list[Prompt]] = field(default_factory=list[list[Prompt]])
    left: int = 0
    budgets: set[str] = field(default_factory=set[str])


def affordable(
    prompts: Iterable[Prompt],
    catalog: Catalog,
    prompts_dir: Path,
    ledger: LedgerReader,
    caps: BudgetCaps,
    *,
    now: datetime,
    prompts_a_run: int,
) -> Affordable:
    """Return the prompts that every budget has room for, in their order.

    One that does not fit is left; a cheaper one after it may fit. What is stored or begun already
    asks for nothing. A reservation is no spending: each clip has to fit at its worst case, and of a
    model that is paid by time it takes from the room what such clips have cost so far; in the run
    it waits for what is held. Whatever else pays meanwhile may use the room up: the reservation
    decides.

    Raises:
        UnknownModelError: A prompt's model is not in the catalog.
        UnpricedModelError: A model has no price now.
    """
    asked = [
        (prompt, list(wanted_clips(prompt, 0, catalog, prompts_dir, now))) for prompt in prompts
    ]
    hashes = [clip.generation_hash for _, clips in asked for clip in clips]
    free = ledger.stored_generations(hashes)
    free |= ledger.open_generations(hashes)
    room = _Room(ledger, caps, now, {prompt.collection for prompt, _ in asked})
    usual = ledger.usual_charges()
    found = Affordable()
    batch: list[Prompt] = []
    for prompt, clips in asked:
        to_pay = [clip for clip in clips if clip.generation_hash not in free]
        amount = sum(_likely(clip, usual) for clip in to_pay)
        dearest = max((clip.worst_case for clip in to_pay), default=MicroUsd(0))
        lacking = room.lacking(prompt.collection, max(amount, dearest))
        if lacking:
            found.left += 1
            found.budgets |= lacking
            continue
        if batch and (len(batch) == prompts_a_run or room.run_is_full(amount, dearest)):
            found.batches.append(batch)
            batch = []
            room.next_run()
        room.take(prompt.collection, amount)
        free.update(clip.generation_hash for clip in clips)
        batch.append(prompt)
    if batch:
        found.batches.append(batch)
    return found


def _likely(clip: PlannedClip, usual: Mapping[str, MicroUsd]) -> int:
    """Return what a clip is likely to take from the room for good."""
    if not clip.by_time:
        return clip.worst_case
    return min(clip.worst_case, usual.get(clip.model, clip.worst_case))


class _Room:
    """What each budget has left, in micro-dollars, as prompts are taken."""

    def __init__(
        self, ledger: LedgerReader, caps: BudgetCaps, now: datetime, collections: set[str]
    ) -> None:
        lines = {
            line
            for collection in collections
            for line in budget_lines(caps, collection=collection, run_id="", now=now)
            if line.period != "run"
        }
        self._used = {
            budget: use.charged + use.reserved - use.coming_back
            for budget, use in ledger.uses_of(lines, now).items()
        }
        self._caps = caps
        self._now = now
        self._run = 0

    def lacking(self, collection: str, amount: int) -> set[str]:
        """Return the budgets without room for one more prompt."""
        return {
            "run" if line.period == "run" else line.budget
            for line in budget_lines(self._caps, collection=collection, run_id="", now=self._now)
            if amount
            > (line.cap if line.period == "run" else line.cap - self._used.get(line.budget, 0))
        }

    def run_is_full(self, amount: int, dearest: int) -> bool:
        """Tell whether the current run has no room for one more prompt of this price."""
        lines = budget_lines(self._caps, collection="", run_id="", now=self._now)
        needed = self._run + max(amount, dearest)
        return any(line.period == "run" and needed > line.cap for line in lines)

    def next_run(self) -> None:
        self._run = 0

    def take(self, collection: str, amount: int) -> None:
        for line in budget_lines(self._caps, collection=collection, run_id="", now=self._now):
            if line.period != "run":
                self._used[line.budget] = self._used.get(line.budget, 0) + amount
        self._run += amount
