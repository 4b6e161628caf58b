"""The paid call: the one path by which money leaves.

Each step is durable in the ledger before the next begins, and whoever finds an open intent goes
on from where its state says: ``_continue`` is the whole protocol in one place.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from datetime import datetime

from asset_pipeline.clock import Clock
from asset_pipeline.generation.classifier import from_prediction, from_refusal
from asset_pipeline.generation.failures import ErrorClass, GenerationFailure, StoreFailure
from asset_pipeline.generation.payment.breaker import BreakerGuard
from asset_pipeline.generation.payment.budget_queue import BudgetQueue
from asset_pipeline.generation.payment.context import PaymentContext
from asset_pipeline.generation.payment.recorder import Landed, Recorder
from asset_pipeline.generation.payment.submit import Sender
from asset_pipeline.generation.payment.wait import known_again, wait_for_end
from asset_pipeline.generation.reconciliation.reconciler import ProvedAbsentError, Reconciler
from asset_pipeline.generation.request import GenerationRequest, terms_of_intent
from asset_pipeline.ledger.budget_scopes import Scope
from asset_pipeline.ledger.deletion_guard import ObjectRemovedError
from asset_pipeline.ledger.intents import IntentMovedError
from asset_pipeline.ledger.ledger import Payer
from asset_pipeline.ledger.records import Clip, Intent
from asset_pipeline.ledger.schema import IntentState
from asset_pipeline.ledger.substitutes import Stake
from asset_pipeline.ledger.wants import Want
from asset_pipeline.logs.fields import bind, bound
from asset_pipeline.origin import Origin
from asset_pipeline.prompts.spec import Prompt
from asset_pipeline.providers.prediction import Prediction, PredictionStatus
from asset_pipeline.providers.protocol import RefusedError, UnavailableError
from asset_pipeline.tracing.spans import annotate, span, traceparent

# A create that was throttled is certainly unpaid and is planned again, this often before the retry
# rules have their turn: a 429 is about pace, which all clips share.
_ROUNDS = 10
_DEFAULT_THROTTLE_SECONDS = 5.0
# A step that sleeps longer than this looks dead: a longer wait is left to Dagster's retry.
_LONGEST_THROTTLE = 120.0


class OtherWayError(Exception):
    """The clip is being made already by another request; continue with that one."""

    def __init__(self, intent: Intent) -> None:
        super().__init__()
        self.intent = intent


class _TurnedUpError(Exception):
    """An earlier attempt was accepted after all; continue with that one."""


class PaidCall:
    """Gets clips: reuses what is stored, continues what is open, pays for what is new.

    Args:
        with_: The collaborators.
        payer: The run and worker that pay.
        pay_again_before: Pay again for clips that were stored before this time.
    """

    def __init__(
        self, with_: PaymentContext, payer: Payer, *, pay_again_before: datetime | None = None
    ) -> None:
        self._with = with_
        self._payer = payer
        self._pay_again_before = pay_again_before
        self._sender = Sender(with_)
        self._reconciler = Reconciler(with_)
        self._recorder = Recorder(with_, payer)
        self._driven: set[str] = set()
        pause = with_.timing.other_worker
        self._queue = BudgetQueue(with_.clock, pause, lambda: bool(self._driven))

    @property
    def waiting(self) -> int:
        """Clips that wait for reserved money to come back."""
        return self._queue.waiting

    @property
    def in_flight(self) -> int:
        """Predictions that the provider is at, or is about to be asked for."""
        return self._with.places.taken

    async def land(self, request: GenerationRequest) -> Landed:
        """Return the clip of a request, paying at most once for it whatever happens.

        Raises:
            GenerationFailure: It did not land, and why; ``left`` says whether its intent is open.
            BudgetExceededError: A budget has no headroom, and nothing is held that could come back;
                nothing was sent.
            OtherWayError: Another request is under way for the same wanted clip.
        """
        with span(
            "paid_call",
            asset_pipeline__kind=request.prompt.kind.value,
            asset_pipeline__prompt_id=request.prompt.prompt_id,
            asset_pipeline__variant=request.variant,
            gen_ai__operation__name="generate_content",
            gen_ai__request__model=request.prompt.model,
        ):
            return await self._land_or_let_go(request)

    async def _land_or_let_go(self, request: GenerationRequest) -> Landed:
        try:
            return await self._land_in_rounds(request)
        except GenerationFailure as failure:
            self._with.gate.heed(failure)
            find = self._with.ledger.open_intent
            still_open = await self._with.write(find, request.generation_hash)
            if still_open is not None:
                failure.left = still_open.state
                await self._let_go(still_open)
            raise

    async def _let_go(self, intent: Intent) -> None:
        """Leave an intent that can't be finished now to whoever comes first, here or elsewhere.

        As long as it looked driven, other processes would wait for the money that it holds.
        """
        if intent.worker_id == self._payer.worker_id and intent.intent_id not in self._driven:
            with contextlib.suppress(IntentMovedError):
                await self._with.write(self._with.ledger.let_go, intent)

    async def _land_in_rounds(self, request: GenerationRequest) -> Landed:
        obstacle = GenerationFailure(ErrorClass.UNKNOWN, "never tried")
        for _ in range(_ROUNDS):
            try:
                return await self._land(request)
            except ObjectRemovedError as error:
                obstacle = StoreFailure(error.message)  # deleted since it was found
            except _TurnedUpError:
                obstacle = GenerationFailure(ErrorClass.UNKNOWN, "an earlier attempt turned up")
            except ProvedAbsentError as error:
                cause = "never accepted"
                raise GenerationFailure(error.error_class, str(error), cause=cause) from error
            except GenerationFailure as failure:
                wait = failure.retry_after or _DEFAULT_THROTTLE_SECONDS
                if failure.error_class is not ErrorClass.RATE_LIMIT or wait > _LONGEST_THROTTLE:
                    raise
                obstacle = failure
                await self._with.limiter.throttled(wait)
        raise obstacle

    async def _land(self, request: GenerationRequest) -> Landed:
        async with BreakerGuard(self._with.breakers, request.prompt.model) as trial:
            found = await self._find(request, trial)
            if isinstance(found, Clip):
                return await self._recorder.reuse(request, found)
            landed = await self._drive(request, found, trial)
        prompt, made = request.prompt, landed.clip
        place = (prompt.kind, prompt.prompt_id, request.variant)
        if (made.kind, made.prompt_id, made.variant) == place:
            return landed
        # It was begun for another place that asks for the same, by a process that died.
        own = await self._recorder.reuse(request, made)
        return replace(own, paid=landed.paid, cached=False, web_url=landed.web_url)

    async def _look_back(self, intent: Intent) -> None:
        """Make sure, before another attempt is sent, that the one before was really lost.

        Raises:
            _TurnedUpError: It was accepted after all: this attempt is refused, and not needed.
            GenerationFailure: Class network: it can't be told now; this attempt is refused.
        """
        refuse = self._with.ledger.refuse
        try:
            turned_up = await self._reconciler.look_back(intent)
        except UnavailableError as error:
            message = f"can't tell whether an earlier attempt was accepted: {error.message}"
            await self._with.write(refuse, intent, ErrorClass.NETWORK, message)
            raise GenerationFailure(ErrorClass.NETWORK, message) from error
        if turned_up:
            with contextlib.suppress(IntentMovedError):  # taking it back has refused this one
                message = "an earlier attempt turned up"
                await self._with.write(refuse, intent, ErrorClass.CANCELLED, message)
            raise _TurnedUpError

    def is_open(self, model: str) -> bool:
        """Tell whether a model's breaker lets nothing through now."""
        return self._with.breakers.is_open(model)

    @property
    def stopped_paying(self) -> bool:
        """Whether the store refuses files, so that nothing new is paid for in this session."""
        return self._with.gate.is_closed

    async def failed_attempts(self, request: GenerationRequest) -> list[Intent]:
        """Return the attempts at this clip that ended without it in this run, oldest first."""
        prompt, ledger = request.prompt, self._with.ledger
        return await self._with.write(
            ledger.failed_attempts,
            prompt.kind,
            prompt.prompt_id,
            request.variant,
            self._payer.run_id,
        )

    async def stake_of(self, prompt: Prompt) -> Stake:
        """Return what a prompt has cost in this run without a clip, and what it still holds."""
        find = self._with.ledger.stake_of
        return await self._with.write(find, prompt.kind, prompt.prompt_id, self._payer.run_id)

    async def is_begun(self, request: GenerationRequest) -> bool:
        """Tell whether a clip is stored or an intent open, so that landing it reserves nothing."""
        return await self._look_up(request) is not None

    @property
    def clock(self) -> Clock:
        """The clock that everything here goes by."""
        return self._with.clock

    async def _look_up(self, request: GenerationRequest) -> Clip | Intent | None:
        return await self._with.write(
            self._with.ledger.find_wanted,
            request.generation_hash,
            wanted_hash=request.wanted_hash,
            collection=request.prompt.collection,
            pay_again_before=self._pay_again_before,
        )

    async def _find(self, request: GenerationRequest, trial: BreakerGuard) -> Clip | Intent:
        """Return the stored clip, or an open intent that is this task's to drive.

        Money is set aside only when the model's breaker lets something through.

        Raises:
            OtherWayError: The open intent is for another way to the clip.
        """
        while True:
            found = await self._look_up(request)
            if found is None:
                await self._with.gate.admit()
                await trial.admit()
                try:
                    origin = await self._origin()
                except GenerationFailure as failure:
                    await trial.refused(failure)
                    raise
                found = await self._reserve(request, origin)
                if isinstance(found, Intent) and self._is_fresh(found):
                    return found
            await self._check_origin(found)
            if isinstance(found, Clip):
                return found
            await self._with.write(self._with.ledger.want, self._want_of(request))
            if found.generation_hash != request.generation_hash:
                raise OtherWayError(found)
            taken = await self.take_up(found)
            if taken is not None:
                return taken
            # Another task or process drives it: one pays, the others wait.
            await self._with.clock.sleep(self._with.timing.other_worker)

    def _is_fresh(self, intent: Intent) -> bool:
        """Tell whether an intent was reserved just now by this task: nothing of it is in doubt."""
        own = intent.worker_id == self._payer.worker_id
        return own and intent.state is IntentState.RESERVED and intent.intent_id not in self._driven

    async def _check_origin(self, found: Clip | Intent) -> None:
        """Make sure that what the ledger has was made by the account that is used here.

        Raises:
            GenerationFailure: Class other_account: it was not, and is not paid for again.
        """
        if not found.origin.is_recorded:
            return
        try:
            here = await self._with.provider.origin()
        except (UnavailableError, RefusedError):
            # A clip that is stored, or verified on this machine, needs no request.
            if isinstance(found, Clip) or found.stored_json is not None:
                return
            here = await self._origin()
        if not found.origin.agrees_with(here):
            what = "The clip was paid for" if isinstance(found, Clip) else "It was sent"
            raise GenerationFailure(
                ErrorClass.OTHER_ACCOUNT, f"{what} by {found.origin}; the token here is of {here}"
            )

    async def _origin(self) -> Origin:
        """Return the account that pays.

        Raises:
            GenerationFailure: The token is not accepted, or the provider is away.
        """
        try:
            return await self._with.provider.origin()
        except RefusedError as error:
            raise from_refusal(error) from error
        except UnavailableError as error:
            raise GenerationFailure(
                ErrorClass.NETWORK,
                f"can't tell which account would pay: {error.message}",
                cause="no answer",
                retry_after=error.retry_after,
            ) from error

    def _want_of(self, request: GenerationRequest) -> Want:
        prompt, order = request.prompt, self._payer.wanted_order
        return Want(
            prompt.kind,
            prompt.prompt_id,
            request.variant,
            prompt.variants,
            request.wanted_hash,
            order,
        )

    async def take_up(self, intent: Intent) -> Intent | None:
        """Return an open intent, adopted by this process; None if another process drives it.

        What nobody drives is adopted, from a dead worker or from an earlier attempt of this one; a
        POST it may have had on the wire becomes unknown. The caller goes on with it at once.

        Raises:
            GenerationFailure: Class other_account: only another account can finish it.
        """
        if intent.state is not IntentState.RESERVED:  # of what was not sent no account knows
            await self._check_origin(intent)
        if intent.worker_id != self._payer.worker_id and await self._with.write(
            self._with.ledger.is_alive, intent.worker_id
        ):
            return None
        if intent.intent_id in self._driven:
            return None
        # Marked before the ledger is asked, which tells in turn whether the intent still stands as
        # it was read: of two tasks that found it, one goes on with it.
        self._driven.add(intent.intent_id)
        try:
            adopted = await self._with.write(self._with.ledger.adopt, intent, self._payer.worker_id)
        except IntentMovedError:
            self._driven.discard(intent.intent_id)
            return None
        except BaseException:
            self._driven.discard(intent.intent_id)
            raise
        self._with.checkpoint("adopted")
        return adopted

    async def finish(self, request: GenerationRequest, intent: Intent) -> Landed | None:
        """Bring an intent that was taken up to its end, without sending anything new.

        Returns:
            The landed clip; None when nothing had been accepted and the money is back.

        Raises:
            GenerationFailure: It brings no clip, or can't be finished now.
        """
        if intent.state is IntentState.RESERVED:
            refuse = self._with.ledger.refuse
            await self._with.write(refuse, intent, ErrorClass.CANCELLED, "its process died unsent")
            self._driven.discard(intent.intent_id)
            return None
        try:
            nothing_new = BreakerGuard(self._with.breakers, request.prompt.model)
            with span(
                "resume",
                links=_links(intent),
                asset_pipeline__intent_id=intent.intent_id,
                gen_ai__request__model=intent.model,
            ):
                return await self._drive(request, intent, nothing_new)
        except ProvedAbsentError:
            return None

    def budgets_of(self, request: GenerationRequest) -> frozenset[str]:
        """Return the budgets that a clip falls under now, whether or not they have a cap."""
        run = self._payer.budget_id or self._payer.run_id
        return frozenset(Scope(request.prompt.collection, run, self._with.clock.now()).budgets)

    async def _reserve(self, request: GenerationRequest, origin: Origin) -> Clip | Intent:
        async def ask() -> Clip | Intent:
            new = request.new_intent(self._with.clock.now().date())
            new = replace(
                new,
                origin=origin,
                wanted_order=self._payer.wanted_order,
                traceparent=traceparent(),
            )
            reserve = self._with.ledger.reserve
            return await self._with.write(
                reserve, new, self._payer, pay_again_before=self._pay_again_before
            )

        with span("reserve"):
            found = await self._queue.reserve(self.budgets_of(request), ask)
        self._with.checkpoint("reserved")
        return found

    async def _drive(
        self, request: GenerationRequest, intent: Intent, trial: BreakerGuard
    ) -> Landed:
        self._driven.add(intent.intent_id)
        try:
            annotate(asset_pipeline__intent_id=intent.intent_id)
            with bound(intent_id=intent.intent_id):
                return await self._continue(request, intent, trial)
        except IntentMovedError as error:
            # Only a person, or a machine that believed us dead, can have moved it.
            raise GenerationFailure(ErrorClass.UNKNOWN, str(error)) from error
        finally:
            self._driven.discard(intent.intent_id)
            self._queue.tell()

    async def _continue(
        self, request: GenerationRequest, intent: Intent, trial: BreakerGuard
    ) -> Landed:
        """Take an open intent from its state to a delivered clip."""
        if intent.state is IntentState.QUESTION:
            intent = await known_again(self._with, intent)
        if intent.state is IntentState.COMPLETED:
            # Its prediction has ended and is charged: only the file is left to fetch.
            return await self._recorder.deliver(request, intent, None)
        ended: Prediction | None = None
        if intent.state is IntentState.RESERVED:
            if intent.attempt > 1 or intent.wanted_hash is not None:
                await self._look_back(intent)
            async with self._with.places:
                intent = await self._sender.send(request, intent, trial)
                if intent.state is IntentState.SUBMITTED:
                    ended = await self._await_end(request, intent, trial)
        if intent.state is IntentState.UNKNOWN:
            # It holds no slot: it may take minutes, and mostly nothing was accepted.
            with span("reconcile", links=_links(intent)):
                intent = await self._reconciler.resolve(
                    intent, terms_of_intent(intent, request.model)
                )
        if ended is None:
            async with self._with.places:
                ended = await self._await_end(request, intent, trial)
        intent = await self._recorder.charge(request, intent, ended)
        succeeded = ended.status is PredictionStatus.SUCCEEDED
        await trial.ended(None if succeeded else from_prediction(ended))
        return await self._recorder.deliver(request, intent, ended)

    async def _await_end(
        self, request: GenerationRequest, intent: Intent, trial: BreakerGuard
    ) -> Prediction:
        bind(prediction_id=intent.prediction_id)
        annotate(gen_ai__response__id=intent.prediction_id)
        self._with.deliverer.expect()
        try:
            terms = terms_of_intent(intent, request.model)
            with span("wait"):
                return await wait_for_end(self._with, terms, intent)
        except GenerationFailure as silence:
            await trial.ended(silence)
            raise


def _links(intent: Intent) -> tuple[str, ...]:
    """Return the span that an intent was made in: of another run, if that died."""
    return (intent.traceparent,) if intent.traceparent else ()
