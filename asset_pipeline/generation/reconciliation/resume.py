"""Resuming the open intents of dead processes, without their prompts.

A run takes up the open intents of its own prompts. This serves the others: prompts that were edited
or removed, runs that nobody starts again, money that would stay reserved for ever.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from asset_pipeline.catalog.reader import Catalog
from asset_pipeline.clock import Clock
from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.generation.failures import ErrorClass, GenerationFailure
from asset_pipeline.generation.payment.paid_call import PaidCall
from asset_pipeline.generation.reconciliation.late_finds import REACH, take_back
from asset_pipeline.generation.reconciliation.matching import Window
from asset_pipeline.generation.request import GenerationRequest, from_ledger, resolve
from asset_pipeline.generation.timeouts import Timeouts
from asset_pipeline.ledger.intents import IntentMovedError
from asset_pipeline.ledger.ledger import Ledger
from asset_pipeline.ledger.records import Intent
from asset_pipeline.ledger.schema import OPEN_STATES, IntentState
from asset_pipeline.prompts.library import Library
from asset_pipeline.providers.listing import gathered
from asset_pipeline.providers.protocol import (
    IncompleteListingError,
    Provider,
    RefusedError,
    UnavailableError,
)

_log = logging.getLogger(__name__)

_AT_A_TIME = 16

_DRIVEN = "a living process drives it"


class ResumeResult(StrEnum):
    """What became of one open intent."""

    DELIVERED = "delivered"
    RELEASED = "released"  # certainly never accepted: its money is back
    BUSY = "busy"  # a living process drives it
    FAILED = "failed"  # charged or free, it brings no clip
    OPEN = "open"  # not now; its money stays reserved
    QUESTION = "question"  # a person has to decide


@dataclass(frozen=True, slots=True)
class Resumed:
    """What became of an open intent.

    Attributes:
        intent: As it stood before.
        reason: Why it is still open, or brought no clip.
    """

    intent: Intent
    result: ResumeResult
    reason: str = ""


def request_of(
    intent: Intent, catalog: Catalog, library: Library, prompts_dir: Path
) -> GenerationRequest:
    """Return the request that an intent was made for.

    That is the prompt's own when the prompt still asks for the same thing. Otherwise it is built
    from the ledger: enough to finish the payment, with the prompt's hash unknown.
    """
    prompt = library.prompts.get((intent.kind, intent.prompt_id))
    if prompt is not None and prompt.model in catalog.models:
        request = resolve(prompt, intent.variant, catalog, prompts_dir)
        if request.generation_hash == intent.generation_hash:
            return request
        if request.generation_hash == intent.wanted_hash:
            return from_ledger(intent, catalog, request)
    return from_ledger(intent, catalog, None)


async def resume_all(
    paid_call: PaidCall,
    ledger: Ledger,
    provider: Provider,
    *,
    catalog: Catalog,
    library: Library,
    prompts_dir: Path,
    clock: Clock,
    skew: float = Timeouts().clock_skew,
) -> list[Resumed]:
    """Finish all open intents, several at a time; a failure stops no other.

    Nothing new is sent. A provider that does not answer is asked once, not once an intent. What
    was given up as never accepted and has turned up since is taken back first.

    Returns:
        What became of each, oldest first.
    """
    silence = await _take_back(ledger, provider, clock, skew)
    found = ledger.intents_in(OPEN_STATES)
    if not silence and any(map(_needs_provider, found)):
        silence = await _silence(provider)
    places = asyncio.Semaphore(_AT_A_TIME)

    async def resume(intent: Intent) -> Resumed:
        if is_for_a_person(intent):
            return question(intent)
        if silence and _needs_provider(intent):
            return Resumed(intent, ResumeResult.OPEN, silence)
        async with places:
            try:
                request = request_of(intent, catalog, library, prompts_dir)
                return await _resume(paid_call, ledger, intent, request)
            except IntentMovedError:
                return Resumed(intent, ResumeResult.BUSY, _DRIVEN)
            except AssetPipelineError as error:
                reason = error.message
            except Exception as error:  # noqa: BLE001 -- one intent's surprise stays one intent's
                reason = f"{type(error).__name__}: {error}"
                if not isinstance(error, OSError):
                    _log.exception("%s can't be finished", intent.intent_id)
            return Resumed(intent, ResumeResult.OPEN, reason)

    return list(await asyncio.gather(*map(resume, found)))


def is_for_a_person(intent: Intent) -> bool:
    """Tell whether only a person can decide; a forgotten prediction may be known again."""
    return intent.state is IntentState.QUESTION and intent.prediction_id is None


def question(intent: Intent) -> Resumed:
    """Return the explanation of an intent that waits for a person's decision."""
    return Resumed(intent, ResumeResult.QUESTION, intent.error or "")


async def _take_back(ledger: Ledger, provider: Provider, clock: Clock, skew: float) -> str:
    """Take back what turned up; return why the provider can't be asked, empty when it can."""
    now = clock.now()
    released = ledger.released_as_absent(now - REACH)
    if not released:
        return ""
    try:
        origin = await provider.origin()
        window = Window(skew, provider.clock_offset(), late=REACH.total_seconds())
        since = min(map(window.start, released))
        rows, gap = await gathered(provider, since)
    except (RefusedError, UnavailableError) as error:
        return f"the provider can't be asked: {error.message}"
    take_back(ledger, rows, origin=origin, window=window, clock=clock)
    if gap:
        _log.warning("What was given up may have turned up unseen: %s", gap)
    return ""


async def _silence(provider: Provider) -> str:
    """Return why the provider can't be asked; empty when it can."""
    try:
        async for _ in provider.list_since(datetime.now(UTC)):
            break
    except IncompleteListingError:
        return ""  # it answers; what it lists is judged by those who need it
    except UnavailableError as error:
        return f"the provider can't be asked: {error.message}"
    return ""


def _needs_provider(intent: Intent) -> bool:
    # A file that was verified is looked for in the store and on this machine.
    is_at_hand = intent.stored_json is not None
    return not (is_at_hand or is_for_a_person(intent) or intent.state is IntentState.RESERVED)


async def _resume(
    paid_call: PaidCall, ledger: Ledger, intent: Intent, request: GenerationRequest
) -> Resumed:
    try:
        taken = await paid_call.take_up(intent)
    except GenerationFailure as failure:
        if failure.error_class is ErrorClass.OTHER_ACCOUNT:
            return Resumed(intent, ResumeResult.OPEN, failure.message)
        raise
    if taken is None:
        return Resumed(intent, ResumeResult.BUSY, _DRIVEN)
    try:
        landed = await paid_call.finish(request, taken)
    except GenerationFailure as failure:
        now = ledger.intent(intent.intent_id)
        if now.state is IntentState.QUESTION:
            return Resumed(intent, ResumeResult.QUESTION, now.error or "")
        result = ResumeResult.OPEN if now.is_open else ResumeResult.FAILED
        return Resumed(intent, result, f"{failure.error_class}: {failure.message}")
    return Resumed(intent, ResumeResult.DELIVERED if landed else ResumeResult.RELEASED)
