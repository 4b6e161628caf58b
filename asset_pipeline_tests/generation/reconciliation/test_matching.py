"""What a complete listing proves about one create without an answer.

Several equal requests, told apart by count, are in ``crash/test_equal_requests.py``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import JsonValue

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.catalog.terms import terms_of
from asset_pipeline.generation.reconciliation.matching import (
    Listing,
    Match,
    MatchVerdict,
    Window,
    judge,
)
from asset_pipeline.generation.request import derived_seed
from asset_pipeline.ledger.records import Intent
from asset_pipeline.ledger.schema import IntentState
from asset_pipeline.money import MicroUsd
from asset_pipeline.providers.prediction import Prediction
from asset_pipeline_tests.support.generation_samples import CATALOG, KOKORO, SCHNELL, prediction

SENT = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
SKEW, SETTLE, LATE = 60.0, 15.0, 120.0
SEED = derived_seed("h1", 1)


def lost(model: str = SCHNELL, **changes: object) -> Intent:
    """An intent whose reply was lost a minute ago."""
    inputs: dict[str, JsonValue] = {"prompt": "a lighthouse", "seed": SEED, "go_fast": False}
    intent = Intent(
        intent_id="i1",
        generation_hash="h1",
        attempt=1,
        kind=Kind.IMAGE,
        prompt_id="cover",
        collection="kit",
        variant=1,
        model=model,
        version=CATALOG.get(model).version,
        prompt_text="a lighthouse",
        seed=SEED,
        inputs_json=json.dumps(inputs),
        run_id="run",
        worker_id="worker",
        state=IntentState.UNKNOWN,
        prediction_id=None,
        reserved_microusd=MicroUsd(3000),
        charged_microusd=MicroUsd(0),
        price_source="",
        billed=None,
        predict_seconds=None,
        error_class=None,
        error=None,
        created_at=SENT,
        submitted_at=SENT,
        lost_at=SENT,
        absent_listings=0,
        completed_at=None,
        delivered_at=None,
        updated_at=SENT,
    )
    return replace(intent, **changes)


def listed(name: str = "p1", seconds: float = 1, **changes: object) -> Prediction:
    """A prediction that was made of that intent, so many seconds after it was sent."""
    inputs = {"prompt": "a lighthouse", "seed": SEED, "go_fast": False}
    at = (SENT + timedelta(seconds=seconds)).isoformat()
    return prediction(**{"id": name, "input": inputs, "created_at": at} | changes)


def finding(
    *predictions: Prediction,
    intent: Intent | None = None,
    owned: frozenset[str] = frozenset(),
    rivals: Sequence[Intent] = (),
    ahead: tuple[float, float] = (0.0, 0.0),
    gap: str = "",
) -> Match:
    """What a listing says, made a minute after the reply was lost."""
    intent = intent or lost()
    listing = Listing(
        since=SENT - timedelta(hours=1),
        started=60.0,
        asked_at=SENT + timedelta(seconds=60),
        predictions=predictions,
        gap=gap,
    )
    return judge(
        intent,
        terms_of(CATALOG.get(intent.model), intent.inputs, on=SENT.date()),
        listing,
        rivals=[intent, *rivals],
        owned=owned,
        models=frozenset({SCHNELL, KOKORO, "black-forest-labs/flux-dev"}),
        window=Window(SKEW, ahead, LATE),
        settle=SETTLE,
    )


FOUND = Match(MatchVerdict.FOUND, "p1")
ABSENT = Match(MatchVerdict.ABSENT)


def verdict_of(
    row: Prediction, *, intent: Intent | None = None, rivals: Sequence[Intent] = ()
) -> MatchVerdict:
    """The verdict alone."""
    return finding(row, intent=intent, rivals=rivals).verdict


def test_the_seed_identifies_it_among_others() -> None:
    """Of a page of pictures, the one with our seed is ours."""
    others = [
        listed("p2", input={"prompt": "a lighthouse", "seed": SEED + 1}),
        listed("p3", input={"prompt": "a ship"}),
        listed("p4", model="black-forest-labs/flux-dev", input={}),
        listed("p5", model="x/y", input={"text": "Hello"}),
    ]
    assert finding(*others, listed(), *others) == FOUND
    assert finding(*others) == ABSENT
    assert finding() == ABSENT


@pytest.mark.parametrize(
    "inputs",
    [
        {"prompt": "a lighthouse", "seed": SEED},
        {"prompt": " a lighthouse\n", "seed": SEED, "megapixels": "1", "output_quality": 80},
        {"prompt": "a lighthouse", "seed": float(SEED)},
        {"prompt": "a lighthouse", "seed": str(SEED)},
        {"prompt": "a lighthouse", "seed": SEED, "go_fast": True},
        {"prompt": "a lighthouse", "seed": SEED, "image": "https://replicate.delivery/x"},
        {"prompt": "", "seed": SEED},
        {"prompt": "translated: un phare", "seed": SEED},
        {"seed": SEED},
        {"prompt": "a lighthouse", "random_seed": SEED},
    ],
)
@pytest.mark.parametrize("model", [SCHNELL, f"{SCHNELL}:abc", "bfl/FLUX.1-schnell", ""])
def test_the_derived_seed_alone_identifies_it(inputs: dict[str, object], model: str) -> None:
    """Whatever the provider makes of the text, the names and the model: no other has this seed."""
    assert finding(listed(input=inputs, model=model)) == FOUND


@pytest.mark.parametrize("seed", [SEED + 1, f"{SEED}0", float(SEED + 1), 0, -1])
def test_another_seed_is_another_prediction(seed: object) -> None:
    """An attempt is told from the next one by its seed alone."""
    assert finding(listed(input={"prompt": "a lighthouse", "seed": seed})) == ABSENT


@pytest.mark.parametrize(
    "inputs",
    [
        {"prompt": "a lighthouse"},
        {"prompt": "a lighthouse", "seed": None},
        {"prompt": "a lighthouse", "seed": "hidden"},
        {"prompt": "A   lighthouse ", "seed": []},
        {"text": "a lighthouse"},
    ],
)
@pytest.mark.parametrize("model", [SCHNELL, SCHNELL.upper(), f"{SCHNELL}:abc", "bfl/flux.1", ""])
def test_a_hidden_seed_leaves_it_to_the_text(inputs: dict[str, object], model: str) -> None:
    """A seed that is not shown contradicts nothing, nor does a name that nobody here asked for."""
    assert finding(listed(input=inputs, model=model)) == FOUND


@pytest.mark.parametrize("inputs", [{}, {"prompt": ""}, {"prompt": None}, {"prompt": "a light"}])
def test_what_hides_its_text_is_never_called_absent(inputs: dict[str, object]) -> None:
    """A prediction that could be ours, by anything it does not contradict, is nobody's proof."""
    found = finding(listed(input=inputs))
    assert found.verdict is MatchVerdict.UNSURE
    assert found.unclear == ("p1",)


