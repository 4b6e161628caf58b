"""What follows a failure, as a pure decision: repeats, other ways, and when it is enough."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from asset_pipeline.generation.failures import ErrorClass, GenerationFailure, HeldBackFailure
from asset_pipeline.generation.request import GenerationRequest
from asset_pipeline.generation.retry.fallbacks import (
    FallbackPlanner,
    IsOpen,
    model_for_attempt,
    never_open,
)
from asset_pipeline.generation.retry.policy import (
    Attempt,
    Past,
    RetrySame,
    Stop,
    Substitute,
    decide,
)
from asset_pipeline.generation.retry.rules import RetryRules
from asset_pipeline.generation.retry.rules_file import load_rules
from asset_pipeline.ledger.schema import IntentState
from asset_pipeline.prompts.spec import Prompt
from asset_pipeline_tests.support.generation_samples import (
    CATALOG,
    COVER,
    FLUX_DEV,
    SCHNELL,
    request_for,
)

E = ErrorClass
PRO = "black-forest-labs/flux-1.1-pro"
RULES = load_rules(None)
BLOODY = replace(COVER, text="A bloody sea", style="gory")
GENERIC = ("A calm sea", "A plain wall")


def _ways(prompt: Prompt) -> FallbackPlanner:
    return FallbackPlanner(request_for(prompt), CATALOG, Path(), on=date(2026, 11, 22))


def _decide(
    failure: GenerationFailure,
    prompt: Prompt = COVER,
    *,
    now: GenerationRequest | None = None,
    attempts: list[Attempt] | None = None,
    earlier: int = 0,
    rules: RetryRules = RULES,
    is_open: IsOpen = never_open,
) -> RetrySame | Substitute | Stop:
    ways = _ways(prompt)
    request = now or ways.wanted
    past = attempts
    if past is None:
        past = [Attempt(request.generation_hash, failure.error_class)]
    return decide(failure, request, Past(past, earlier), rules, ways, is_open=is_open, chance=0.5)


def _failed(error_class: ErrorClass, **fields: Any) -> GenerationFailure:  # noqa: ANN401 -- attributes
    failure = GenerationFailure(error_class, "x", retry_after=fields.pop("retry_after", None))
    for name, value in fields.items():
        setattr(failure, name, value)
    return failure


@pytest.mark.parametrize("error_class", list(E))
def test_each_class_is_followed_by_what_its_rule_says_first(error_class: ErrorClass) -> None:
    """At once, later, or not at all; content without a term and memory without a fallback end."""
    decision = _decide(_failed(error_class))
    expected = {
        E.SERVER_ERROR: RetrySame(0),
        E.RATE_LIMIT: RetrySame(5),
        E.NETWORK: RetrySame(0),
        E.TIMEOUT: RetrySame(0),
        E.UNKNOWN: RetrySame(5),
    }
    assert decision == expected.get(error_class, Stop())


def test_attempts_run_out_for_each_request_and_class() -> None:
    """The fourth server error is the last; a network error between them has a count of its own."""
    here = request_for().generation_hash
    four = [Attempt(here, E.SERVER_ERROR)] * 4
    assert _decide(_failed(E.SERVER_ERROR), attempts=four[:3]) == RetrySame(6)
    assert _decide(_failed(E.SERVER_ERROR), attempts=four) == Stop()
    mixed = [*four[:3], Attempt(here, E.NETWORK)]
    assert _decide(_failed(E.NETWORK), attempts=mixed) == RetrySame(0)


def test_all_retries_together_are_bounded() -> None:
    """Whatever the classes: nine failures are eight retries; being throttled is not among them."""
    here = request_for().generation_hash
    classes = [E.SERVER_ERROR, E.NETWORK, E.TIMEOUT] * 3
    attempts = [Attempt(here, each) for each in classes]
    assert _decide(_failed(E.UNKNOWN), attempts=[*attempts, Attempt(here, E.UNKNOWN)]) == Stop()
    throttled = [Attempt(here, E.RATE_LIMIT)] * 9
    assert _decide(
        _failed(E.UNKNOWN), attempts=[*throttled, Attempt(here, E.UNKNOWN)]
    ) == RetrySame(5)


def test_a_refused_prompt_goes_the_way_of_simpler_texts() -> None:
    """First without its terms, in text and style; then generic, if the collection agreed."""
    prompt = replace(BLOODY, generic_prompts=GENERIC)
    simple = _decide(_failed(E.CONTENT_POLICY), prompt)
    assert isinstance(simple, Substitute)
    assert simple.request.prompt.full_text == "A sea"
    assert simple.request.strategy == "simplified_prompt"
    generic = _decide(_failed(E.CONTENT_POLICY), prompt, now=simple.request)
    assert isinstance(generic, Substitute)
    assert generic.request.prompt.text in GENERIC
    assert generic.request.prompt.style == "gory"
    assert generic.request.strategy == "generic_fallback"
    assert generic.request.wanted_hash == request_for(prompt).generation_hash
    assert _decide(_failed(E.CONTENT_POLICY), prompt, now=generic.request) == Stop()
    assert _decide(_failed(E.CONTENT_POLICY), BLOODY, now=simple.request) == Stop()


def test_which_generic_prompt_is_the_same_every_time() -> None:
    """It follows from the wanted clip, so that the next run finds the same."""
    prompt = replace(COVER, generic_prompts=GENERIC)
    chosen = {_ways(prompt).generic(request_for(prompt)) is not None for _ in range(3)}
    assert chosen == {True}
    hashes = {
        getattr(_ways(prompt).generic(request_for(prompt)), "generation_hash", "") for _ in range(3)
    }
    assert len(hashes) == 1
    texts = {
        getattr(_ways(each).generic(request_for(each)), "prompt", COVER).text
        for each in (replace(prompt, text=f"a boat {n}") for n in range(12))
    }
    assert texts == set(GENERIC)


def test_fallbacks_are_asked_in_order_and_keep_a_simpler_text() -> None:
    """From pro to dev to schnell; what was simplified stays so, and each says all it changed."""
    prompt = replace(BLOODY, model=PRO, inputs={})
    simple = _decide(_failed(E.CONTENT_POLICY), prompt)
    assert isinstance(simple, Substitute)
    first = _decide(_failed(E.OUT_OF_MEMORY), prompt, now=simple.request)
    assert isinstance(first, Substitute)
    assert (first.request.model.name, first.request.prompt.text) == (FLUX_DEV, "A sea")
    assert first.request.strategy == "simplified_prompt+model_fallback"
    second = _decide(_failed(E.OUT_OF_MEMORY), prompt, now=first.request)
    assert isinstance(second, Substitute)
    assert second.request.model.name == SCHNELL
    assert second.request.strategy == "simplified_prompt+model_fallback"
    assert _decide(_failed(E.OUT_OF_MEMORY), prompt, now=second.request) == Stop()


def test_what_was_tried_is_not_tried_again() -> None:
    """A way that failed before the step was retried is closed after it."""
    prompt = replace(COVER, model=FLUX_DEV, inputs={})
    fallback = _ways(prompt).fallback(request_for(prompt), never_open)
    assert fallback is not None
    attempts = [
        Attempt(fallback.generation_hash, E.OUT_OF_MEMORY),
        Attempt(request_for(prompt).generation_hash, E.OUT_OF_MEMORY),
    ]
    assert _decide(_failed(E.OUT_OF_MEMORY), prompt, attempts=attempts) == Stop()


def test_a_fallback_that_is_held_back_is_passed_over() -> None:
    """The next one is asked; with all of them open there is no other way."""
    prompt = replace(COVER, model=PRO, inputs={})
    decision = _decide(_failed(E.OUT_OF_MEMORY), prompt, is_open=lambda model: model == FLUX_DEV)
    assert isinstance(decision, Substitute)
    assert decision.request.model.name == SCHNELL
    assert _decide(_failed(E.OUT_OF_MEMORY), prompt, is_open=lambda _: True) == Stop()
    assert model_for_attempt(["a", "b"], lambda model: model == "a") == "b"
    assert model_for_attempt(["a"], lambda _: True) is None


def test_an_open_breaker_sends_a_clip_to_a_fallback_or_makes_it_wait() -> None:
    """It was no attempt: without a fallback the clip waits for the breaker, however often."""
    held_back = HeldBackFailure(PRO, retry_after=30)
    decision = _decide(held_back, replace(COVER, model=PRO, inputs={}), attempts=[])
    assert isinstance(decision, Substitute)
    assert decision.request.model.name == FLUX_DEV
    here = request_for().generation_hash
    many = [Attempt(here, E.SERVER_ERROR)] * 50
    assert _decide(HeldBackFailure(SCHNELL, retry_after=30), attempts=many) == RetrySame(30)


@pytest.mark.parametrize(
    "left", [IntentState.UNKNOWN, IntentState.SUBMITTED, IntentState.COMPLETED]
)
def test_while_an_intent_is_open_only_the_same_may_go_on(left: IntentState) -> None:
    """Its clip may be paid for: neither another prompt nor another model is asked."""
    prompt = replace(BLOODY, model=PRO, inputs={}, generic_prompts=GENERIC)
    for error_class in E:
        decision = _decide(_failed(error_class, left=left), prompt)
        assert not isinstance(decision, Substitute)
    assert _decide(_failed(E.SERVER_ERROR, left=left), prompt, earlier=1) == RetrySame(2)
    assert _decide(_failed(E.SERVER_ERROR, left=left), prompt, earlier=3) == Stop()


def test_what_a_person_has_to_decide_is_left_to_them() -> None:
    """Asking the provider again could tell nothing new."""
    assert _decide(_failed(E.UNKNOWN, left=IntentState.QUESTION)) == Stop()


def test_a_provider_that_asks_for_hours_is_left_to_the_next_run() -> None:
    """A step that waits holds its run: a quarter of an hour is the most."""
    assert _decide(_failed(E.RATE_LIMIT, retry_after=900)) == RetrySame(900)
    assert _decide(_failed(E.RATE_LIMIT, retry_after=901)) == Stop()
