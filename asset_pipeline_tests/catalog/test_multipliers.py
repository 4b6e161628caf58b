"""An input that multiplies the price is counted, or the model is refused when it is read."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
import yaml
from pydantic import JsonValue

from asset_pipeline.catalog.pricing import UnpricedModelError, worst_case
from asset_pipeline.catalog.reader import Catalog, load_catalog
from asset_pipeline.errors import ConfigurationError
from asset_pipeline_tests.support.settled_files import write_settled

DAY = date(2026, 11, 1)
WHOLE: dict[str, JsonValue] = {"type": "integer", "default": 1, "minimum": 1, "maximum": 4}


def with_model(
    folder: Path, inputs: dict[str, JsonValue], unit: str = "image", **fields: JsonValue
) -> Catalog:
    """Return a catalog with a user's model, priced at a dollar a unit."""
    entry = {
        "kind": "image",
        "prompt_input": "prompt",
        "inputs": {"prompt": {"type": "string", "required": True}, **inputs},
        "output": "list",
        "prices": [{"unit": unit, "usd": "1", "effective": "2026-01-01", "source": "a bill"}],
        "max_predict_seconds": 60,
        **fields,
    }
    write_settled(folder / "models.yaml", yaml.safe_dump({"models": {"acme/painter": entry}}))
    return load_catalog(folder)


def dollars(catalog: Catalog, text: str = "x", **inputs: JsonValue) -> float:
    """Return the worst case of a prompt."""
    model = catalog.get("acme/painter")
    return worst_case(model, model.request_inputs(text, inputs), on=DAY) / 1_000_000


COUNTS = [
    *("num_outputs", "number_of_outputs", "outputs", "n_outputs", "output_count", "numOutputs"),
    *(
        "num_images",
        "number_of_images",
        "n_images",
        "numImages",
        "image_count",
        "images",
        "nimages",
    ),
    *("images_per_prompt", "num_images_per_prompt", "max_images", "total_images", "image_num"),
    *("n", "num", "count", "quantity", "batch_size", "batchSize", "batch", "batch_count", "n_iter"),
    *("num_samples", "samples", "n_samples", "sampleCount", "number_of_samples", "num-samples"),
    *("num_variations", "variations", "num_variants", "num_generations", "num_results", "copies"),
    *("number_of_pictures", "how_many", "num_candidates", "repeat", "num_seeds", "clips", "tracks"),
]


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize("unit", ["image", "run", "thousand_characters"])
def test_an_undeclared_count_is_refused_with_what_to_write(
    tmp_path: Path, name: str, unit: str
) -> None:
    """Four pictures on a reservation for one would pass every cap."""
    with pytest.raises(ConfigurationError) as caught:
        with_model(tmp_path, {name: WHOLE}, unit)
    said = str(caught.value)
    assert f"acme/painter: inputs.{name}: it asks for several outputs" in said
    assert f"count_input: {name}" in said
    assert f"fixed_inputs: {{{name}: 1}}" in said


@pytest.mark.parametrize("name", ["num_outputs", "n", "batch_size", "max_images"])
def test_declared_or_fixed_it_is_read(tmp_path: Path, name: str) -> None:
    """Both things that the sentence says to write do."""
    counted = with_model(tmp_path, {name: WHOLE}, count_input=name)
    assert (dollars(counted), dollars(counted, **{name: 3})) == (1, 3)
    assert dollars(with_model(tmp_path, {name: WHOLE}, fixed_inputs={name: 1})) == 1
    bounded: JsonValue = {"type": "integer", "default": 1, "maximum": 1}
    assert dollars(with_model(tmp_path, {name: bounded})) == 1


NO_COUNTS = [
    *(
        "num_inference_steps",
        "num_frames",
        "number_of_frames",
        "sample_rate",
        "image_size",
        "steps",
    ),
    *("max_new_tokens", "max_length", "num_beams", "output_quality", "top_n", "width", "duration"),
    *("image_prompt_strength", "num_colors", "max_seconds", "version", "batching_strength"),
]


@pytest.mark.parametrize("name", NO_COUNTS)
def test_other_numbers_are_left_alone(tmp_path: Path, name: str) -> None:
    """A number that multiplies nothing needs no declaration."""
    assert dollars(with_model(tmp_path, {name: WHOLE})) == 1


@pytest.mark.parametrize(
    "spec",
    [
        {"type": "number", "default": 1},
        {"type": "string", "default": "1", "choices": ["1", "2", "4"]},
        {"type": "string", "default": "1"},
        {"type": "boolean", "default": False},
        {"type": "integer"},
    ],
)
def test_the_type_hides_no_count(tmp_path: Path, spec: JsonValue) -> None:
    """A count may be written as text, and as a switch."""
    with pytest.raises(ConfigurationError, match=r"inputs\.num_outputs: it asks for several"):
        with_model(tmp_path, {"num_outputs": spec})


