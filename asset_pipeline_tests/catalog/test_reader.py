"""The packaged models, and the user's over them."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.catalog.reader import Catalog, UnknownModelError, load_catalog
from asset_pipeline.catalog.spec import OutputShape, PriceUnit
from asset_pipeline.errors import ConfigurationError
from asset_pipeline_tests.support.settled_files import write_settled

SCHNELL = "black-forest-labs/flux-schnell"
DAY = date(2026, 11, 1)
PRICE = "{{unit: run, usd: {usd}, effective: 2026-01-01, source: x}}"


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    """Return the packaged catalog."""
    return load_catalog(None)


def overlaid(folder: Path, text: str) -> Catalog:
    """Return the packaged catalog below a user's models.yaml."""
    write_settled(folder / "models.yaml", text)
    return load_catalog(folder)


def issues(catalog: Catalog, name: str, **inputs: object) -> dict[str, str]:
    """Return what is wrong with the inputs, by field."""
    found = catalog.check_inputs(catalog.get(name), inputs)  # type: ignore[arg-type]
    return {issue.field: issue.message for issue in found}


def test_packaged_models_cover_every_output_shape_and_kind(catalog: Catalog) -> None:
    """Both kinds and all three shapes of output are among the packaged models."""
    assert {model.output for model in catalog.models.values()} == set(OutputShape)
    assert {model.kind for model in catalog.models.values()} == set(Kind)


@pytest.mark.parametrize(
    ("name", "unit", "usd"),
    [
        (SCHNELL, PriceUnit.IMAGE, "0.003"),
        ("black-forest-labs/flux-dev", PriceUnit.IMAGE, "0.025"),
        ("black-forest-labs/flux-1.1-pro", PriceUnit.IMAGE, "0.04"),
        ("ideogram-ai/ideogram-v3-quality", PriceUnit.IMAGE, "0.09"),
        ("minimax/speech-02-turbo", PriceUnit.THOUSAND_CHARACTERS, "0.06"),
        ("stability-ai/stable-audio-2.5", PriceUnit.RUN, "0.20"),
        ("jaaari/kokoro-82m", PriceUnit.THOUSAND_CHARACTERS, "0.00065"),
    ],
)
def test_packaged_prices(catalog: Catalog, name: str, unit: PriceUnit, usd: str) -> None:
    """Prices are what their sources say, exactly."""
    rule = catalog.get(name).price_on(DAY)
    assert rule is not None
    assert (rule.unit, rule.usd) == (unit, Decimal(usd))


@pytest.mark.parametrize("name", ["stability-ai/sdxl", "suno-ai/bark", "meta/musicgen"])
def test_models_without_a_reliable_price_have_none(catalog: Catalog, name: str) -> None:
    """No price is invented where no source gives one."""
    assert catalog.get(name).price_on(DAY) is None


def test_every_packaged_model_asks_for_one_output(catalog: Catalog) -> None:
    """Where a model can make several outputs, it is always asked for one, whatever the prompt."""
    for model in catalog.models.values():
        if model.count_input is not None:
            assert model.request_inputs("x", {model.count_input: 4})[model.count_input] == 1


def test_unknown_model_names_the_nearest(catalog: Catalog) -> None:
    """A misspelt name, or one without its owner, leads to the model that was meant."""
    with pytest.raises(UnknownModelError, match=SCHNELL):
        catalog.get("flux-shnell")


def test_good_inputs_raise_no_issue(catalog: Catalog) -> None:
    """What the model accepts is accepted, a whole number for a fractional one included."""
    assert not issues(catalog, SCHNELL, aspect_ratio="16:9", seed=0, go_fast=True)
    assert not issues(catalog, "black-forest-labs/flux-dev", guidance=3)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("aspct_ratio", "1:1", "Did you mean aspect_ratio"),
        ("aspect_ratio", "7:1", "not one of 1:1"),
        ("megapixels", 0.25, "write it in quotes"),
        ("num_inference_steps", 5, "more than the most allowed, 4"),
        ("num_inference_steps", 0, "less than the least allowed, 1"),
        ("num_inference_steps", 2.0, "not a whole number"),
        ("seed", True, "not a whole number"),
        ("go_fast", "yes", "not true or false"),
        ("seed", None, "not a whole number"),
        ("output_quality", [80], "not a whole number"),
        ("num_outputs", 2, "always 1"),
        ("prompt", "x", "give it as 'text'"),
    ],
)
def test_each_bad_input_is_named(catalog: Catalog, field: str, value: object, message: str) -> None:
    """Unknown, mistyped, out-of-bounds, fixed and reserved inputs are told apart."""
    assert message in issues(catalog, SCHNELL, **{field: value})[field]


def test_reference_text_length_and_numbers_are_checked(catalog: Catalog) -> None:
    """A reference is no input of a prompt, and no number is infinite."""
    assert "reference" in issues(catalog, "black-forest-labs/flux-dev", image="x.png")["image"]
    speech = issues(catalog, "minimax/speech-02-turbo", speed=float("inf"))
    assert "not a number" in speech["speed"]


