"""What a complete listing proves about one create without an answer.

Several equal requests, told apart by count, are in ``crash/test_equal_requests.py``.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import JsonValue

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.generation.matching import Finding, Listing, Verdict, judge, window_start
from asset_pipeline.ledger.records import Intent
from asset_pipeline.ledger.schema import IntentState
from asset_pipeline.money import MicroUsd
from asset_pipeline.providers.prediction import Prediction
from asset_pipeline_tests.generation.samples import CATALOG, KOKORO, SCHNELL, prediction

SENT = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
SKEW, SETTLE = 60.0, 15.0
SEED = 123_456_789


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
) -> Finding:
    """What a listing says, made a minute after the reply was lost."""
    intent = intent or lost()
    listing = Listing(
        since=SENT - timedelta(hours=1),
        started=60.0,
        asked_at=SENT + timedelta(seconds=60),
        predictions=predictions,
    )
    return judge(
        intent,
        CATALOG.get(intent.model),
        listing,
        rivals=[intent],
        owned=owned,
        skew=SKEW,
        settle=SETTLE,
    )


FOUND = Finding(Verdict.FOUND, "p1")
ABSENT = Finding(Verdict.ABSENT)


def test_seed_and_text_identify_it_among_others() -> None:
    """Of a page of pictures, the one with our seed and text is ours."""
    inputs = {"prompt": "a lighthouse", "seed": SEED + 1}
    others = [
        listed("p2", input=inputs),
        listed("p3", input={"prompt": "a ship", "seed": SEED}),
        listed("p4", model="black-forest-labs/flux-dev"),
        listed("p5", input={}),
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
    ],
)
def test_what_the_provider_normalises_does_not_hide_it(inputs: dict[str, object]) -> None:
    """Defaults added, types changed, spaces gone, a file turned into a URL: still ours."""
    assert finding(listed(input=inputs)) == FOUND


@pytest.mark.parametrize("seed", [None, [SEED], {}, True, SEED + 1, f"{SEED}0"])
def test_another_seed_is_another_prediction(seed: object) -> None:
    """An attempt is told from the next one by its seed alone."""
    assert finding(listed(input={"prompt": "a lighthouse", "seed": seed})) == ABSENT


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
    for name in ("", "somebody/copy"):
        other = listed(model=name, version="f" * 64, input=inputs)
        assert finding(other, intent=intent) == ABSENT


@pytest.mark.parametrize("version", [None, "hidden", "a" * 64])
def test_a_row_without_a_models_name_is_judged_by_its_inputs(version: str | None) -> None:
    """Older replies omit fields: a missing one must not make us pay again."""
    assert finding(listed(model="", version=version)) == FOUND


def test_removed_inputs_leave_it_open() -> None:
    """After an hour the provider forgets inputs: such a row may be ours, nobody can tell."""
    gone = listed("p9", data_removed=True, input={}, output=None)
    assert finding(gone).verdict is Verdict.UNSURE
    assert finding(gone).reason
    assert finding(gone, listed()) == FOUND
    assert finding(gone, owned=frozenset({"p9"})) == ABSENT
    assert finding(replace(gone, model="black-forest-labs/flux-dev")) == ABSENT


@pytest.mark.parametrize(
    ("seconds", "expected"), [(-SKEW - 1, ABSENT), (-SKEW, FOUND), (0, FOUND), (3600, FOUND)]
)
def test_the_clocks_may_differ_by_the_skew(seconds: float, expected: Finding) -> None:
    """A provider whose clock is behind ours shows our prediction before we sent it."""
    assert finding(listed(seconds=seconds)) == expected


def test_a_row_without_a_time_may_be_ours() -> None:
    """A time that can't be read excludes nothing."""
    assert finding(listed(created_at="yesterday")) == FOUND


def test_the_window_begins_before_the_create_was_sent() -> None:
    """An intent that waited for its turn is looked for from when it was sent."""
    waited = lost(created_at=SENT - timedelta(hours=2))
    assert window_start(waited, SKEW) == SENT - timedelta(seconds=SKEW)
    never = lost(submitted_at=None)
    assert window_start(never, SKEW) == SENT - timedelta(seconds=SKEW)
