"""Drafting: a brief, or an operation on a collection, to a file of proposals."""

from __future__ import annotations

import asyncio
import difflib
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import JsonValue

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.catalog.reader import Catalog
from asset_pipeline.drafting.brief import MODELS, Brief, BriefFile, briefs_dir
from asset_pipeline.drafting.messages import chat_request, draft_request
from asset_pipeline.drafting.operations import KEEP_IDS, RULES, Operation
from asset_pipeline.drafting.paid_chat import PaidAnswer, PaidChat, Payment, Purpose
from asset_pipeline.drafting.price_list import PriceList
from asset_pipeline.drafting.proposals import (
    Proposal,
    ProposalFile,
    Standing,
    read_proposals,
    write_proposals,
)
from asset_pipeline.drafting.screening import Screening, safe_text, text_problems
from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.ledger.llm_calls import LlmCallRepository
from asset_pipeline.ledger.records import Parent
from asset_pipeline.money import MicroUsd, to_decimal
from asset_pipeline.prompts.spec import Prompt
from asset_pipeline.prompts.text import clean

# So many prompts' texts are one call: an answer to more is cut too often.
_PROMPTS_A_CALL = 25
_MOST_CANDIDATES = 20


@dataclass(frozen=True, slots=True)
class OperationRequest:
    """An operation on some prompts of one collection.

    Attributes:
        language: What to translate into.
        candidates: How many versions of each prompt to write.
        style: What all shall look like; the collection's own style if not given.
        max_characters: The longest text, of shortened ones.
    """

    operation: Operation
    collection: str
    prompts: Sequence[Prompt]
    language: str | None = None
    candidates: int = 3
    style: str | None = None
    max_characters: int = 300


@dataclass(frozen=True, slots=True)
class DraftReport:
    """What came of drafting.

    Attributes:
        path: The file that holds the proposals.
        file: What is in it.
        charged: What was charged now; nothing for an answer that was paid for before.
        is_cached: Whether nothing was sent.
        surplus: How many drafts beyond those asked for were dropped.
    """

    path: Path
    file: ProposalFile
    charged: MicroUsd
    is_cached: bool
    surplus: int = 0


