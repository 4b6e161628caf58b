"""One attempt at a wanted clip, and what the retry rules decide after it."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from asset_pipeline.catalog.pricing import worst_case
from asset_pipeline.catalog.reader import Catalog
from asset_pipeline.errors import AssetPipelineError, ConfigurationError
from asset_pipeline.generation.classifier import hint_for_ended
from asset_pipeline.generation.failures import ErrorClass, GenerationFailure, HeldBackFailure
from asset_pipeline.generation.payment.paid_call import OtherWayError, PaidCall
from asset_pipeline.generation.payment.recorder import Landed
from asset_pipeline.generation.request import GenerationRequest, from_ledger, resolve
from asset_pipeline.generation.retry.fallbacks import FallbackPlanner
from asset_pipeline.generation.retry.policy import (
    Attempt,
    Past,
    RetrySame,
    Rewrite,
    Stop,
    Substitute,
    decide,
)
from asset_pipeline.generation.retry.rewriter import Rewriter, Rewriting
from asset_pipeline.generation.retry.rules import RetryRules
from asset_pipeline.ledger.engine import LedgerError
from asset_pipeline.ledger.orders import OrderCancelledError
from asset_pipeline.ledger.postings import BudgetExceededError
from asset_pipeline.ledger.records import Intent
from asset_pipeline.ledger.schema import IntentState
from asset_pipeline.prompts.spec import Prompt

_log = logging.getLogger(__name__)

_CLASSES = frozenset(each.value for each in ErrorClass)


@dataclass(slots=True)
class WantedClip:
    """One clip on its way, and what it has been through.

    Attributes:
        ways: The ways to it; None before its first attempt.
        request: The one that is asked for now.
        past: Its attempts that failed in this run.
        settled: Whether an earlier try of the step left nothing to be done.
        landed: The clip, in the end.
        failure: Why it has not landed.
        breach: The budget that stood in the way.
        seconds: Spent on it, waits excluded.
    """

    prompt: Prompt
    variant: int
    ways: FallbackPlanner | None = None
    request: GenerationRequest | None = None
    past: list[Attempt] = field(default_factory=list[Attempt])
    settled: bool = False
    landed: Landed | None = None
    failure: GenerationFailure | None = None
    breach: BudgetExceededError | None = None
    seconds: float = 0.0

    def give_up(self, *, again_after: float) -> None:
        """Leave the next attempt to Dagster's retry of the step, after so many seconds."""
        if self.failure is not None:
            self.failure.again_after = again_after


@dataclass(frozen=True, slots=True)
class Pause:
    """How long a clip waits before its next attempt.

    Attributes:
        here: Whether the step waits for it even when it has nothing else to do.
    """

    seconds: float
    here: bool = False


