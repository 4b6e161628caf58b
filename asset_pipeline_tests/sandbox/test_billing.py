"""The sandbox's bill, to the micro-dollar."""

from __future__ import annotations

import time
from decimal import Decimal
from pathlib import Path

import pytest

from asset_pipeline.catalog.reader import load_catalog
from asset_pipeline.sandbox.billing import PRICES, Usage, charge
from asset_pipeline_tests.sandbox.conftest import INSTANT, KOKORO_VERSION, PRO, SMALL, STILL, Start
from asset_pipeline_tests.support.settled_files import write_settled

NOW = 1_800_000_000_000_000  # 2027


def _usage(outcome: str = "succeeded", *, ran: bool = True) -> Usage:
    return Usage(outcome=outcome, ran=ran, predict_us=1_500_000, images=2, characters=123)


@pytest.mark.parametrize(
    ("name", "micro_usd"),
    [
        ("black-forest-labs/flux-schnell", 6_000),
        ("black-forest-labs/flux-dev", 50_000),
        ("black-forest-labs/flux-1.1-pro", 80_000),
        ("ideogram-ai/ideogram-v3-quality", 180_000),
        ("minimax/speech-02-turbo", 7_380),
        ("stability-ai/stable-audio-2.5", 200_000),
        ("jaaari/kokoro-82m", 80),  # 79.95, counted up
        ("stability-ai/sdxl", 1_463),  # 1.5 s of an L40S: nobody has priced it
    ],
)
def test_price_list(name: str, micro_usd: int) -> None:
    """Two pictures, or 123 characters, or 1.5 seconds cost what the price list says."""
    model = load_catalog(None).models[name]
    assert charge(model, name, _usage(), created_us=NOW) == micro_usd


@pytest.mark.parametrize(
    ("outcome", "ran", "micro_usd"),
    [("failed", True, 0), ("aborted", False, 0), ("canceled", False, 0), ("canceled", True, 6_000)],
)
def test_outcomes(outcome: str, ran: bool, micro_usd: int) -> None:  # noqa: FBT001 -- a table
    """Failed, aborted and canceled before the start are free; canceled while running is not."""
    usage = _usage(outcome, ran=ran)
    assert charge(None, "black-forest-labs/flux-schnell", usage, created_us=NOW) == micro_usd


def test_two_price_lists_agree() -> None:
    """The sandbox's own prices and the catalog's were written down apart and are the same."""
    models = load_catalog(None).models
    for name, (unit, usd) in PRICES.items():
        rules = models[name].prices
        assert [(rule.unit.value, rule.usd) for rule in rules][-1] == (
            unit,
            Decimal(usd.numerator) / Decimal(usd.denominator),
        )


def test_a_models_own_price_from_the_config_folder(start: Start, tmp_path: Path) -> None:
    """A model that the user added is billed by the user's price, also when added later."""
    sandbox = start(INSTANT, config_dir=tmp_path)
    entry = """
models:
  my/painter:
    kind: image
    prompt_input: prompt
    inputs: {prompt: {type: string, required: true}}
    output: one
    prices: [{unit: run, usd: "0.0123", effective: 2020-01-01, source: mine}]
    max_predict_seconds: 60
"""
    write_settled(tmp_path / "models.yaml", entry)
    for _ in range(40):
        reply = sandbox.http.post(
            "/v1/models/my/painter/predictions", json={"input": {"prompt": "x"}}
        )
        if reply.status_code == 201:
            break
        time.sleep(0.05)
    assert reply.status_code == 201
    assert sandbox.charges()["total_micro_usd"] == 12_300


def test_the_bill_over_http(start: Start) -> None:
    """Every prediction accepted is on the bill with its charge; what runs owes nothing yet."""
    sandbox = start(STILL)
    sandbox.create(num_outputs=3, **SMALL)
    sandbox.create(model=PRO)
    canceled = sandbox.create(**SMALL)
    sandbox.client.predictions.create(version=KOKORO_VERSION, input={"text": "a" * 1000})
    sandbox.http.post(f"/v1/predictions/{canceled['id']}/cancel")
    assert (sandbox.charges()["total_micro_usd"], sandbox.charges()["settled"]) == (0, 1)
    sandbox.advance(1000)
    bill = sandbox.charges()
    assert [line["charge_micro_usd"] for line in bill["charges"]] == [9_000, 40_000, 0, 650]
    assert (bill["accepted"], bill["settled"], bill["total_micro_usd"]) == (4, 4, 49_650)
