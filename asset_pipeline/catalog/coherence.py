"""Checks of the catalog across models: fallbacks, prices and multiplying inputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from asset_pipeline.catalog.multipliers import uncounted
from asset_pipeline.catalog.spec import Fallback, Model
from asset_pipeline.config.suggestions import did_you_mean


def incoherences(models: Mapping[str, Model]) -> Iterator[str]:
    """Yield what is wrong in and between models, each as a sentence with its field."""
    for model in models.values():
        for field, wrong in uncounted(model):
            yield f"{model.name}: {field}: {wrong}"
        for number, fallback in enumerate(model.fallbacks):
            for field, wrong in _flaws(model, fallback, models):
                yield f"{model.name}: fallbacks.{number}.{field}: {wrong}"
        names = [fallback.model for fallback in model.fallbacks]
        if len(names) != len(set(names)):
            yield f"{model.name}: fallbacks: a model is named twice."


def _flaws(
    model: Model, fallback: Fallback, models: Mapping[str, Model]
) -> Iterator[tuple[str, str]]:
    other = models.get(fallback.model)
    if other is None:
        near = did_you_mean(fallback.model, models)
        yield "model", f"there is no model {fallback.model!r} in the catalog. {near}".rstrip()
        return
    if other.name == model.name:
        yield "model", "a model is no fallback of its own."
    if other.kind is not model.kind:
        yield "model", f"{other.name} makes {other.kind}, and {model.name} makes {model.kind}."
    for field, named in (("names", fallback.names), ("values", fallback.values)):
        for name in named:
            if name not in model.inputs:
                near = did_you_mean(name, model.inputs)
                yield f"{field}.{name}", f"{model.name} has no such input. {near}".rstrip()
    for name, target in fallback.names.items():
        if target is not None and target not in other.inputs:
            near = did_you_mean(target, other.inputs)
            yield f"names.{name}", f"{other.name} has no input {target!r}. {near}".rstrip()
    yield from _wrong_values(fallback, other)


def _wrong_values(fallback: Fallback, other: Model) -> Iterator[tuple[str, str]]:
    for name, value in fallback.sets.items():
        if name not in other.inputs:
            near = did_you_mean(name, other.inputs)
            yield f"sets.{name}", f"{other.name} has no such input. {near}".rstrip()
        elif objection := other.inputs[name].objection(value):
            yield f"sets.{name}", objection
    for name, mapping in fallback.values.items():
        spec = other.inputs.get(fallback.names.get(name, name) or "")
        for given, value in mapping.items():
            if spec is not None and (objection := spec.objection(value)):
                yield f"values.{name}.{given}", objection
