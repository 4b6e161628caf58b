"""Which prediction belongs to which of several equal requests whose replies were lost."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.catalog.reader import load_catalog
from asset_pipeline.catalog.spec import Model
from asset_pipeline.catalog.terms import terms_of
from asset_pipeline.generation.reconciliation.matching import Listing, MatchVerdict, Window, judge
from asset_pipeline.ledger.records import Intent
from asset_pipeline.ledger.schema import IntentState
from asset_pipeline.money import MicroUsd
from asset_pipeline.providers.prediction import Prediction, parse_prediction
from asset_pipeline_tests.support.crash.workload import SPEECH

_NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
_SKEW, _SETTLE = 60.0, 15.0


@pytest.fixture(scope="module")
def speech() -> Model:
    """A model without a seed."""
    return load_catalog(None).get(SPEECH)


def at(seconds: float) -> datetime:
    """So many seconds after noon."""
    return _NOON + timedelta(seconds=seconds)


def lost(name: str, sent: float, lost_after: float = 0, **inputs: object) -> Intent:
    """An intent whose reply was lost; all have the same text."""
    return Intent(
        intent_id=name,
        generation_hash=name,
        attempt=1,
        kind=Kind.AUDIO,
        prompt_id=name,
        collection="crash",
        variant=1,
        model=SPEECH,
        version=None,
        prompt_text="Hello",
        seed=None,
        inputs_json=json.dumps({"text": "Hello", **inputs}),
        run_id="run",
        worker_id="worker",
        state=IntentState.UNKNOWN,
        prediction_id=None,
        reserved_microusd=MicroUsd(300),
        charged_microusd=MicroUsd(0),
        price_source="",
        billed=None,
        predict_seconds=None,
        error_class=None,
        error=None,
        created_at=at(sent),
        submitted_at=at(sent),
        lost_at=at(sent + lost_after),
        absent_listings=0,
        completed_at=None,
        delivered_at=None,
        updated_at=at(sent),
    )


def made(name: str, created: float, **inputs: object) -> Prediction:
    """A prediction of the same text."""
    return parse_prediction(
        {
            "id": name,
            "model": SPEECH,
            "status": "processing",
            "input": {"text": "Hello", **inputs},
            "created_at": at(created).isoformat(),
        }
    )


def verdict(
    model: Model, intent: Intent, rivals: list[Intent], *made: Prediction, asked: float = 1000
) -> tuple[MatchVerdict, str]:
    """What a listing, asked for so long after noon, says about an intent."""
    listing = Listing(at(-3600), 0.0, at(asked), made)
    finding = judge(
        intent,
        terms_of(model, intent.inputs, on=intent.created_at.date()),
        listing,
        rivals=rivals,
        owned=frozenset(),
        models=frozenset({SPEECH}),
        window=Window(_SKEW, late=3600),
        settle=_SETTLE,
    )
    return finding.verdict, finding.prediction_id


def test_as_many_predictions_as_intents_are_shared_out(speech: Model) -> None:
    """Two lost replies and two predictions: each intent finds one, and not the same."""
    first, second = lost("a", 0), lost("b", 1)
    found = {
        verdict(speech, intent, [first, second], made("p", 0), made("q", 1))
        for intent in (first, second)
    }
    assert found == {(MatchVerdict.FOUND, "p"), (MatchVerdict.FOUND, "q")}


def test_one_prediction_of_two_intents_leaves_one_absent(speech: Model) -> None:
    """Two lost replies and one prediction: exactly one intent finds it."""
    first, second = lost("a", 0), lost("b", 1)
    found = [
        verdict(speech, intent, [first, second], made("p", 0))[0] for intent in (first, second)
    ]
    assert sorted(found) == [MatchVerdict.ABSENT, MatchVerdict.FOUND]


def test_an_older_intent_does_not_take_what_only_a_younger_one_can_have(speech: Model) -> None:
    """Minutes apart, the younger can only have the younger prediction, so it is not absent."""
    old, young = lost("a", 0), lost("b", 300)
    predictions = (made("p", 0), made("q", 300))
    assert verdict(speech, young, [old, young], *predictions) == (MatchVerdict.FOUND, "q")
    assert verdict(speech, old, [old, young], *predictions) == (MatchVerdict.FOUND, "p")


def test_absence_waits_until_every_rival_has_settled(speech: Model) -> None:
    """A rival's own prediction may not be listed yet: until then it may hold this one's place."""
    early, late = lost("a", 0), lost("b", 1, lost_after=30)
    rivals, only = [early, late], made("p", 0)
    assert verdict(speech, early, rivals, only, asked=20)[0] is MatchVerdict.NOT_YET
    assert verdict(speech, early, rivals, only, asked=60)[0] is MatchVerdict.ABSENT


def test_an_equal_create_on_the_wire_may_be_the_one_that_is_listed(speech: Model) -> None:
    """A listed prediction may answer the rival's create in a moment, so nobody takes it."""
    mine = lost("a", 0)
    rival = replace(lost("b", 1), state=IntentState.SUBMITTING, lost_at=None)
    assert verdict(speech, mine, [mine, rival], made("p", 0))[0] is MatchVerdict.NOT_YET


def test_a_prediction_with_anothers_inputs_is_the_others(speech: Model) -> None:
    """Same text, other voice: a clip in the wrong voice is never taken for the right one."""
    wise, deep = lost("a", 0, voice_id="Wise_Woman"), lost("b", 1, voice_id="Deep_Voice_Man")
    rivals, prediction = [wise, deep], made("p", 0, voice_id="Wise_Woman", speed=1)
    assert verdict(speech, wise, rivals, prediction) == (MatchVerdict.FOUND, "p")
    assert verdict(speech, deep, rivals, prediction)[0] is MatchVerdict.ABSENT


def test_an_input_that_the_provider_rewrote_does_not_hide_a_prediction(speech: Model) -> None:
    """With nobody else asking for that text, a rewritten input is still this request's."""
    mine = lost("a", 0, speed=1)
    assert verdict(speech, mine, [mine], made("p", 0, speed="normal")) == (MatchVerdict.FOUND, "p")


def test_a_rewritten_input_that_could_be_either_is_left_to_a_person(speech: Model) -> None:
    """Two different requests and a prediction that is like neither: no guess is made."""
    wise, deep = lost("a", 0, voice_id="Wise_Woman"), lost("b", 1, voice_id="Deep_Voice_Man")
    prediction = made("p", 0, voice_id="v-17")
    assert verdict(speech, wise, [wise, deep], prediction)[0] is MatchVerdict.UNSURE
