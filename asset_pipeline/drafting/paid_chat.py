"""One paid call to a language model: reserved, sent once, charged, and kept for whoever asks again.

The steps are those of a clip's payment, each durable before the next. What is different: a reply
that was lost can't be found in any list. So it is charged at the worst case at once, it is not sent
again by itself, and :meth:`PaidChat.settle` lowers the charge when the key's usage proves less.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from pydantic import ValidationError

from asset_pipeline.catalog.token_prices import TokenPrice
from asset_pipeline.clock import Clock
from asset_pipeline.drafting.answer_form import DraftedPrompts
from asset_pipeline.errors import AssetPipelineError, ExitCode
from asset_pipeline.foreign.document import read_json
from asset_pipeline.foreign.text import cleaned
from asset_pipeline.ledger.llm_calls import Answered, LlmCall, LlmCallRepository, NewCall
from asset_pipeline.ledger.workers import HEARTBEAT_SECONDS
from asset_pipeline.money import MicroUsd, format_usd
from asset_pipeline.origin import Origin
from asset_pipeline.providers.chat import (
    ChatAnswer,
    ChatProvider,
    ChatRequest,
    UnreadableAnswerError,
)
from asset_pipeline.providers.protocol import (
    ProviderError,
    RefusedError,
    UnavailableError,
    UnclearError,
)

# What a finished call cost is known within seconds; it is asked for where the answer did not say.
_COST_PAUSES = (0.5, 1.5, 3.0)

_LONGEST_ERROR = 400
_LONGEST_TOLD = 20_000


class ChatFailedError(AssetPipelineError):
    """A call brought nothing usable.

    Attributes:
        error_class: ``content_refused``, ``truncated``, ``wrong_schema``, ``provider_error``,
            ``answer_cut``, ``reply_lost`` or ``refused``.
        charged: What it was charged all the same.
    """

    exit_code = ExitCode.SOME_FAILED

    def __init__(self, error_class: str, message: str, charged: MicroUsd, hint: str = "") -> None:
        paid = f" It is charged {format_usd(charged)}." if charged else " Nothing is charged."
        super().__init__(f"{message}{paid}", hint=hint)
        self.error_class = error_class
        self.charged = charged


@dataclass(frozen=True, slots=True)
class Purpose:
    """What a call is for.

    Attributes:
        operation: ``draft``, ``translate`` and so on.
        subject: The brief's or the collection's name.
        subject_sha256: Of what it says.
        collection: Whose budget pays.
    """

    operation: str
    subject: str
    subject_sha256: str
    collection: str


@dataclass(frozen=True, slots=True)
class Payment:
    """On whose behalf, and within which bounds, a call is paid.

    Attributes:
        run_id: The run that pays.
        worker_id: The process that pays.
        max_usd: What the run may spend on calls in all; None for no cap of its own.
        again: Whether to send what was lost before.
    """

    run_id: str
    worker_id: str
    max_usd: MicroUsd | None = None
    again: bool = False


@dataclass(frozen=True, slots=True)
class PaidAnswer:
    """A usable answer.

    Attributes:
        drafts: What was written.
        call: The payment behind it.
        is_cached: Whether it was paid for earlier, so that it cost nothing now.
    """

    drafts: DraftedPrompts
    call: LlmCall
    is_cached: bool


class PaidChat:
    """Makes calls and pays for them.

    Args:
        provider: Who answers.
        calls: The ledger's calls.
        clock: Waits and decides how long ago a reply was lost.
        settle_seconds: After so long the provider has counted a call that was lost, if it was made.
    """

    def __init__(
        self,
        provider: ChatProvider,
        calls: LlmCallRepository,
        clock: Clock,
        *,
        settle_seconds: float,
    ) -> None:
        self._provider = provider
        self._calls = calls
        self._clock = clock
        self._settle = timedelta(seconds=settle_seconds)

    async def stored(self, request: ChatRequest) -> PaidAnswer | None:
        """Return the answer to this very call if it was paid for before."""
        call = await asyncio.to_thread(self._calls.answered, request.call_hash)
        if call is None or call.text is None:
            return None
        return PaidAnswer(_read_drafts(call.text), call, is_cached=True)

    async def ask(
        self, request: ChatRequest, price: TokenPrice, purpose: Purpose, payment: Payment
    ) -> PaidAnswer:
        """Send a call once and pay for it, unless it was answered before.

        Raises:
            ChatFailedError: It brought nothing usable; the error says what it was charged.
            BudgetExceededError: A budget has no headroom; nothing was sent.
            CallInFlightError: Another process is at it.
            LostCallError: The reply of an earlier one was lost.
        """
        begun = await asyncio.to_thread(self._begin, request, price, purpose, payment)
        if begun.is_good and begun.text is not None:
            return PaidAnswer(_read_drafts(begun.text), begun, is_cached=True)
        async with self._beating(payment.worker_id):
            return await self._drive(begun, request, price)

    async def settle(self) -> list[LlmCall]:
        """Lower what lost calls are charged as far as it can be proved; return those lowered.

        Nothing is sent that costs anything. What can't be asked now stays as it is.
        """
        await asyncio.to_thread(self._calls.end_of_dead)
        lowered: list[LlmCall] = []
        for call in await asyncio.to_thread(self._calls.unproved):
            if call.account != self._provider.account:
                continue  # another key's usage proves nothing
            with contextlib.suppress(ProviderError):
                after = await self._prove(call)
                if after.charged != call.charged:
                    lowered.append(after)
        return lowered

    async def _prove(self, call: LlmCall) -> LlmCall:
        if call.generation_id is not None:
            cost = await self._provider.cost_of(call.generation_id)
            if cost is not None:
                return await asyncio.to_thread(self._calls.settle_by_id, call, cost)
        settled = self._clock.now() - self._settle
        if call.lost_at is None or call.lost_at > settled:
            return call
        usage = await self._provider.key_usage()
        return await asyncio.to_thread(self._calls.prove, call, usage, settled)

    def _begin(
        self, request: ChatRequest, price: TokenPrice, purpose: Purpose, payment: Payment
    ) -> LlmCall:
        most = price.max_completion_tokens
        if most and request.max_tokens > most:
            raise AssetPipelineError(
                f"{price.model} writes {most:,} tokens at the most, and {request.max_tokens:,} may "
                "be needed.",
                hint="Ask for fewer prompts, or allow another model.",
            )
        new = NewCall(
            call_hash=request.call_hash,
            operation=purpose.operation,
            subject=purpose.subject,
            subject_sha256=purpose.subject_sha256,
            collection=purpose.collection,
            model=request.model,
            content=request.content(),
            told=request.messages[-1].content[:_LONGEST_TOLD],
            worst_case=price.worst_case(request.sent_bytes, request.max_tokens),
            price_source=price.source,
            origin=Origin(self._provider.name, self._provider.base_url, self._provider.account),
        )
        return self._calls.begin(
            new,
            run_id=payment.run_id,
            worker_id=payment.worker_id,
            run_cap=payment.max_usd,
            again=payment.again,
        )

    async def _drive(self, begun: LlmCall, request: ChatRequest, price: TokenPrice) -> PaidAnswer:
        usage = await self._usage(begun)
        call = await asyncio.to_thread(self._calls.start, begun, usage)
        try:
            answer = await self._provider.complete(request, price)
        except RefusedError as error:
            await asyncio.to_thread(self._calls.refuse, call, "refused", error.message)
            raise _refused(error) from error
        except UnreadableAnswerError as error:
            raise await self._cut(call, error) from error
        except UnclearError as error:
            lost = await asyncio.to_thread(self._calls.lose, call, error.message)
            raise _lost(lost, error.message) from error
        except BaseException:
            # Stopped while it was on its way: it may be paid for.
            self._calls.lose(call, "stopped before an answer came")
            raise
        return await self._record(call, answer)

    async def _usage(self, begun: LlmCall) -> Decimal | None:
        """Return what the key has spent so far; None where nobody can tell.

        Raises:
            ChatFailedError: The key is not valid; nothing was sent.
        """
        try:
            return await self._provider.key_usage()
        except RefusedError as error:
            await asyncio.to_thread(self._calls.refuse, begun, "refused", error.message)
            raise _refused(error) from error
        except UnavailableError:
            return None
        except BaseException:
            self._calls.refuse(begun, "cancelled", "not sent")
            raise

    async def _cut(self, call: LlmCall, error: UnreadableAnswerError) -> ChatFailedError:
        """Return the error of an answer that can't be read, which was made all the same."""
        cost = await self._cost_of(error.generation_id)
        if cost is None:
            lost = await asyncio.to_thread(
                self._calls.lose, call, error.message, error.generation_id
            )
            return _lost(lost, error.message)
        answer = Answered(
            error.generation_id, "", "", None, None, cost, "", "answer_cut", error.message
        )
        ended = await asyncio.to_thread(self._calls.finish, call, answer)
        return ChatFailedError("answer_cut", f"The answer is cut: {error.message}.", ended.charged)

    async def _record(self, call: LlmCall, answer: ChatAnswer) -> PaidAnswer:
        drafts, error_class, error = judged(answer)
        cost = answer.cost
        if cost is None and error_class == "provider_error":
            cost = await self._cost_of(answer.generation_id)
        if cost is None and error_class == "provider_error":
            # Nothing came, and nothing says whether that is billed: as good as a lost reply.
            lost = await asyncio.to_thread(self._calls.lose, call, error, answer.generation_id)
            raise _lost(lost, error)
        written = Answered(
            generation_id=answer.generation_id,
            model=answer.model,
            finish_reason=answer.finish_reason,
            prompt_tokens=answer.prompt_tokens,
            completion_tokens=answer.completion_tokens,
            cost=cost,
            text=cleaned(answer.content, max(len(answer.content), 1)),
            error_class=error_class,
            error=error,
        )
        ended = await asyncio.to_thread(self._calls.finish, call, written)
        if cost is None:
            # What was written is kept before its price is looked up: that takes seconds.
            found = await self._cost_of(answer.generation_id)
            if found is not None:
                ended = await asyncio.to_thread(self._calls.settle_by_id, ended, found)
        if drafts is None or error_class is not None:
            raise ChatFailedError(
                error_class or "wrong_schema", f"{error}.", ended.charged, hint=_HINTS[error_class]
            )
        return PaidAnswer(drafts, ended, is_cached=False)

    async def _cost_of(self, generation_id: str) -> Decimal | None:
        """Return what a call cost by the provider's record of it, which takes seconds to appear."""
        if not generation_id:
            return None
        for pause in _COST_PAUSES:
            with contextlib.suppress(ProviderError):
                cost = await self._provider.cost_of(generation_id)
                if cost is not None:
                    return cost
            await self._clock.sleep(pause)
        return None

    @contextlib.asynccontextmanager
    async def _beating(self, worker_id: str) -> AsyncGenerator[None]:
        """Say that this process lives for as long as it waits for an answer."""
        task = asyncio.create_task(self._beat(worker_id))
        try:
            yield
        finally:
            task.cancel()

    async def _beat(self, worker_id: str) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            with contextlib.suppress(AssetPipelineError):
                await asyncio.to_thread(self._calls.beat, worker_id)


