"""One refused prompt to a harmless text of the same purpose, paid for once and kept.

What hinders it (a budget, a lost reply, a refusal) fails no clip: its next strategy is tried.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Sequence

from pydantic import JsonValue

from asset_pipeline.catalog.reader import Catalog
from asset_pipeline.drafting.brief import MODELS
from asset_pipeline.drafting.messages import chat_request
from asset_pipeline.drafting.operations import KEEP_IDS, RULES, Operation
from asset_pipeline.drafting.paid_chat import PaidAnswer, PaidChat, Payment, Purpose
from asset_pipeline.drafting.price_list import PriceList
from asset_pipeline.drafting.screening import safe_text
from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.ledger.llm_calls import LlmCallRepository
from asset_pipeline.ledger.records import Parent
from asset_pipeline.prompts.spec import Prompt
from asset_pipeline.prompts.text import MAX_CHARACTERS, objection

_log = logging.getLogger(__name__)


class PromptRewriter:
    """Rewrites prompts for one run.

    Args:
        chat: Makes the paid calls.
        prices: What they cost.
        calls: The ledger's calls, for the descent.
        payment: Who pays, and within which bounds.
        catalog: Says how long a model's prompts may be.
        models: The language models that may be asked; the first that is priced is.
    """

    def __init__(
        self,
        chat: PaidChat,
        prices: PriceList,
        calls: LlmCallRepository,
        payment: Payment,
        catalog: Catalog,
        *,
        models: Sequence[str] = MODELS,
    ) -> None:
        self._chat = chat
        self._prices = prices
        self._calls = calls
        self._payment = payment
        self._catalog = catalog
        self._models = models

    async def rewrite(self, prompt: Prompt) -> tuple[str, str]:
        """Return a harmless text and the call that wrote it; both empty where none is to be had.

        The variants of a prompt ask for the same text: the second finds the first one's answer.
        """
        try:
            answer = await self._ask(prompt)
        except AssetPipelineError as error:
            _log.warning("%s is not rewritten: %s", prompt.prompt_id, error.message)
            return "", ""
        drafts = answer.drafts.prompts
        text = safe_text(drafts[0].text) if drafts else ""
        wrong = self._objection(prompt, text)
        if wrong:
            _log.warning("%s: what was rewritten can't be used: %s", prompt.prompt_id, wrong)
            return "", ""
        await asyncio.to_thread(self._note_descent, prompt, answer)
        return text, answer.call.intent_id

    async def _ask(self, prompt: Prompt) -> PaidAnswer:
        # Without the id: the same text of two prompts is rewritten once.
        told: JsonValue = [{"id": "prompt", "text": prompt.text}]
        job: dict[str, JsonValue] = {
            "task": "revise",
            "operation": Operation.REWRITE.value,
            "count": 1,
            "prompts": told,
        }
        rule = f"{RULES[Operation.REWRITE]} {KEEP_IDS}"
        for model in self._models:
            found = await self._chat.stored(
                chat_request(model, prompt.kind, job, 1, extra_rule=rule)
            )
            if found is not None:
                return found
        price = await self._prices.first_of(list(self._models))
        digest = hashlib.sha256(prompt.text.encode()).hexdigest()
        purpose = Purpose(Operation.REWRITE.value, prompt.prompt_id, digest, prompt.collection)
        request = chat_request(price.model, prompt.kind, job, 1, extra_rule=rule)
        return await self._chat.ask(request, price, purpose, self._payment)

    def _objection(self, prompt: Prompt, text: str) -> str | None:
        model = self._catalog.get(prompt.model)
        most = MAX_CHARACTERS[prompt.kind]
        own = model.inputs[model.prompt_input].max_length
        most = most if own is None else min(most, own)
        length = len(text) + (len(prompt.style) + 2 if prompt.style else 0)
        if length > most:
            return f"it has {length:,} characters; at most {most:,} are allowed."
        return objection(text)

    def _note_descent(self, prompt: Prompt, answer: PaidAnswer) -> None:
        digest = hashlib.sha256((answer.call.text or "").encode()).hexdigest()
        parent = Parent(
            "prompt", f"{prompt.kind}/{prompt.prompt_id}", prompt.prompt_hash, "rewritten"
        )
        child = f"draft/{answer.call.intent_id}"
        self._calls.add_lineage(child, digest, [parent], run_id=self._payment.run_id)
