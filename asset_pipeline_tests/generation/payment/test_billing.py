"""The billing matrix: every status with every unit, to the micro-dollar."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.catalog.pricing import worst_case
from asset_pipeline.catalog.spec import InputSpec, Model, OutputShape, PriceRule, PriceUnit
from asset_pipeline.catalog.terms import terms_of
from asset_pipeline.generation.payment.billing import Charge, charge_for
from asset_pipeline.ledger.schema import BillingState
from asset_pipeline.money import MicroUsd
from asset_pipeline_tests.support.generation_samples import prediction

DAY = date(2026, 11, 21)
TEXT = "x" * 101
BILLED, FREE, UNKNOWN = BillingState.BILLED, BillingState.FREE, BillingState.UNKNOWN


def model(unit: PriceUnit, usd: str) -> Model:
    """A model at a price."""
    return Model(
        name="a/b",
        kind=Kind.IMAGE,
        prompt_input="prompt",
        inputs={"prompt": InputSpec(type="string", required=True)},
        output=OutputShape.LIST,
        prices=(
            PriceRule(unit=unit, usd=Decimal(usd), effective=date(2026, 1, 1), source="a list"),
        ),
        max_predict_seconds=100,
    )


IMAGE = model(PriceUnit.IMAGE, "0.003")
SECOND = model(PriceUnit.PREDICT_SECOND, "0.000225")
CHARACTERS = model(PriceUnit.THOUSAND_CHARACTERS, "0.06")
RUN = model(PriceUnit.RUN, "0.20")
MODELS = {"image": IMAGE, "second": SECOND, "characters": CHARACTERS, "run": RUN}


def charged(of: Model, **changes: object) -> tuple[int, BillingState]:
    """What a prediction costs, and how sure that is."""
    charge = full_charge(of, **changes)
    return charge.amount, charge.billed


def full_charge(of: Model, **changes: object) -> Charge:
    """The same, with all that is said of it."""
    inputs = {"prompt": TEXT}
    return charge_for(terms_of(of, inputs, on=DAY), inputs, prediction(**changes))


@pytest.mark.parametrize("of", MODELS.values(), ids=MODELS)
@pytest.mark.parametrize("status", ["failed", "aborted"])
def test_failed_and_aborted_are_free(of: Model, status: str) -> None:
    """Public models charge for neither, whatever the metrics say."""
    metrics = {"predict_time": 9, "image_output_count": 1, "character_input_count": 9}
    assert charged(of, status=status, metrics=metrics) == (0, FREE)


SUCCEEDED = [
    (IMAGE, {"metrics": {"image_output_count": 1}}, (3000, BILLED)),
    (IMAGE, {"metrics": {"image_output_count": 3}, "output": ["a", "b", "c"]}, (9000, BILLED)),
    (IMAGE, {"metrics": {}, "output": ["a", "b"]}, (6000, BILLED)),
    (IMAGE, {"metrics": {}, "output": []}, (3000, BILLED)),
    (IMAGE, {"metrics": {}, "output": "a"}, (3000, BILLED)),
    (IMAGE, {"metrics": {}, "output": None}, (3000, BILLED)),
    (IMAGE, {"metrics": {"image_output_count": -5}}, (3000, BILLED)),
    (SECOND, {"metrics": {"predict_time": 1}}, (225, BILLED)),
    (SECOND, {"metrics": {"predict_time": 1.5}}, (338, BILLED)),  # 337.5, rounded up
    (SECOND, {"metrics": {"predict_time": 0.3}}, (68, BILLED)),
    (SECOND, {"metrics": {"predict_time": 130}}, (29_250, BILLED)),  # it ran on past its deadline
    (SECOND, {"metrics": {}}, (22_500, UNKNOWN)),
    (SECOND, {"metrics": {"predict_time": float("nan")}}, (22_500, UNKNOWN)),
    (SECOND, {"metrics": {"predict_time": float("inf")}}, (22_500, UNKNOWN)),
    (SECOND, {"metrics": {"predict_time": -1}}, (22_500, UNKNOWN)),
    (SECOND, {"metrics": {"predict_time": 10**400}}, (22_500, UNKNOWN)),
    (SECOND, {"metrics": None}, (22_500, UNKNOWN)),
    (CHARACTERS, {"metrics": {"character_input_count": 90}}, (5400, BILLED)),
    (CHARACTERS, {"metrics": {"character_input_count": 1}}, (60, BILLED)),
    (CHARACTERS, {"metrics": {}}, (6060, BILLED)),
    (RUN, {"metrics": {}}, (200_000, BILLED)),
]


@pytest.mark.parametrize(("of", "changes", "expected"), SUCCEEDED)
def test_succeeded_costs_its_units(
    of: Model, changes: dict[str, object], expected: tuple[int, BillingState]
) -> None:
    """By the metric where there is one; unknown time counts as the most it can be."""
    assert charged(of, **changes) == expected


def test_what_was_dropped_as_unsafe_is_not_charged() -> None:
    """An empty list that the provider counts as nothing is nothing."""
    charge = full_charge(IMAGE, metrics={"image_output_count": 0}, output=[])
    assert (charge.amount, charge.note) == (0, None)


ONE = (3000, BILLED)
DOUBTED = [
    (IMAGE, {"image_output_count": 1e12}, ["a"], (3000, BILLED), "1,000,000,000,000 images"),
    (IMAGE, {"image_output_count": 3}, ["a"], (3000, BILLED), "counted 3 images, charged as 1"),
    (IMAGE, {"image_output_count": 0}, ["a"], ONE, "counted 0 images, charged as 1"),
    (IMAGE, {"image_output_count": 0}, ["a", "b"], (6000, BILLED), "charged as 2"),
    (IMAGE, {"image_output_count": 0.4}, "a", ONE, "counted 0.4 images, charged as 1"),
    (IMAGE, {"image_output_count": 1e12}, ["a"] * 10_000, ONE, "charged as 1"),
    (SECOND, {"predict_time": 1e12}, "a", (22_500, BILLED), "seconds, charged as 100"),
    (SECOND, {"predict_time": 0}, "a", (225, BILLED), "counted 0 seconds, charged as 1"),
    (CHARACTERS, {"character_input_count": 1e12}, "a", (6060, BILLED), "charged as 101"),
    (CHARACTERS, {"character_input_count": 102}, "a", (6060, BILLED), "charged as 101"),
    (CHARACTERS, {"character_input_count": 0}, "a", (6060, BILLED), "charged as 101"),
    (CHARACTERS, {"character_input_count": 0.2}, "a", (60, BILLED), "charged as 1"),
]


@pytest.mark.parametrize(("of", "metrics", "output", "expected", "note"), DOUBTED)
def test_a_number_out_of_bounds_is_not_believed_and_noted(
    of: Model,
    metrics: dict[str, float],
    output: object,
    expected: tuple[int, BillingState],
    note: str,
) -> None:
    """More than was asked for counts as what was reserved, and what is there never as nothing."""
    charge = full_charge(of, metrics=metrics, output=output)
    assert (charge.amount, charge.billed) == expected
    assert note in (charge.note or "")
    if of is SECOND and metrics["predict_time"] > 1e6:
        assert charge.predict_seconds is None


def test_what_the_text_and_the_files_explain_is_believed_above_the_reservation() -> None:
    """A provider that counts bytes, and a model that made more files than its entry knows of."""
    inputs: dict[str, JsonValue] = {"prompt": "é" * 100}
    terms = terms_of(CHARACTERS, inputs, on=DAY)
    in_bytes = prediction(metrics={"character_input_count": 200})
    assert charge_for(terms, inputs, in_bytes) == Charge(MicroUsd(12_000), BILLED)
    four = full_charge(IMAGE, metrics={"image_output_count": 4}, output=["a", "b", "c", "d"])
    assert (four.amount, four.note) == (12_000, None)


def test_a_text_that_is_gone_is_charged_by_its_count() -> None:
    """The text of a prediction that nobody asked for may have vanished: its count is left."""
    terms = terms_of(CHARACTERS, {"prompt": ""}, on=DAY)
    counted = prediction(metrics={"character_input_count": 1000})
    assert charge_for(terms, {"prompt": ""}, counted) == Charge(MicroUsd(60_000), BILLED)
    absurd = prediction(metrics={"character_input_count": 1e9})
    assert charge_for(terms, {"prompt": ""}, absurd).amount < 100


CANCELED = [
    (IMAGE, {}, (3000, UNKNOWN)),
    (CHARACTERS, {}, (6060, UNKNOWN)),
    (RUN, {}, (200_000, UNKNOWN)),
    (IMAGE, {"started_at": None, "output": None}, (0, FREE)),
    (IMAGE, {"started_at": None, "output": None, "metrics": {"predict_time": 2}}, (3000, UNKNOWN)),
    (RUN, {"started_at": None, "output": "a"}, (200_000, UNKNOWN)),
    (RUN, {"started_at": None, "output": None, "metrics": None}, (0, FREE)),
    (SECOND, {"metrics": {"predict_time": 2}}, (450, BILLED)),
    (SECOND, {"metrics": {}}, (22_500, UNKNOWN)),
]


@pytest.mark.parametrize(("of", "changes", "expected"), CANCELED)
def test_canceled_may_have_cost_all_of_it(
    of: Model, changes: dict[str, object], expected: tuple[int, BillingState]
) -> None:
    """Time is charged until the cancel; a unit may be charged whole, so it counts as charged."""
    assert charged(of, status="canceled", **changes) == expected


@given(
    of=st.sampled_from(list(MODELS.values())),
    metrics=st.dictionaries(
        st.sampled_from(["predict_time", "image_output_count", "character_input_count"]),
        st.integers() | st.floats() | st.text() | st.none() | st.booleans(),
    ),
    status=st.sampled_from(["succeeded", "failed", "canceled", "aborted"]),
    output=st.none() | st.text() | st.lists(st.text()),
    started=st.sampled_from([None, "2026-11-21T12:00:00Z"]),
)
def test_every_charge_is_an_amount_that_the_ledger_takes(
    of: Model, metrics: dict[str, object], status: str, output: object, started: str | None
) -> None:
    """Whatever a provider says, the charge is a whole number, not negative, and fits a column."""
    amount, billed = charged(of, status=status, metrics=metrics, output=output, started_at=started)
    assert isinstance(amount, int)
    assert 0 <= amount <= 40 * worst_case(of, {"prompt": TEXT}, on=DAY)
    if billed is UNKNOWN:
        assert amount == worst_case(of, {"prompt": TEXT}, on=DAY)