def judged(answer: ChatAnswer) -> tuple[DraftedPrompts | None, str | None, str]:
    """Return what an answer says, or the class and the words of what is wrong with it."""
    if answer.error:
        return None, "provider_error", answer.error
    if answer.refusal or answer.finish_reason == "content_filter":
        said = answer.refusal or "its content filter stopped it"
        return None, "content_refused", f"The model refused: {said}"
    if answer.finish_reason == "length":
        return None, "truncated", "The answer is longer than was allowed and was cut"
    try:
        return _read_drafts(answer.content), None, ""
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"][:4])
        return (
            None,
            "wrong_schema",
            cleaned(
                f"The answer does not keep to the schema at {where or 'its root'}: {first['msg']}",
                _LONGEST_ERROR,
            ),
        )
    except ValueError as error:
        wrong = cleaned(f"The answer is no JSON: {error}", _LONGEST_ERROR)
        return None, "wrong_schema", wrong


def _read_drafts(text: str) -> DraftedPrompts:
    return DraftedPrompts.model_validate(read_json(text.encode("utf-8", "replace"))[0])


def _refused(error: RefusedError) -> ChatFailedError:
    hint = "Nothing was made. Check OPENROUTER_API_KEY, its credit and the model's name."
    if error.retry_after is not None:
        hint = f"Nothing was made. Try again in {error.retry_after:.0f} seconds."
    return ChatFailedError(
        "refused", f"The language model was refused: {error.message}.", MicroUsd(0), hint=hint
    )


def _lost(call: LlmCall, message: str) -> ChatFailedError:
    return ChatFailedError(
        "reply_lost",
        f"The reply was lost: {message}.",
        call.charged,
        hint="That is the worst case, for nobody can tell whether it was made; it is not sent "
        "again by itself. `asset-pipeline reconcile` lowers it when the key's usage proves less.",
    )


_HINTS: dict[str | None, str] = {
    "content_refused": "Change the brief, or allow another model.",
    "truncated": "Ask for fewer prompts.",
    "wrong_schema": "Run it again, or allow another model.",
    "provider_error": "Run it again later.",
}
