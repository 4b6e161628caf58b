"""Translating a prompt's inputs for a fallback model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal

from pydantic import JsonValue

from asset_pipeline.catalog.pricing import worst_case
from asset_pipeline.catalog.reader import Catalog
from asset_pipeline.catalog.spec import Fallback, Model


def fallback_inputs(
    catalog: Catalog,
    fallback: Fallback,
    inputs: Mapping[str, JsonValue],
    *,
    text: str,
    on: date,
) -> dict[str, JsonValue] | None:
    """Return a prompt's inputs as the fallback takes them; None when it can't take them.

    An input keeps its name and value where the fallback says nothing else, and is left out where
    the fallback has no such input. A value that the fallback refuses makes it no way to the clip: a
    picture of another shape than was asked for is not what is wanted.

    Args:
        catalog: The models.
        fallback: The fallback and its mapping.
        inputs: The prompt's own inputs, for the model that was wanted.
        text: The prompt's text, for the length that the fallback allows.
        on: The day; without a price on it nothing may be asked of the fallback.
    """
    model = catalog.get(fallback.model)
    if model.price_on(on) is None or model.inputs[model.prompt_input].objection(text):
        return None
    mapped = dict(_mapped(fallback, model, inputs))
    return None if catalog.check_inputs(model, mapped) else mapped


def price_ratio(
    catalog: Catalog,
    model: Model,
    fallback: Fallback,
    inputs: Mapping[str, JsonValue],
    *,
    text: str,
    on: date,
) -> Decimal | None:
    """Return the worst-case price of a fallback divided by that of ``model``.

    Returns:
        The ratio; None when the fallback can't take these inputs, or the model costs nothing.
    """
    mapped = fallback_inputs(catalog, fallback, inputs, text=text, on=on)
    if mapped is None:
        return None
    other = catalog.get(fallback.model)
    own = worst_case(model, model.request_inputs(text, inputs), on=on)
    theirs = worst_case(other, other.request_inputs(text, mapped), on=on)
    return Decimal(theirs) / own if own else None


def _mapped(
    fallback: Fallback, model: Model, inputs: Mapping[str, JsonValue]
) -> Iterator[tuple[str, JsonValue]]:
    yield from fallback.sets.items()
    for name, value in inputs.items():
        target = fallback.names.get(name, name)
        if target is not None and target in model.inputs and target not in model.fixed_inputs:
            yield target, fallback.values.get(name, {}).get(str(value), value)
