"""The billing matrix: every status with every unit, to the micro-dollar."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.catalog.pricing import worst_case
from asset_pipeline.catalog.spec import InputSpec, Model, OutputShape, PriceRule, PriceUnit
from asset_pipeline.generation.billing import charge_for
from asset_pipeline.ledger.schema import BillingState
from asset_pipeline_tests.generation.samples import prediction

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
    charge = charge_for(of, {"prompt": TEXT}, prediction(**changes), on=DAY)
    return charge.amount, charge.billed


@pytest.mark.parametrize("of", MODELS.values(), ids=MODELS)
@pytest.mark.parametrize("status", ["failed", "aborted"])
def test_failed_and_aborted_are_free(of: Model, status: str) -> None:
    """Public models charge for neither, whatever the metrics say."""
    metrics = {"predict_time": 9, "image_output_count": 1, "character_input_count": 9}
    assert charged(of, status=status, metrics=metrics) == (0, FREE)


SUCCEEDED = [
    (IMAGE, {"metrics": {"image_output_count": 1}}, (3000, BILLED)),
    (IMAGE, {"metrics": {"image_output_count": 3}}, (9000, BILLED)),
    (IMAGE, {"metrics": {"image_output_count": 0}, "output": []}, (0, BILLED)),
    (IMAGE, {"metrics": {}, "output": ["a", "b"]}, (6000, BILLED)),
    (IMAGE, {"metrics": {}, "output": []}, (0, BILLED)),
    (IMAGE, {"metrics": {}, "output": "a"}, (3000, BILLED)),
    (IMAGE, {"metrics": {}, "output": None}, (3000, BILLED)),
    (IMAGE, {"metrics": {"image_output_count": -5}}, (3000, BILLED)),
    (SECOND, {"metrics": {"predict_time": 1}}, (225, BILLED)),
    (SECOND, {"metrics": {"predict_time": 1.5}}, (338, BILLED)),  # 337.5, rounded up
    (SECOND, {"metrics": {"predict_time": 0}}, (0, BILLED)),
    (SECOND, {"metrics": {"predict_time": 200}}, (45_000, BILLED)),  # beyond the worst case
    (SECOND, {"metrics": {}}, (22_500, UNKNOWN)),
    (SECOND, {"metrics": {"predict_time": float("nan")}}, (22_500, UNKNOWN)),
    (SECOND, {"metrics": {"predict_time": float("inf")}}, (22_500, UNKNOWN)),
    (SECOND, {"metrics": {"predict_time": -1}}, (22_500, UNKNOWN)),
    (SECOND, {"metrics": {"predict_time": 10**400}}, (22_500, UNKNOWN)),
    (SECOND, {"metrics": None}, (22_500, UNKNOWN)),
    (CHARACTERS, {"metrics": {"character_input_count": 1000}}, (60_000, BILLED)),
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


CANCELED = [
    (IMAGE, {}, (3000, UNKNOWN)),
    (CHARACTERS, {}, (6060, UNKNOWN)),
    (RUN, {}, (200_000, UNKNOWN)),
    (IMAGE, {"started_at": None}, (0, FREE)),
    (RUN, {"started_at": None}, (0, FREE)),
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
    assert 0 <= amount < 2**63
    if billed is UNKNOWN:
        assert amount == worst_case(of, {"prompt": TEXT}, on=DAY)
