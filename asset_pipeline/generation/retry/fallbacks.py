"""Fallbacks for a wanted clip: a simpler prompt, a generic one, another model.

Each way is a generation request of its own, with its own hash, intent and reservation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

from asset_pipeline.catalog.fallbacks import fallback_inputs
from asset_pipeline.catalog.reader import Catalog
from asset_pipeline.generation.request import GenerationRequest, StandIn, resolve
from asset_pipeline.generation.retry.rewriter import Rewriting
from asset_pipeline.generation.retry.rules import Simplification, Strategy
from asset_pipeline.prompts.spec import Prompt

IsOpen = Callable[[str], bool]
"""Tells whether a model's breaker is open: nothing may be sent to it now."""


def never_open(_: str) -> bool:
    """Answer for whoever has no breakers."""
    return False


def model_for_attempt(models: Sequence[str], is_open: IsOpen) -> str | None:
    """Return the first model that an attempt may go to; None when all are held back.

    Args:
        models: The model whose turn it is, then its fallbacks in order.
        is_open: Whether a model's breaker is open.
    """
    return next((model for model in models if not is_open(model)), None)


class FallbackPlanner:
    """The ways to one wanted clip.

    Args:
        wanted: What was asked for.
        catalog: Models and their fallbacks.
        prompts_dir: Where reference files are.
        on: The day whose prices hold: what has no price is no way.

    Attributes:
        rewriting: What a language model made of the prompt; None as long as it was not asked.
    """

    def __init__(
        self, wanted: GenerationRequest, catalog: Catalog, prompts_dir: Path, *, on: date
    ) -> None:
        self.wanted = wanted
        self._catalog = catalog
        self._prompts_dir = prompts_dir
        self._on = on
        self.rewriting: Rewriting | None = None

    def simplified(self, now: GenerationRequest, rules: Simplification) -> GenerationRequest | None:
        """Return the request without the terms of the rules; None when it has none of them."""
        if self._has_other_text(now):
            return None
        asked = self.wanted.prompt
        text, style = rules.apply(asked.text), rules.apply(asked.style)
        if not text or (text, style) == (asked.text, asked.style):
            return None
        prompt = replace(now.prompt, text=text, style=style)
        return self._way(now, prompt, Strategy.SIMPLIFIED_PROMPT)

    def may_rewrite(self, now: GenerationRequest) -> bool:
        """Tell whether a language model may be asked for another text after this request."""
        used = {Strategy.REWRITTEN_PROMPT, Strategy.GENERIC_FALLBACK}
        return self.rewriting is None and not used & {*_strategies(now)}

    def rewritten(self, now: GenerationRequest) -> GenerationRequest | None:
        """Return the request with the text that a language model wrote; None without one."""
        found = self.rewriting
        used = {Strategy.REWRITTEN_PROMPT, Strategy.GENERIC_FALLBACK}
        if found is None or not found.text or used & {*_strategies(now)}:
            return None
        prompt = replace(now.prompt, text=found.text, style=self.wanted.prompt.style)
        request = self._way(now, prompt, Strategy.REWRITTEN_PROMPT)
        if request is None or request.stands_in is None:
            return None
        return replace(request, stands_in=replace(request.stands_in, call=found.call))

    def generic(self, now: GenerationRequest) -> GenerationRequest | None:
        """Return the request with one of the collection's generic prompts, if it names some.

        Which one follows from the wanted clip, so that it is the same in every run.
        """
        texts = self.wanted.prompt.generic_prompts
        if not texts or self._is_generic(now):
            return None
        text = texts[int(self.wanted.generation_hash[:8], 16) % len(texts)]
        prompt = replace(now.prompt, text=text, style=self.wanted.prompt.style)
        return self._way(now, prompt, Strategy.GENERIC_FALLBACK)

    def fallback(self, now: GenerationRequest, is_open: IsOpen) -> GenerationRequest | None:
        """Return the request to the next fallback model that takes it and is not held back."""
        usable = dict(self._fallbacks(now))
        chosen = model_for_attempt(list(usable), is_open)
        return None if chosen is None else self._way(now, usable[chosen], Strategy.MODEL_FALLBACK)

    def _fallbacks(self, now: GenerationRequest) -> Iterator[tuple[str, Prompt]]:
        asked = self.wanted.prompt
        fallbacks = self.wanted.model.fallbacks
        names = [fallback.model for fallback in fallbacks]
        after = names.index(now.model.name) + 1 if now.model.name in names else 0
        for fallback in fallbacks[after:]:
            model = self._catalog.get(fallback.model)
            prompt = replace(now.prompt, model=model.name)
            inputs = fallback_inputs(
                self._catalog, fallback, asked.inputs, text=prompt.full_text, on=self._on
            )
            if inputs is None or (asked.reference is not None and model.reference_input is None):
                continue
            yield model.name, replace(prompt, inputs=inputs)

    def _way(
        self, now: GenerationRequest, prompt: Prompt, strategy: Strategy
    ) -> GenerationRequest | None:
        request = resolve(prompt, self.wanted.variant, self._catalog, self._prompts_dir)
        if request.generation_hash == self.wanted.generation_hash:
            return None
        before = [each for each in _strategies(now) if _goes_with(each, strategy)]
        stands_in = StandIn(
            self.wanted.generation_hash, (*before, strategy), model=self.wanted.model
        )
        return replace(request, prompt_hash=self.wanted.prompt_hash, stands_in=stands_in)

    def _has_other_text(self, now: GenerationRequest) -> bool:
        return now.stands_in is not None and now.stands_in.has_other_text

    def _is_generic(self, now: GenerationRequest) -> bool:
        return Strategy.GENERIC_FALLBACK in _strategies(now)


def _strategies(request: GenerationRequest) -> tuple[Strategy, ...]:
    return () if request.stands_in is None else request.stands_in.strategies


def _goes_with(earlier: Strategy, strategy: Strategy) -> bool:
    """Tell whether an earlier change is still in force after a new one."""
    if strategy is Strategy.MODEL_FALLBACK:
        return earlier is not Strategy.MODEL_FALLBACK
    # A rewritten or generic text takes the place of a simplified one.
    return earlier is Strategy.MODEL_FALLBACK
