"""The most a prediction can cost, in micro-dollars, rounded up."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal

from pydantic import JsonValue

from asset_pipeline.catalog.multipliers import most_outputs, spoken_beside
from asset_pipeline.catalog.spec import Model, PriceRule, PriceUnit
from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.money import MicroUsd, micro_usd_ceiling


class UnpricedModelError(AssetPipelineError):
    """What a model costs is not known, so nothing may be spent on it."""


def price_on(model: Model, day: date) -> PriceRule:
    """Return the price that holds on ``day``.

    Raises:
        UnpricedModelError: None does.
    """
    rule = model.price_on(day)
    if rule is None:
        raise UnpricedModelError(
            f"{model.name} has no price on {day}.",
            hint="Price it in models.yaml in the config folder, or use another model.",
        )
    return rule


def cost(rule: PriceRule, quantity: Decimal | int) -> MicroUsd:
    """Return the price of ``quantity`` images, seconds, characters or runs, rounded up."""
    return price_of(rule.unit, rule.usd, quantity)


def price_of(unit: PriceUnit, usd: Decimal, quantity: Decimal | int) -> MicroUsd:
    """Return what so many units cost at ``usd`` a unit, rounded up.

    Characters are counted one by one, though their price is for a thousand.
    """
    if unit is PriceUnit.THOUSAND_CHARACTERS:
        return micro_usd_ceiling(usd * quantity / 1000)
    return micro_usd_ceiling(usd * quantity)


def worst_case(model: Model, inputs: Mapping[str, JsonValue], *, on: date) -> MicroUsd:
    """Return the most that one prediction with these inputs can cost.

    Args:
        model: The model to run.
        inputs: What will be sent, the text among it: :meth:`Model.request_inputs`.
        on: The day whose price holds.

    Raises:
        UnpricedModelError: The model has no price on that day.
    """
    rule = price_on(model, on)
    return cost(rule, most_units(model, inputs, rule.unit))


def most_units(model: Model, inputs: Mapping[str, JsonValue], unit: PriceUnit) -> int:
    """Return the most units that one prediction with these inputs can be billed for.

    Raises:
        UnpricedModelError: Nothing says how many outputs the inputs ask for at the most.
    """
    match unit:
        case PriceUnit.IMAGE | PriceUnit.RUN:
            return _outputs(model, inputs)
        case PriceUnit.PREDICT_SECOND:
            return model.max_predict_seconds
        case PriceUnit.THOUSAND_CHARACTERS:
            return _characters(model, inputs) * _outputs(model, inputs)


def _outputs(model: Model, inputs: Mapping[str, JsonValue]) -> int:
    """Return how many outputs are asked for: what is sent counts, else the provider's default."""
    if model.count_input is None:
        return 1
    asked = {**inputs, **model.fixed_inputs}.get(model.count_input)
    most = most_outputs(model, asked)
    if most is None:
        raise UnpricedModelError(
            f"Nothing says how many outputs {model.name} makes of {model.count_input}: {asked!r}.",
            hint=f"Write a default or a maximum for {model.count_input} in models.yaml.",
        )
    return most


def _characters(model: Model, inputs: Mapping[str, JsonValue]) -> int:
    """Return how many characters are asked for, those of lyrics and the like among them."""
    beside = [inputs.get(name, model.inputs[name].default) for name in spoken_beside(model)]
    texts = [str(inputs[model.prompt_input]), *(text for text in beside if isinstance(text, str))]
    return sum(map(len, texts))
