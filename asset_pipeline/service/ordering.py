"""From a body to a submission: prompts completed and checked, clips looked up, the worst case."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.catalog.reader import Catalog
from asset_pipeline.generation.planning.plan import Plan, make_plan, wanted_clips
from asset_pipeline.ledger.budgets import KeyCap
from asset_pipeline.ledger.submissions import NewItem, NewSubmission
from asset_pipeline.money import MicroUsd, to_decimal
from asset_pipeline.prompts.resolver import Resolver
from asset_pipeline.prompts.spec import CollectionDefaults, Prompt
from asset_pipeline.prompts.submitted import Uploads, entry_of, resolve_entry
from asset_pipeline.prompts.text import slug
from asset_pipeline.service.bodies import (
    BudgetPlanAnswer,
    DefaultsBody,
    ModelPlanAnswer,
    PlanAnswer,
    PromptBody,
)
from asset_pipeline.service.context import ServiceContext
from asset_pipeline.service.identity import Caller
from asset_pipeline.service.problems import Finding, ProblemError

COLLECTION = "api"

# As many as a run takes; only budgets of single runs look at it.
_PROMPTS_A_RUN = 1000

_MAX_FINDINGS = 100


@dataclass(frozen=True, slots=True)
class Order:
    """What somebody wants, checked and priced.

    Attributes:
        prompts: As they would be generated.
        items: As the ledger keeps them.
    """

    prompts: tuple[Prompt, ...]
    items: tuple[NewItem, ...]
    plan: Plan

    def submission(self, caller: Caller, request_id: str) -> NewSubmission:
        """Return it as the ledger takes it."""
        return NewSubmission(
            owner=caller.owner,
            key_id=caller.key_id,
            request_id=request_id,
            items=self.items,
            clips=sum(item.variants for item in self.items),
            cached=self.plan.cached,
            worst_case=self.plan.worst_case,
        )

    def answer(self) -> PlanAnswer:
        """Return the plan, for whoever wants no more."""
        plan = self.plan
        return PlanAnswer(
            prompts=plan.prompts,
            clips=plan.clips,
            cached=plan.cached,
            open=plan.open,
            to_generate=plan.to_generate,
            worst_case_usd=usd(plan.worst_case),
            fits=plan.fits,
            models=[
                ModelPlanAnswer(
                    model=each.model,
                    kind=each.kind.value,
                    cached=each.cached,
                    open=each.open,
                    to_generate=each.to_generate,
                    worst_case_usd=usd(each.worst_case),
                )
                for each in plan.models
            ],
            budgets=[
                BudgetPlanAnswer(
                    budget=each.budget,
                    cap_usd=usd(each.cap),
                    headroom_usd=usd(each.headroom),
                    needed_usd=usd(each.needed),
                    fits=each.fits,
                )
                for each in plan.budgets
            ],
        )


class Ordering:
    """Makes orders for one caller, with the models and files of one moment."""

    def __init__(self, context: ServiceContext, caller: Caller) -> None:
        self._context = context
        self._caller = caller
        self._catalog = context.catalog()
        self._library = context.library()
        self._uploads = Uploads(context.settings.uploads_dir, self._own_files())
        self._resolver = Resolver(
            context.settings.uploads_dir, self._catalog, on=context.clock.now().date()
        )

    def of_bodies(
        self,
        bodies: Sequence[PromptBody],
        *,
        collection: str | None,
        kind: Kind | None = None,
        defaults: DefaultsBody | None = None,
        at: str = "/prompts/{}",
    ) -> Order:
        """Return the order of some prompts.

        Args:
            bodies: The prompts.
            collection: The ledger's collection that they stand in.
            kind: Of those that don't say.
            defaults: What they share.
            at: Where each of them stands in the body.

        Raises:
            ProblemError: Something is wrong with some of them; it names all of it.
        """
        shared = CollectionDefaults.model_validate((defaults or DefaultsBody()).model_dump())
        wrong: list[Finding] = []
        taken: list[Finding] = []
        prompts: list[Prompt] = []
        items: list[NewItem] = []
        entries: dict[tuple[Kind, str], Mapping[str, Any]] = {}
        for index, body in enumerate(bodies):
            place = at.format(index)
            name = collection or COLLECTION
            found = self._prompt(body, name, kind, shared)
            if not isinstance(found, Prompt):
                wrong.extend(
                    each.model_copy(update={"pointer": place + each.pointer}) for each in found
                )
                continue
            key = (found.kind, found.prompt_id)
            entry = entry_of(found, body.reference)
            if entries.setdefault(key, entry) != entry:
                detail = f"the id {found.prompt_id!r} stands for another prompt of this batch."
                wrong.append(Finding(pointer=f"{place}/id", detail=detail))
            elif self.is_of_file(key):
                detail = f"the id {found.prompt_id!r} is taken by a prompt file."
                taken.append(Finding(pointer=f"{place}/id", detail=detail))
            known = self._library.prompts.get(key)
            prompts.append(found if known is None else replace(found, takes=known.takes))
            items.append(NewItem(found.kind, found.prompt_id, name, found.variants, entry))
        if wrong:
            detail = f"{len(wrong)} things are wrong with the prompts; nothing was taken."
            raise ProblemError(422, "invalid_prompt", detail, errors=wrong[:_MAX_FINDINGS])
        if taken:
            detail = "Ids of prompt files can't be given to other prompts."
            raise ProblemError(409, "prompt_taken", detail, errors=taken[:_MAX_FINDINGS])
        return Order(tuple(prompts), tuple(items), self._plan(prompts))

    def of_take(
        self,
        kind: Kind,
        prompt_id: str,
        variant: int,
        *,
        text: str | None = None,
        inputs: Mapping[str, Any] | None = None,
    ) -> Order:
        """Return the order of another take of a prompt's variant.

        Raises:
            ProblemError: The prompt is gone, has fewer variants, or stands in a file and was to be
                changed.
        """
        prompt = self._known((kind, prompt_id))
        if variant > prompt.variants:
            asked = f"{kind}/{prompt_id} asks for {prompt.variants} variants by now."
            raise ProblemError(409, "prompt_gone", asked)
        entry: dict[str, Any] | None = None
        if text is not None or inputs is not None:
            stored = None
            if not self.is_of_file((kind, prompt_id)):
                stored = self._context.submitted.find(kind, prompt_id)
            if stored is None:
                detail = "It stands in a prompt file: change it there, and ask for another take."
                raise ProblemError(409, "prompt_of_file", detail)
            if stored.owner != self._caller.owner:
                raise ProblemError(403, "forbidden", "The prompt is somebody else's.")
            entry = dict(stored.entry)
            entry |= {} if text is None else {"text": text}
            entry |= {} if inputs is None else {"inputs": dict(inputs)}
            found = self._resolved(kind, stored.collection, entry, CollectionDefaults())
            if not isinstance(found, Prompt):
                raise ProblemError(422, "invalid_prompt", "It can't be made so.", errors=found)
            prompt = replace(found, takes=prompt.takes)
            entry = entry_of(prompt, entry.get("reference"))
        takes = dict(prompt.takes)
        takes[variant] = takes.get(variant, 0) + 1
        wanted = replace(prompt, takes=dict(sorted(takes.items())))
        item = NewItem(kind, prompt_id, prompt.collection, prompt.variants, entry, retake=variant)
        return Order((wanted,), (item,), self._plan([wanted]))

    def retakes(self, kind: Kind, prompt_id: str) -> bool:
        """Tell whether a rejected clip of a prompt is to be made anew without anybody's asking."""
        prompt = self._library.prompts.get((kind, prompt_id))
        rules = None if prompt is None else self._library.rules.get(prompt.path)
        return rules is not None and rules.retake_rejected

    def of_takes(self, wanted: Iterable[tuple[Kind, str, int]]) -> Order:
        """Return the order of another take of each of several clips: kind, prompt, variant.

        Raises:
            ProblemError: A prompt is gone, or has fewer variants by now.
        """
        prompts: dict[tuple[Kind, str], Prompt] = {}
        items: list[NewItem] = []
        for kind, prompt_id, variant in dict.fromkeys(wanted):
            key = (kind, prompt_id)
            prompt = prompts.get(key) or self._known(key)
            if variant > prompt.variants:
                asked = f"{kind}/{prompt_id} asks for {prompt.variants} variants by now."
                raise ProblemError(409, "prompt_gone", asked)
            takes = dict(prompt.takes)
            takes[variant] = takes.get(variant, 0) + 1
            prompts[key] = replace(prompt, takes=dict(sorted(takes.items())))
            items.append(
                NewItem(kind, prompt_id, prompt.collection, prompt.variants, retake=variant)
            )
        return Order(tuple(prompts.values()), tuple(items), self._plan([*prompts.values()]))

    def of_known(self, wanted: Iterable[tuple[Kind, str]]) -> Order:
        """Return the order of what prompts that are known already still lack.

        Raises:
            ProblemError: One of them is gone.
        """
        return self.of_prompts([self._known(key) for key in dict.fromkeys(wanted)])

    def of_prompts(self, prompts: Sequence[Prompt]) -> Order:
        """Return the order of what prompts that stand elsewhere lack."""
        items = [
            NewItem(each.kind, each.prompt_id, each.collection, each.variants) for each in prompts
        ]
        return Order(tuple(prompts), tuple(items), self._plan(prompts))

    def prompt(self, kind: Kind, prompt_id: str) -> Prompt | None:
        """Return a prompt as it is now; None if nothing asks for it any more."""
        return self._library.prompts.get((kind, prompt_id))

    def worst_cases(self, prompt: Prompt) -> list[MicroUsd]:
        """Return what each variant of a prompt costs at the most, made anew."""
        context = self._context
        wanted = wanted_clips(
            prompt, 0, self._catalog, context.settings.prompts_dir, context.clock.now()
        )
        return [each.worst_case for each in wanted]

    def is_of_file(self, key: tuple[Kind, str]) -> bool:
        """Tell whether a prompt stands in a prompt file."""
        known = self._library.prompts.get(key)
        return known is not None and known.path in self._library.rules

    def _known(self, key: tuple[Kind, str]) -> Prompt:
        prompt = self._library.prompts.get(key)
        if prompt is None:
            kind, prompt_id = key
            raise ProblemError(
                409, "prompt_gone", f"No prompt asks for {kind}/{prompt_id} any more."
            )
        return prompt

    def _own_files(self) -> dict[str, str]:
        found = self._context.uploads.of_owner(
            None if self._caller.sees_all else self._caller.owner, 10_000
        )
        return {each.file_id: f"{each.file_id}.{each.extension}" for each in found}

    def _prompt(
        self,
        body: PromptBody,
        collection: str,
        kind: Kind | None,
        defaults: CollectionDefaults,
    ) -> Prompt | list[Finding]:
        model = body.model or defaults.model
        wanted = body.kind or kind or kind_of(self._catalog, model)
        if model is None:
            model = default_model(self._catalog, wanted)
        entry: dict[str, Any] = {
            "id": body.id or "unnamed",
            "text": body.text,
            "model": model,
            "inputs": body.inputs,
            "tags": body.tags,
        }
        for name in ("variants", "style", "reference"):
            value = getattr(body, name)
            if value is not None:
                entry[name] = value
        if wanted is Kind.AUDIO and body.style is None:
            defaults = defaults.model_copy(update={"style": ""})
        found = self._resolved(wanted, collection, entry, defaults)
        if isinstance(found, Prompt) and body.id is None:
            return replace(found, prompt_id=self._made_id(found, collection))
        return found

    def _resolved(
        self,
        kind: Kind,
        collection: str,
        entry: Mapping[str, Any],
        defaults: CollectionDefaults,
    ) -> Prompt | list[Finding]:
        found = resolve_entry(
            kind,
            collection,
            entry,
            self._resolver,
            self._context.settings.prompts_dir,
            self._uploads,
            defaults,
        )
        if isinstance(found, Prompt):
            return found
        return [
            Finding(
                pointer="".join(f"/{step}" for step in each.where),
                detail=each.message,
                hint=each.hint,
            )
            for each in found
        ]

    def _made_id(self, prompt: Prompt, collection: str) -> str:
        """Return an id for a prompt without one: the same for the same one of the same caller."""
        decisive = [self._caller.owner, collection, prompt.prompt_hash]
        digest = hashlib.sha256(json.dumps(decisive).encode()).hexdigest()
        return f"{slug(prompt.text)}-{digest[:10]}"

    def _plan(self, prompts: Sequence[Prompt]) -> Plan:
        context = self._context
        key_cap = None
        if self._caller.key_id is not None and self._caller.budget is not None:
            key_cap = KeyCap(self._caller.key_id, self._caller.budget)
        return make_plan(
            prompts,
            self._catalog,
            context.settings.prompts_dir,
            context.ledger,
            context.caps.current(),
            now=context.clock.now(),
            prompts_a_run=_PROMPTS_A_RUN,
            key_cap=key_cap,
        )


def usd(amount: MicroUsd | int) -> str:
    """Return micro-dollars as the decimal text of dollars that all answers use."""
    return str(to_decimal(amount))


def kind_of(catalog: Catalog, model: str | None) -> Kind:
    """Return what a prompt that does not say makes: what its model makes, else a picture."""
    known = None if model is None else catalog.models.get(model)
    return Kind.IMAGE if known is None else known.kind


def default_model(catalog: Catalog, kind: Kind) -> str | None:
    """Return the model of a prompt that names none: the catalog's first that needs no file."""
    return next(
        (
            model.name
            for model in catalog.models.values()
            if model.kind is kind
            and (model.reference_input is None or not model.inputs[model.reference_input].required)
        ),
        None,
    )