def test_user_prices_a_model_without_repeating_it(tmp_path: Path) -> None:
    """An override touches the fields it names; everything else stays as packaged."""
    catalog = overlaid(
        tmp_path,
        "models:\n  stability-ai/sdxl:\n    inputs: {width: {maximum: 1024}}\n    prices:\n"
        "      - {unit: predict_second, usd: 0.000975, effective: 2026-11-01, source: bills}\n",
    )
    model = catalog.get("stability-ai/sdxl")
    rule = model.price_on(DAY)
    assert rule is not None
    assert (rule.unit, rule.usd) == (PriceUnit.PREDICT_SECOND, Decimal("0.000975"))
    assert (model.inputs["width"].minimum, model.inputs["width"].maximum) == (64, 1024)
    assert model.fixed_inputs == {"num_outputs": 1}


def test_user_adds_a_model(tmp_path: Path) -> None:
    """A model that no one packaged is used like any other; needed inputs are asked for."""
    catalog = overlaid(
        tmp_path,
        "models:\n  acme/painter:\n    kind: image\n    prompt_input: prompt\n    output: one\n"
        "    max_predict_seconds: 60\n"
        "    inputs:\n      prompt: {type: string, required: true}\n"
        "      brush: {type: string, required: true}\n      mask: {type: file}\n",
    )
    assert catalog.get("acme/painter").official
    assert issues(catalog, "acme/painter") == {"brush": "acme/painter needs it."}
    assert not issues(catalog, "acme/painter", brush="oil", mask="https://example.com/m.png")
    assert "URL" in issues(catalog, "acme/painter", brush="oil", mask="m.png")["mask"]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("models:\n  black-forest-labs/flux-dev: {kindd: image}", ["flux-dev", "kindd", "kind?"]),
        (
            "models:\n  black-forest-labs/flux-dev: {inputs: {seed: {maximun: 3}}}",
            ["flux-dev", "inputs.seed.maximun", "maximum"],
        ),
        (
            f"models:\n  {SCHNELL}:\n    prices: [{PRICE.format(usd=-1)}]\n",
            ["flux-schnell", "prices.0.usd", "greater than or equal to 0"],
        ),
        (
            f"models:\n  {SCHNELL}:\n    prices: [{PRICE.format(usd=1)}, {PRICE.format(usd=2)}]\n",
            ["flux-schnell", "same day"],
        ),
        ("models:\n  acme/new: {kind: image}", ["acme/new", "prompt_input", "missing"]),
        ("models:\n  acme/new: 3", ["acme/new", "not a mapping"]),
        ("models:\n  Acme New: {}", ["Acme New", "name"]),
        ("models:\n  stability-ai/sdxl: {version: abc}", ["sdxl", "version"]),
        ("models:\n  stability-ai/sdxl: {seed_input: sed}", ["sdxl", "seed_input", "'sed'"]),
        ("models:\n  stability-ai/sdxl: {defaults: {hue: 1}}", ["sdxl", "defaults", "'hue'"]),
        ("models:\n  stability-ai/sdxl: {defaults: {width: 9}}", ["sdxl", "defaults.width"]),
        ("models:\n  stability-ai/sdxl: {output: object}", ["sdxl", "output_key"]),
        ("modles: {}", ["'models:'"]),
        ("models:\n  a/b: {}\n  a/b: {}\n", [":3", "twice"]),
        ("models: [", [":2", "not YAML"]),
    ],
)
def test_a_bad_file_is_named_with_model_and_field(
    tmp_path: Path, text: str, parts: list[str]
) -> None:
    """Whoever wrote the file is told which file, which model, which field and what is wrong."""
    with pytest.raises(ConfigurationError) as caught:
        overlaid(tmp_path, text)
    for part in [str(tmp_path / "models.yaml"), *parts]:
        assert part in str(caught.value)


def test_no_user_file_is_fine(tmp_path: Path) -> None:
    """A config folder without models.yaml, or none at all, leaves the packaged models."""
    assert load_catalog(tmp_path / "nowhere").models == load_catalog(None).models


def test_the_newest_price_in_force_holds(tmp_path: Path) -> None:
    """A price holds from its day until the next one's, and none before the first."""
    catalog = overlaid(
        tmp_path,
        f"models:\n  {SCHNELL}:\n    prices:\n"
        "      - {unit: image, usd: 3, effective: 2026-03-01, source: x}\n"
        "      - {unit: image, usd: 1, effective: 2026-01-01, source: x}\n",
    )
    model = catalog.get(SCHNELL)
    days = [date(2025, 12, 31), date(2026, 1, 1), date(2026, 2, 28), date(2026, 3, 1)]
    prices = [rule and rule.usd for rule in map(model.price_on, days)]
    assert prices == [None, 1, 1, 3]


def test_priced_alternatives_make_the_same_kind(catalog: Catalog) -> None:
    """What is offered instead of an unpriced model makes the same kind and has a price."""
    names = catalog.priced_alternatives(catalog.get("suno-ai/bark"), on=DAY)
    assert set(names) == {
        "minimax/speech-02-turbo",
        "minimax/speech-2.6-turbo",
        "stability-ai/stable-audio-2.5",
        "jaaari/kokoro-82m",
    }