class Drafter:
    """Drafts and keeps what was drafted.

    Args:
        chat: Makes the paid calls.
        prices: What they cost.
        calls: The ledger's calls, for the descent.
        prompts_dir: The prompts folder.
        catalog: The models that make clips.
    """

    def __init__(
        self,
        chat: PaidChat,
        prices: PriceList,
        calls: LlmCallRepository,
        prompts_dir: Path,
        catalog: Catalog,
    ) -> None:
        self._chat = chat
        self._prices = prices
        self._calls = calls
        self._prompts_dir = prompts_dir
        self._catalog = catalog

    async def draft(
        self,
        brief: Brief,
        existing: Mapping[str, Prompt],
        payment: Payment,
        *,
        count: int | None = None,
    ) -> DraftReport:
        """Draft a brief's prompts into the file beside it.

        Args:
            brief: What is wanted.
            existing: The prompts of its kind, by id.
            payment: Who pays, and within which bounds.
            count: How many; as many as the brief says if not given.

        Raises:
            ChatFailedError: The call brought nothing usable.
            BudgetExceededError: A budget has no headroom; nothing was sent.
            AssetPipelineError: Nothing can be sent.
        """
        wanted = count or brief.file.count
        purpose = Purpose("draft", brief.name, brief.sha256, brief.collection)
        answer = await self._ask_first(brief, purpose, payment, wanted)
        drafts = answer.drafts.prompts
        proposals = Screening(brief, self._catalog, existing).proposals(drafts, wanted)
        file = self._file(brief, "draft", answer).with_proposals(proposals)
        parent = Parent("brief", brief.name, brief.sha256, "drafted")
        await asyncio.to_thread(
            self._calls.add_lineage,
            f"draft/{file.call}",
            file.response_sha256,
            [parent],
            run_id=answer.call.run_id,
        )
        file = _as_decided(brief.proposals_path, file, existing)
        write_proposals(brief.proposals_path, file)
        return DraftReport(
            brief.proposals_path,
            file,
            MicroUsd(0) if answer.is_cached else answer.call.charged,
            answer.is_cached,
            surplus=max(0, len(drafts) - wanted),
        )

    async def operate(
        self, request: OperationRequest, payment: Payment, *, models: Sequence[str] = MODELS
    ) -> DraftReport:
        """Draft revisions of a collection's prompts.

        Raises:
            ChatFailedError: A call brought nothing usable; those before it are paid for and kept.
            BudgetExceededError: A budget has no headroom.
            AssetPipelineError: Nothing can be sent.
        """
        _check_operation(request)
        brief = self._stand_in(request, models)
        proposals: list[Proposal] = []
        answers: list[PaidAnswer] = []
        size = _PROMPTS_A_CALL
        if request.operation is Operation.VARY:
            size = max(1, _PROMPTS_A_CALL // request.candidates)
        for start in range(0, len(request.prompts), size):
            chunk = request.prompts[start : start + size]
            answer = await self._operate_on(request, brief, chunk, payment)
            answers.append(answer)
            proposals += _revisions(request, brief, chunk, answer, self._catalog)
        file = self._file(brief, request.operation.value, answers[0]).with_proposals(proposals)
        file = _as_decided(
            brief.proposals_path, file, {prompt.prompt_id: prompt for prompt in request.prompts}
        )
        write_proposals(brief.proposals_path, file)
        charged = sum(answer.call.charged for answer in answers if not answer.is_cached)
        is_cached = all(answer.is_cached for answer in answers)
        return DraftReport(brief.proposals_path, file, MicroUsd(charged), is_cached)

    async def _ask_first(
        self, brief: Brief, purpose: Purpose, payment: Payment, count: int
    ) -> PaidAnswer:
        """Ask the first model that has a price; one that answered this before costs nothing."""
        for model in brief.file.models:
            found = await self._chat.stored(draft_request(brief, model, count))
            if found is not None:
                return found
        price = await self._prices.first_of(list(brief.file.models))
        request = draft_request(brief, price.model, count)
        return await self._chat.ask(request, price, purpose, payment)

    async def _operate_on(
        self, request: OperationRequest, brief: Brief, chunk: Sequence[Prompt], payment: Payment
    ) -> PaidAnswer:
        count = len(chunk) * (request.candidates if request.operation is Operation.VARY else 1)
        job = _job(request, chunk, count)
        rule = f"{RULES[request.operation]} {KEEP_IDS}"
        kind = chunk[0].kind
        for model in brief.file.models:
            asked = chat_request(model, kind, job, count, extra_rule=rule)
            found = await self._chat.stored(asked)
            if found is not None:
                return found
        price = await self._prices.first_of(list(brief.file.models))
        digest = hashlib.sha256(json.dumps(job, sort_keys=True).encode()).hexdigest()
        purpose = Purpose(request.operation.value, request.collection, digest, request.collection)
        asked = chat_request(price.model, kind, job, count, extra_rule=rule)
        return await self._chat.ask(asked, price, purpose, payment)

    def _file(self, brief: Brief, operation: str, answer: PaidAnswer) -> ProposalFile:
        text = answer.call.text or ""
        return ProposalFile(
            subject=brief.name,
            subject_sha256=brief.sha256,
            operation=operation,
            call=answer.call.intent_id,
            response_sha256=hashlib.sha256(text.encode()).hexdigest(),
            kind=brief.kind,
            collection=brief.collection,
            model=brief.model,
            llm=answer.call.model,
            charged_usd=f"{to_decimal(answer.call.charged):f}",
            style=brief.style if brief.kind is Kind.IMAGE else "",
            variants=brief.file.variants,
            inputs=brief.file.inputs,
        )

    def _stand_in(self, request: OperationRequest, models: Sequence[str]) -> Brief:
        """Return the brief that an operation amounts to."""
        first = request.prompts[0]
        name = f"{request.collection}.{request.operation}"
        file = BriefFile(goal=f"{request.operation} {request.collection}", models=list(models))
        path = briefs_dir(self._prompts_dir) / f"{name}.yaml"
        return Brief(name, path, "", first.kind, first.model, request.collection, file)


def _check_operation(request: OperationRequest) -> None:
    if not request.prompts:
        raise AssetPipelineError(
            f"The collection {request.collection} has no prompt to work on.",
            hint="`asset-pipeline prompts list` shows what there is.",
        )
    if request.operation is Operation.TRANSLATE and not request.language:
        raise AssetPipelineError("A translation needs a language.", hint="Give --language de.")
    if not 1 <= request.candidates <= _MOST_CANDIDATES:
        raise AssetPipelineError(
            f"{request.candidates} candidates can't be had.",
            hint=f"Ask for 1 to {_MOST_CANDIDATES}.",
        )


def _job(request: OperationRequest, chunk: Sequence[Prompt], count: int) -> dict[str, JsonValue]:
    job: dict[str, JsonValue] = {
        "task": "revise",
        "operation": request.operation.value,
        "count": count,
        "prompts": [{"id": prompt.prompt_id, "text": prompt.text} for prompt in chunk],
    }
    match request.operation:
        case Operation.TRANSLATE:
            job["language"] = request.language
        case Operation.VARY:
            job["candidates"] = request.candidates
        case Operation.UNIFY:
            job["style"] = request.style or chunk[0].style
        case Operation.SHORTEN:
            job["max_characters"] = request.max_characters
        case _:
            pass
    return job


def _revisions(
    request: OperationRequest,
    brief: Brief,
    chunk: Sequence[Prompt],
    answer: PaidAnswer,
    catalog: Catalog,
) -> list[Proposal]:
    """Return the revisions of known prompts; what claims to be of another is dropped."""
    known = {prompt.prompt_id: prompt for prompt in chunk}
    most = request.candidates if request.operation is Operation.VARY else 1
    made: dict[str, int] = {}
    found: list[Proposal] = []
    for draft in answer.drafts.prompts:
        source = known.get(clean(draft.id))
        if source is None or made.get(source.prompt_id, 0) >= most:
            continue
        number = made[source.prompt_id] = made.get(source.prompt_id, 0) + 1
        text = safe_text(draft.text)
        name = _name_of(request, source, number)
        problems = text_problems(text, brief, catalog.get(source.model))
        if request.operation is Operation.SHORTEN and len(text) > request.max_characters:
            problems.append(f"it still has {len(text):,} characters.")
        is_in_place = name == source.prompt_id
        found.append(
            Proposal(
                id=name,
                text=text,
                inputs={},
                why=safe_text(draft.why)[:300],
                standing=_standing(source, text) if is_in_place else Standing.NEW,
                before=source.text if is_in_place and source.text != text else "",
                problems=tuple(problems),
                drafted_text=text,
                source_id=source.prompt_id,
                call=answer.call.intent_id,
            )
        )
    return found


def _name_of(request: OperationRequest, source: Prompt, number: int) -> str:
    match request.operation:
        case Operation.VARY:
            return f"{source.prompt_id[:90]}-v{number}"
        case Operation.TRANSLATE:
            return f"{source.prompt_id[:80]}-{clean(request.language or '').lower()[:16]}"
        case _:
            return source.prompt_id


def _standing(old: Prompt, text: str) -> Standing:
    return Standing.SAME if old.text == text else Standing.CHANGED


def _as_decided(path: Path, file: ProposalFile, existing: Mapping[str, Prompt]) -> ProposalFile:
    """Keep what a person did to the same proposals before; only how they stand is looked up."""
    if not path.is_file():
        return file
    try:
        before = read_proposals(path)
    except AssetPipelineError:
        raise AssetPipelineError(
            f"{path} can't be read, and would be replaced.",
            hint="Mend it, or remove it; the answer is paid for and kept in the ledger.",
        ) from None
    known = {each.id: each for each in before.proposals}
    if before.call != file.call or set(known) != {each.id for each in file.proposals}:
        return file
    return file.with_proposals([_standing_now(known[each.id], existing) for each in file.proposals])


def _standing_now(proposal: Proposal, existing: Mapping[str, Prompt]) -> Proposal:
    old = existing.get(proposal.id)
    if old is None:
        return replace(proposal, standing=Standing.NEW, before="")
    standing = _standing(old, proposal.text)
    before = old.text if standing is Standing.CHANGED else ""
    return replace(proposal, standing=standing, before=before)


def difference(before: str, after: str) -> str:
    """Return what changes from one text to another, by words: ``[-gone-]`` and ``{+new+}``."""
    old, new = before.split(), after.split()
    parts: list[str] = []
    for tag, first, last, start, end in difflib.SequenceMatcher(None, old, new).get_opcodes():
        if tag == "equal":
            parts.append(" ".join(old[first:last]))
            continue
        if last > first:
            parts.append(f"[-{' '.join(old[first:last])}-]")
        if end > start:
            parts.append(f"{{+{' '.join(new[start:end])}+}}")
    return " ".join(parts)
