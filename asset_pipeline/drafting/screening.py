"""What a language model wrote becomes proposals: cleaned, completed by the cards, and judged.

Nothing that a model writes decides anything but text: names are made safe, inputs are taken only
where the brief lets a draft set them, and what is too long or holds a forbidden word is kept with
its problem, for a person to mend.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import count
from typing import cast

from pydantic import JsonValue

from asset_pipeline.catalog.reader import Catalog
from asset_pipeline.catalog.spec import InputSpec, Model
from asset_pipeline.config.yaml_source import plain_value
from asset_pipeline.drafting.answer_form import DraftedPrompt
from asset_pipeline.drafting.brief import Brief, Card
from asset_pipeline.drafting.proposals import Proposal, Standing
from asset_pipeline.foreign.text import cleaned
from asset_pipeline.prompts.spec import Prompt
from asset_pipeline.prompts.text import MAX_CHARACTERS, clean, is_id, objection, slug

_LONGEST_WHY = 300
_LONGEST_ID = 60

# Kept for a person to shorten; anything beyond is not worth keeping.
_LONGEST_KEPT = 10_000


class Screening:
    """Turns the drafts of one answer into proposals.

    Args:
        brief: What they were drafted for.
        catalog: Judges inputs.
        existing: The prompts of the brief's kind, by id.
    """

    def __init__(self, brief: Brief, catalog: Catalog, existing: Mapping[str, Prompt]) -> None:
        self._brief = brief
        self._catalog = catalog
        self._model: Model = catalog.get(brief.model)
        self._existing = existing
        self._given: set[str] = set()

    def proposals(self, drafts: Sequence[DraftedPrompt], most: int) -> list[Proposal]:
        """Return the proposals of the first ``most`` drafts."""
        return [self._proposal(draft) for draft in drafts[:most]]

    def _proposal(self, draft: DraftedPrompt) -> Proposal:
        cards = [*self._brief.file.characters, *self._brief.file.products]
        text = with_descriptions(safe_text(draft.text), cards)
        name = self._free_id(draft.id, text)
        inputs, problems = self._inputs(draft)
        problems += text_problems(text, self._brief, self._model)
        old = self._existing.get(name)
        standing = Standing.NEW
        if old is not None:
            standing = Standing.SAME if old.text == text else Standing.CHANGED
        return Proposal(
            id=name,
            text=text,
            inputs=inputs,
            why=cleaned(clean(draft.why), _LONGEST_WHY),
            standing=standing,
            before=old.text if old is not None and standing is Standing.CHANGED else "",
            problems=tuple(problems),
            drafted_text=text,
        )

    def _free_id(self, written: str, text: str) -> str:
        """Return a usable id that no other proposal has, nor a prompt of another collection."""
        name = clean(written).lower()[:_LONGEST_ID]
        if not is_id(name):
            name = slug(safe_text(written)[:_LONGEST_ID] or text)
        candidates = (name if n == 1 else f"{name[:90]}-{n}" for n in count(1))
        found = next(each for each in candidates if self._is_free(each))
        self._given.add(found)
        return found

    def _is_free(self, name: str) -> bool:
        old = self._existing.get(name)
        is_ours = old is None or old.collection == self._brief.collection
        return name not in self._given and is_ours

    def _inputs(self, draft: DraftedPrompt) -> tuple[dict[str, JsonValue], list[str]]:
        """Return the inputs that a draft may set, and what is wrong with them."""
        inputs: dict[str, JsonValue] = {}
        for given in draft.inputs:
            if given.name in self._brief.file.adjustable_inputs:
                spec = self._model.inputs[given.name]
                inputs[given.name] = _value_of(given.value, spec)
        issues = self._catalog.check_inputs(self._model, {**self._brief.file.inputs, **inputs})
        return inputs, [
            f"inputs.{issue.field}: {issue.message}" for issue in issues if issue.field in inputs
        ]


def safe_text(text: str) -> str:
    """Return a model's text in a form that may be stored, shown and sent."""
    return clean(cleaned(text, _LONGEST_KEPT))


def with_descriptions(text: str, cards: Sequence[Card]) -> str:
    """Return the text with the description of each card that it names, once, word for word."""
    for card in cards:
        description = clean(card.description)
        if description in text:
            continue
        named = re.compile(rf"(?<!\w){re.escape(card.name)}(?!\w)", re.IGNORECASE)
        text = named.sub(lambda found, said=description: f"{found[0]} ({said})", text, count=1)
    return text


def text_problems(text: str, brief: Brief, model: Model) -> list[str]:
    """Return why a text can't be a prompt of a brief as it stands."""
    found: list[str] = []
    if wrong := objection(text):
        found.append(wrong)
    allowed = MAX_CHARACTERS[brief.kind]
    own = model.inputs[model.prompt_input].max_length
    allowed = allowed if own is None else min(allowed, own)
    length = len(text) + (len(brief.style) + 2 if brief.style else 0)
    if length > allowed:
        found.append(
            f"it has {length:,} characters with its style; at most {allowed:,} are allowed."
        )
    lowered = text.casefold()
    found.extend(
        f"it holds {word!r}, which the brief forbids."
        for word in map(clean, brief.file.must_not)
        if re.search(rf"(?<!\w){re.escape(word.casefold())}(?!\w)", lowered)
    )
    return found


def _value_of(written: str, spec: InputSpec) -> JsonValue:
    """Return an input's value in the type that the model takes; what is none stays text."""
    if spec.type in {"integer", "number", "boolean"}:
        return plain_value(cleaned(written, _LONGEST_ID))
    return cast("JsonValue", safe_text(written))