class Attempts:
    """Makes attempts at clips, one at a time for each.

    Args:
        paid_call: The way to a clip.
        catalog: For the prompts' models.
        prompts_dir: Where reference files are.
        rules: Returns the rules in force.
        earlier_tries: How often Dagster has retried the step before.
        rewriter: Rewrites refused prompts where the rules say so; None where nobody can.
    """

    def __init__(
        self,
        paid_call: PaidCall,
        catalog: Catalog,
        prompts_dir: Path,
        rules: Callable[[], RetryRules],
        earlier_tries: int,
        rewriter: Rewriter | None = None,
    ) -> None:
        self._paid_call = paid_call
        self._catalog = catalog
        self._prompts_dir = prompts_dir
        self._rules = rules
        self._earlier_tries = earlier_tries
        self._rewriter = rewriter
        self._breaches: dict[str, BudgetExceededError] = {}

    async def attempt(self, clip: WantedClip) -> Pause | None:
        """Make one attempt; return how long to wait for the next, or None when there is none.

        Raises:
            LedgerError: Without the ledger nothing may be sent and nothing can be recorded.
        """
        failure = await self._failure_of(clip)
        if failure is None:
            return None
        clip.failure = failure
        # A store that refuses files refuses every clip: waiting changes nothing.
        stopped = self._paid_call.stopped_paying
        final = failure.error_class is ErrorClass.BUDGET or clip.settled or stopped
        pause = None if final else await self._next(clip, failure)
        if pause is None:
            told = {"error_class": failure.error_class, "prediction_id": failure.prediction_id}
            _log.info("failed: %s", failure.message, extra=told)
        return pause

    async def _failure_of(self, clip: WantedClip) -> GenerationFailure | None:
        """Make the attempt; return why it failed, or None when the clip landed."""
        try:
            request = clip.request or await self._first(clip)
            clip.landed = await self._land_within_budget(request)
        except OtherWayError as other:
            wanted = None if clip.ways is None else clip.ways.wanted
            clip.request = from_ledger(other.intent, self._catalog, wanted)
            return await self._failure_of(clip)
        except BudgetExceededError as breach:
            clip.breach = breach
            return GenerationFailure(ErrorClass.BUDGET, breach.message, cause=breach.budget)
        except GenerationFailure as failure:
            return failure
        except LedgerError:
            raise
        except AssetPipelineError as error:
            clip.settled |= isinstance(error, OrderCancelledError)
            return GenerationFailure(_class_for(error), error.message, hint=error.hint)
        except Exception as error:  # noqa: BLE001 -- one clip's surprise stays one clip's
            # A bug in one clip must not stop the others, and must not be hidden.
            _log.exception("%s, variant %s", clip.prompt.prompt_id, clip.variant)
            return GenerationFailure(
                ErrorClass.UNKNOWN, f"{type(error).__name__}: {error}", cause=type(error).__name__
            )
        landed = clip.landed
        _log.info(
            "landed",
            extra={
                "prediction_id": landed.clip.prediction_id,
                "paid_microusd": landed.paid,
                "cached": landed.cached,
            },
        )
        return None

    async def _first(self, clip: WantedClip) -> GenerationRequest:
        """Return what is wanted, and look up what became of it in earlier tries of the step."""
        wanted = resolve(clip.prompt, clip.variant, self._catalog, self._prompts_dir)
        today = self._paid_call.clock.now().date()
        clip.ways = FallbackPlanner(wanted, self._catalog, self._prompts_dir, on=today)
        clip.request = wanted
        if self._earlier_tries:
            await self._go_on(clip, clip.ways)
        return clip.request

    async def _go_on(self, clip: WantedClip, ways: FallbackPlanner) -> None:
        """Restore a clip's progress in earlier tries of the step from the ledger.

        Raises:
            GenerationFailure: They left nothing to be done: it is not asked for once more.
        """
        found = await self._paid_call.failed_attempts(ways.wanted)
        ended = [intent for intent in found if _was_attempt(intent)]
        if not ended:
            return
        last = ended[-1]
        if last.generation_hash != ways.wanted.generation_hash:
            clip.request = from_ledger(last, self._catalog, ways.wanted)
        clip.past = [Attempt(each.generation_hash, _class_of(each)) for each in ended[:-1]]
        found_class = _class_of(last)
        failure = GenerationFailure(
            found_class,
            last.error or "",
            prediction_id=last.prediction_id,
            hint=hint_for_ended(found_class),
        )
        if await self._next(clip, failure) is None:
            clip.settled = True
            raise failure

    async def _land_within_budget(self, request: GenerationRequest) -> Landed:
        """Land a clip, without asking a budget again for what it refused already.

        What is begun still lands, and so does what is cheaper than all that was refused.
        """
        breach = self._known_breach(request)
        if breach is not None and not await self._paid_call.is_begun(request):
            raise breach
        try:
            return await self._paid_call.land(request)
        except BudgetExceededError as found:
            if found.held:
                raise  # what nobody is at may be taken up and come back
            least = self._breaches.setdefault(found.budget, found)
            if found.needed < least.needed:
                self._breaches[found.budget] = found
            raise

    def _known_breach(self, request: GenerationRequest) -> BudgetExceededError | None:
        if not self._breaches:
            return None
        day = self._paid_call.clock.now().date()
        needed = worst_case(request.model, request.inputs, on=day)
        for budget in self._paid_call.budgets_of(request):
            breach = self._breaches.get(budget)
            if breach is not None and needed >= breach.needed:
                return breach
        return None

    async def _next(self, clip: WantedClip, failure: GenerationFailure) -> Pause | None:
        if clip.ways is None or clip.request is None:
            return None
        held_back = isinstance(failure, HeldBackFailure)
        if not held_back:
            clip.past.append(Attempt(clip.request.generation_hash, failure.error_class))
        ways, request = clip.ways, clip.request
        decision = self._decision(clip, failure, request, ways)
        if isinstance(decision, Rewrite):
            ways.rewriting = await self._rewriting(ways)
            decision = self._decision(clip, failure, request, ways)
        match decision:
            case RetrySame(seconds):
                told = {"error_class": failure.error_class, "prediction_id": failure.prediction_id}
                _log.info("again in %.1f s: %s", seconds, failure.message, extra=told)
                return Pause(seconds, here=held_back)
            case Substitute(request):
                clip.request = request
                _log.info("%s: %s", request.strategy, failure.message)
                return Pause(0.0)
            case _:
                return None

    def _decision(
        self,
        clip: WantedClip,
        failure: GenerationFailure,
        request: GenerationRequest,
        ways: FallbackPlanner,
    ) -> RetrySame | Substitute | Rewrite | Stop:
        return decide(
            failure,
            request,
            Past(clip.past, self._earlier_tries),
            self._rules(),
            ways,
            is_open=self._paid_call.is_open,
            chance=random.random(),  # noqa: S311 -- jitter, no secret
        )

    async def _rewriting(self, ways: FallbackPlanner) -> Rewriting:
        """Return what a language model makes of the prompt; asked once a clip, whatever comes."""
        if self._rewriter is None or self._paid_call.stopped_paying:
            return Rewriting()
        return await self._rewriter.rewrite(ways.wanted.prompt)


def _class_for(error: AssetPipelineError) -> ErrorClass:
    """Return what an error is that was found before anything was sent."""
    if isinstance(error, OrderCancelledError):
        return ErrorClass.CANCELLED
    # Where the caps are not to be read the clip is not at fault.
    blocked = isinstance(error, ConfigurationError)
    return ErrorClass.BUDGET if blocked else ErrorClass.INVALID_INPUT


def _was_attempt(intent: Intent) -> bool:
    """Tell whether an intent that ended counts: a person's decision does not, nor what was unsent.

    Being throttled is pace, not failure.
    """
    if intent.error_class not in _CLASSES or intent.error_class == ErrorClass.RATE_LIMIT:
        return False
    return intent.state is IntentState.FAILED or intent.error_class != ErrorClass.CANCELLED


def _class_of(intent: Intent) -> ErrorClass:
    return ErrorClass(intent.error_class or "")