def test_a_hidden_prediction_waits_for_whoever_is_on_the_wire() -> None:
    """It may answer a create that is being sent right now."""
    sending = lost(intent_id="i2", prompt_text="a ship", state=IntentState.SUBMITTING)
    assert verdict_of(listed(input={}), rivals=[sending]) is MatchVerdict.NOT_YET


def test_a_prediction_with_the_seed_of_another_is_left_to_it() -> None:
    """Two equal requests lost their replies; each is recognised by its own seed."""
    other = lost(intent_id="i2", generation_hash="h2", seed=derived_seed("h2", 1))
    theirs = listed("p2", input={"prompt": "a lighthouse", "seed": other.seed})
    assert finding(theirs, rivals=[other]) == ABSENT


def test_hidden_seeds_are_shared_out_by_count() -> None:
    """Two lost replies, one prediction of their text: one has it, and it is not both of them."""
    other = lost(intent_id="i2", generation_hash="h2", seed=derived_seed("h2", 1))
    row = listed(input={"prompt": "a lighthouse"})
    verdicts = {verdict_of(row, rivals=[other]), verdict_of(row, intent=other, rivals=[lost()])}
    assert verdicts == {MatchVerdict.FOUND, MatchVerdict.ABSENT}


def test_a_cut_text_belongs_to_the_one_that_has_it_whole() -> None:
    """A text that is the beginning of ours proves nothing, unless somebody sent just that."""
    row = listed(input={"prompt": "a light"})
    other = lost(
        intent_id="i2", generation_hash="h2", seed=derived_seed("h2", 1), prompt_text="a light"
    )
    assert finding(row, rivals=[other]) == ABSENT


@pytest.mark.parametrize("query", ["intent=i1", "a=1&intent=i1", "intent=i9&intent=i1"])
def test_the_label_decides_first(query: str) -> None:
    """The webhook's address comes back with the intent in it: nothing else has to be looked at."""
    hook = f"https://example.org/hooks?{query}"
    assert finding(listed(webhook=hook, input={}, model="x/y", seconds=-9999)) == FOUND
    assert finding(listed(webhook="https://example.org/?intent=i7")) == ABSENT
    assert finding(listed(webhook="https://[broken/?intent=i7")) == FOUND


