"""Fallbacks: what a prompt's inputs become for another model, and what is refused in the file."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from asset_pipeline.catalog.fallbacks import fallback_inputs, price_ratio
from asset_pipeline.catalog.reader import Catalog, load_catalog
from asset_pipeline.catalog.spec import Fallback
from asset_pipeline.errors import ConfigurationError
from asset_pipeline_tests.support.settled_files import write_settled

DAY = date(2026, 11, 22)
SPEECH, KOKORO = "minimax/speech-02-turbo", "jaaari/kokoro-82m"
DEV, SCHNELL = "black-forest-labs/flux-dev", "black-forest-labs/flux-schnell"


def _with(tmp_path: Path, model: str, *fallbacks: dict[str, Any]) -> Catalog:
    entry = {"models": {model: {"fallbacks": list(fallbacks)}}}
    write_settled(tmp_path / "models.yaml", yaml.safe_dump(entry))
    return load_catalog(tmp_path)


def _mapped(catalog: Catalog, model: str, inputs: dict[str, Any], text: str = "Hello") -> object:
    (fallback,) = catalog.get(model).fallbacks
    return fallback_inputs(catalog, fallback, inputs, text=text, on=DAY)


def test_names_and_values_are_mapped_and_the_unknown_is_left_out(tmp_path: Path) -> None:
    """A voice is another voice by another name; an emotion the fallback knows nothing of goes."""
    catalog = _with(
        tmp_path,
        SPEECH,
        {
            "model": KOKORO,
            "names": {"voice_id": "voice"},
            "values": {"voice_id": {"Wise_Woman": "bf_emma"}},
        },
    )
    inputs = {"voice_id": "Wise_Woman", "speed": 1.2, "emotion": "happy"}
    assert _mapped(catalog, SPEECH, inputs) == {"voice": "bf_emma", "speed": 1.2}


def test_a_name_can_be_left_out_and_an_input_set(tmp_path: Path) -> None:
    """Null drops an input that both models have; sets adds one."""
    catalog = _with(
        tmp_path,
        DEV,
        {"model": SCHNELL, "names": {"num_inference_steps": None}, "sets": {"output_quality": 95}},
    )
    inputs = {"num_inference_steps": 28, "megapixels": "0.25", "guidance": 3}
    assert _mapped(catalog, DEV, inputs) == {"output_quality": 95, "megapixels": "0.25"}


def test_a_fallback_that_would_refuse_a_value_is_no_way(tmp_path: Path) -> None:
    """Another shape than was asked for is not what is wanted, nor is a text cut short."""
    catalog = _with(tmp_path, DEV, {"model": "black-forest-labs/flux-1.1-pro"})
    assert _mapped(catalog, DEV, {"aspect_ratio": "16:9"}) == {"aspect_ratio": "16:9"}
    assert _mapped(catalog, DEV, {"aspect_ratio": "21:9"}) is None
    catalog = _with(tmp_path, KOKORO, {"model": SPEECH})
    assert _mapped(catalog, KOKORO, {}, "a" * 5000) == {}
    assert _mapped(catalog, KOKORO, {}, "a" * 5001) is None


def test_an_unpriced_fallback_is_no_way(tmp_path: Path) -> None:
    """Nothing is asked of a model whose bill nobody can foresee."""
    catalog = _with(tmp_path, DEV, {"model": "stability-ai/sdxl"})
    assert _mapped(catalog, DEV, {}) is None


def test_the_price_ratio_is_of_worst_cases(tmp_path: Path) -> None:
    """Eight and a third times for one picture; thousandths for speech by the character."""
    catalog = _with(tmp_path, SCHNELL, {"model": DEV})
    (fallback,) = catalog.get(SCHNELL).fallbacks
    ratio = price_ratio(catalog, catalog.get(SCHNELL), fallback, {}, text="x", on=DAY)
    assert ratio == Decimal(25) / 3
    catalog = _with(tmp_path, SCHNELL, {"model": "stability-ai/sdxl"})
    (fallback,) = catalog.get(SCHNELL).fallbacks
    assert price_ratio(catalog, catalog.get(SCHNELL), fallback, {}, text="x", on=DAY) is None


def test_the_packaged_fallbacks_are_never_dearer() -> None:
    """Nobody pays more than planned for a fallback that they did not choose themselves."""
    catalog = load_catalog(None)
    ratios = [
        (model.name, fallback.model, price_ratio(catalog, model, fallback, {}, text="x", on=DAY))
        for model in catalog.models.values()
        for fallback in model.fallbacks
    ]
    assert ratios
    assert all(ratio is not None and ratio <= 1 for _, _, ratio in ratios), ratios


@pytest.mark.parametrize(
    ("fallback", "complaint"),
    [
        ({"model": "black-forest-labs/flux-shnell"}, "fallbacks.0.model: there is no model"),
        ({"model": DEV}, "fallbacks.0.model: a model is no fallback of its own."),
        ({"model": KOKORO}, "fallbacks.0.model: jaaari/kokoro-82m makes audio"),
        ({"model": SCHNELL, "names": {"guidence": "seed"}}, "fallbacks.0.names.guidence: "),
        ({"model": SCHNELL, "names": {"guidance": "sed"}}, "has no input 'sed'"),
        (
            {"model": SCHNELL, "values": {"megapixels": {"1": "2"}}},
            "fallbacks.0.values.megapixels.1: '2' is not one of",
        ),
        ({"model": SCHNELL, "sets": {"go_fast": "yes"}}, "fallbacks.0.sets.go_fast: "),
        ({"model": SCHNELL, "sets": {"speed": 1}}, "fallbacks.0.sets.speed: "),
        ({"model": SCHNELL, "name": {}}, "fallbacks.0.name: there is no such field. "),
    ],
)
def test_a_wrong_fallback_is_refused_by_its_field(
    tmp_path: Path, fallback: dict[str, Any], complaint: str
) -> None:
    """At the start, with file, model and field: not when the first failure needs it."""
    with pytest.raises(ConfigurationError) as error:
        _with(tmp_path, DEV, fallback)
    assert complaint in error.value.message
    assert str(tmp_path / "models.yaml") in error.value.message
    assert DEV in error.value.message


def test_a_fallback_named_twice_is_refused(tmp_path: Path) -> None:
    """The second could never be asked."""
    with pytest.raises(ConfigurationError, match="named twice"):
        _with(tmp_path, DEV, {"model": SCHNELL}, {"model": SCHNELL})


def test_fallbacks_keep_their_order() -> None:
    """The first is asked first."""
    pro = load_catalog(None).get("black-forest-labs/flux-1.1-pro")
    assert [fallback.model for fallback in pro.fallbacks] == [DEV, SCHNELL]
    assert Fallback(model=DEV).names == {}
