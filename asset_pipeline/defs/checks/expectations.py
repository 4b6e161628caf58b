"""What is expected of a clip by its request: size, length and cost."""

from __future__ import annotations

from decimal import Decimal

from pydantic import JsonValue

from asset_pipeline.catalog.pricing import UnpricedModelError, price_on, worst_case
from asset_pipeline.catalog.reader import Catalog
from asset_pipeline.catalog.spec import Model, PriceUnit
from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.ledger.clip_inspection import AskedClip
from asset_pipeline.money import MicroUsd, format_usd

# Models round sides to multiples of 16 or 64: flux's 21:9 is 1536 x 640, 2.9% off.
_RATIO_TOLERANCE = 0.04
_SIDE_TOLERANCE = 32
# Flux's megapixel is 0.98 to 1.05 of one.
_AREA_TOLERANCE = 0.25
_SECONDS_TOLERANCE = 0.1

# A price by the unit is known to the cent before it is paid; characters are counted by the
# provider, whose count may differ from ours by a mark or two in a sentence.
_UNIT_TOLERANCE = Decimal("0.1")


def size_objection(asked: AskedClip, catalog: Catalog) -> str | None:
    """Return how a clip's size differs from what its inputs asked for, or None."""
    model = _model(asked, catalog)
    if model is None:
        return None
    clip = asked.clip
    if clip.width and clip.height:
        return _picture_objection(clip.width, clip.height, model, asked.inputs)
    seconds = _input(model, asked.inputs, "duration")
    if isinstance(seconds, int | float) and clip.duration_seconds is not None and seconds > 0:
        off = abs(clip.duration_seconds - seconds) / seconds
        if off > _SECONDS_TOLERANCE:
            return f"it lasts {clip.duration_seconds:.1f} s where {seconds:g} s were asked for"
    return None


def cost_objection(asked: AskedClip, catalog: Catalog) -> str | None:
    """Return how a clip's cost lies outside of what its model's price allows, or None."""
    model = _model(asked, catalog)
    if model is None or asked.reused:
        return None
    try:
        most = worst_case(model, asked.inputs, on=asked.asked_at.date())
        unit = price_on(model, asked.asked_at.date()).unit
    except UnpricedModelError:
        return None
    cost = asked.clip.cost_microusd
    least = 1 if unit is PriceUnit.PREDICT_SECOND else int(most * (1 - _UNIT_TOLERANCE))
    if unit is not PriceUnit.PREDICT_SECOND:
        most = MicroUsd(int(most * (1 + _UNIT_TOLERANCE)))
    if least <= cost <= most:
        return None
    return (
        f"it cost {format_usd(cost)}, and {model.name}'s price allows "
        f"{format_usd(least)} to {format_usd(most)}"
    )


def _picture_objection(
    width: int, height: int, model: Model, inputs: dict[str, JsonValue]
) -> str | None:
    is_, found = f"it is {width} x {height}", width / height
    asked_width, asked_height = inputs.get("width"), inputs.get("height")
    ratio = _input(model, inputs, "aspect_ratio")
    if isinstance(asked_width, int) and isinstance(asked_height, int):
        off = max(abs(width - asked_width), abs(height - asked_height))
        if off > _SIDE_TOLERANCE:
            return f"{is_} where {asked_width} x {asked_height} was asked for"
        return None
    across, _, down = str(ratio).partition(":")
    if across.isdigit() and down.isdigit() and int(across) and int(down):
        wanted = int(across) / int(down)
        if abs(found / wanted - 1) > _RATIO_TOLERANCE:
            return f"{is_} where {ratio} was asked for"
    megapixels = inputs.get("megapixels")
    if isinstance(megapixels, str) and megapixels.replace(".", "", 1).isdigit():
        area = float(megapixels) * 1_000_000
        if area and abs(width * height / area - 1) > _AREA_TOLERANCE:
            return f"{is_} where {megapixels} megapixels were asked for"
    return None


def _input(model: Model, inputs: dict[str, JsonValue], name: str) -> JsonValue:
    """Return what an input was: as sent, else the model's own default."""
    if name in inputs:
        return inputs[name]
    return model.inputs[name].default if name in model.inputs else None


def _model(asked: AskedClip, catalog: Catalog) -> Model | None:
    try:
        return catalog.get(asked.clip.model)
    except AssetPipelineError:
        return None  # it left the catalog; nothing is known of it any more