def test_what_an_intent_owns_is_never_adopted() -> None:
    """However well it fits, it is somebody's."""
    assert finding(listed(), owned=frozenset({"p1"})) == ABSENT
    assert finding(listed("p2"), listed(), owned=frozenset({"p2"})) == FOUND


def test_a_version_identifies_a_community_model() -> None:
    """The listing shows a community model by its version, with or without its name."""
    version = CATALOG.get(KOKORO).version
    intent = lost(KOKORO, prompt_text="Hello", seed=None, inputs_json=json.dumps({"text": "Hello"}))
    inputs = {"text": "Hello"}
    for name in (KOKORO, "", "somebody/copy"):
        assert finding(listed(model=name, version=version, input=inputs), intent=intent) == FOUND
    assert finding(listed(model=SCHNELL, version="f" * 64, input=inputs), intent=intent) == ABSENT


@pytest.mark.parametrize("version", [None, "hidden", "a" * 64])
def test_a_row_without_a_models_name_is_judged_by_its_inputs(version: str | None) -> None:
    """Older replies omit fields: a missing one must not make us pay again."""
    assert finding(listed(model="", version=version)) == FOUND


def test_removed_inputs_leave_it_open() -> None:
    """After an hour the provider forgets inputs: such a row may be ours, nobody can tell."""
    gone = listed("p9", data_removed=True, input={}, output=None)
    assert finding(gone).verdict is MatchVerdict.UNSURE
    assert finding(gone).reason
    assert finding(gone, listed()) == FOUND
    assert finding(gone, owned=frozenset({"p9"})) == ABSENT
    assert finding(replace(gone, model="black-forest-labs/flux-dev")) == ABSENT


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (-SKEW - 1, ABSENT),
        (-SKEW, FOUND),
        (0, FOUND),
        (LATE + SKEW, FOUND),
        (LATE + SKEW + 1, ABSENT),
    ],
)
def test_what_has_no_seed_has_to_fit_the_time(seconds: float, expected: Match) -> None:
    """A provider whose clock is off, or that accepts late, shows our prediction at other times."""
    row = listed(seconds=seconds, input={"prompt": "a lighthouse"})
    assert finding(row) == expected


def test_a_measured_clock_moves_the_window() -> None:
    """A clock that is known to be ten minutes behind is no reason to call anything absent."""
    row = listed(seconds=-600, input={"prompt": "a lighthouse"})
    assert finding(row) == ABSENT
    assert finding(row, ahead=(-600.0, 0.0)) == FOUND


def test_the_seed_identifies_it_at_any_time() -> None:
    """However wrong a clock is, no other attempt has this seed."""
    assert finding(listed(seconds=-9999)) == FOUND
    assert finding(listed(seconds=9999)) == FOUND


def test_a_row_without_a_time_may_be_ours() -> None:
    """A time that can't be read excludes nothing."""
    assert finding(listed(created_at="yesterday")) == FOUND


def test_the_window_begins_before_the_create_was_sent() -> None:
    """An intent that waited for its turn is looked for from when it was sent."""
    window = Window(SKEW)
    waited = lost(created_at=SENT - timedelta(hours=2))
    assert window.start(waited) == SENT - timedelta(seconds=SKEW)
    never = lost(submitted_at=None)
    assert window.start(never) == SENT - timedelta(seconds=SKEW)


def test_a_listing_with_a_gap_shows_what_is_there_and_never_what_is_not() -> None:
    """A row that can't be read, or a listing without an end, is no proof of absence."""
    gap = "a listing with 1 rows that can't be read"
    assert finding(gap=gap) == Match(MatchVerdict.UNSURE, reason=gap)
    assert finding(listed(webhook="https://x.example/?intent=i7"), gap=gap).verdict is (
        MatchVerdict.UNSURE
    )
    assert finding(listed(), gap=gap) == Match(MatchVerdict.FOUND, "p1")


@pytest.mark.parametrize(
    "changes",
    [
        {"model": "black-forest-labs/flux-dev\x00"},
        {"model": "m" * 301},
        {"input": {"prompt": "a lighthouse\x00"}},
        {"input": {"prompt": "b" * 100_001}},
        {"webhook": "https://example.org/?intent=i7&" + "x" * 9000},
        {"created_at": "9999-12-31T23:59:59Z", "input": {}},
    ],
    ids=["model", "long model", "text", "long text", "webhook", "date"],
)
def test_what_had_to_be_left_out_proves_nothing(changes: dict[str, object]) -> None:
    """A field that was cleaned or shortened would make a prediction another's."""
    assert finding(listed(**{"input": {}} | changes)).verdict is MatchVerdict.UNSURE