def test_a_description_tells_a_count(tmp_path: Path) -> None:
    """A name may say nothing where the provider's schema says it in words."""
    spec = {**WHOLE, "description": "Number of images to generate."}
    with pytest.raises(ConfigurationError, match=r"inputs\.k: .* count_input: k "):
        with_model(tmp_path, {"k": spec})
    assert dollars(with_model(tmp_path, {"k": {**WHOLE, "description": "Number of steps."}})) == 1


def test_a_switch_to_several_is_fixed_or_bounded(tmp_path: Path) -> None:
    """A sequence of pictures costs as many as the input that bounds it says."""
    switch: JsonValue = {"type": "string", "default": "disabled", "choices": ["disabled", "auto"]}
    inputs: dict[str, JsonValue] = {"sequential_image_generation": switch}
    with pytest.raises(
        ConfigurationError, match=r'fixed_inputs: {sequential_image_generation: "disabled"}'
    ):
        with_model(tmp_path, inputs)
    off = with_model(tmp_path, inputs, fixed_inputs={"sequential_image_generation": "disabled"})
    assert dollars(off) == 1
    both = with_model(tmp_path, {**inputs, "max_images": WHOLE}, count_input="max_images")
    assert dollars(both, sequential_image_generation="auto", max_images=4) == 4


def test_two_counts_multiply_so_one_is_fixed(tmp_path: Path) -> None:
    """Only one input is counted; the second would multiply it."""
    inputs: dict[str, JsonValue] = {"num_outputs": {**WHOLE}, "batch_size": {**WHOLE}}
    with pytest.raises(ConfigurationError, match=r"batch_size: .* Write fixed_inputs: {batch_size"):
        with_model(tmp_path, inputs, count_input="num_outputs")


def test_a_price_by_the_second_is_bounded_by_time(tmp_path: Path) -> None:
    """However many are asked for, the provider cancels when the time is up."""
    assert dollars(with_model(tmp_path, {"num_outputs": WHOLE}, "predict_second")) == 60


@pytest.mark.parametrize(
    ("spec", "sent", "most"),
    [
        ({"type": "integer", "maximum": 4}, None, 4),
        ({"type": "integer", "choices": [1, 2, 8]}, None, 8),
        ({"type": "integer", "default": 3, "maximum": 4}, None, 3),
        ({"type": "string", "default": "2", "choices": ["1", "2", "4"]}, None, 2),
        ({"type": "string", "choices": ["1", "2", "4"]}, None, 4),
        ({"type": "string", "default": "1", "choices": ["1", "2", "4"]}, "4", 4),
        ({"type": "number", "default": 1, "maximum": 4}, 2.5, 3),
        ({"type": "integer", "default": 1, "maximum": 4}, True, 4),
        ({"type": "integer", "default": 1, "maximum": 4}, "many", 4),
        ({"type": "integer", "default": 0, "maximum": 4}, None, 1),
        ({"type": "integer", "default": True, "maximum": 4}, None, 4),
    ],
)
def test_what_is_not_known_counts_as_the_most(
    tmp_path: Path, spec: JsonValue, sent: JsonValue, most: int
) -> None:
    """Never less is reserved than the provider may deliver."""
    catalog = with_model(tmp_path, {"num_outputs": spec}, count_input="num_outputs")
    given = {} if sent is None else {"num_outputs": sent}
    assert dollars(catalog, **given) == most


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"type": "integer"}, "neither a default nor a maximum"),
        ({"type": "boolean", "default": False}, "which is no number"),
        ({"type": "string", "default": "1"}, "which is no number"),
    ],
)
def test_a_count_input_that_bounds_nothing_is_refused(
    tmp_path: Path, spec: JsonValue, said: str
) -> None:
    """A declared count without bounds is no better than none."""
    with pytest.raises(ConfigurationError, match=said):
        with_model(tmp_path, {"num_outputs": spec}, count_input="num_outputs")


def test_without_a_bound_nothing_is_reserved(tmp_path: Path) -> None:
    """A value that can't be counted and has no maximum is refused, whoever let it through."""
    spec: JsonValue = {"type": "integer", "default": 1}
    catalog = with_model(tmp_path, {"num_outputs": spec}, count_input="num_outputs")
    with pytest.raises(UnpricedModelError, match="num_outputs: True"):
        dollars(catalog, num_outputs=True)


def test_all_texts_are_counted(tmp_path: Path) -> None:
    """A price by characters is for the lyrics too, and for each of several takes."""
    inputs: dict[str, JsonValue] = {
        "lyrics": {"type": "string", "default": "la la"},
        "voice": {"type": "string", "default": "a long name of a voice"},
        "takes": WHOLE,
    }
    catalog = with_model(tmp_path, inputs, "thousand_characters", count_input="takes")
    assert dollars(catalog, "x" * 995) == 1
    assert dollars(catalog, "x" * 500, lyrics="y" * 500, takes=2) == 2


def test_a_price_is_what_makes_a_count_matter(tmp_path: Path) -> None:
    """An unpriced model is refused anyway, and read; the sentence comes with its price."""
    assert not with_model(tmp_path, {"num_outputs": WHOLE}, prices=[]).get("acme/painter").prices
