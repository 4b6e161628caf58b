"""``models.yaml`` to a :class:`Catalog`: the packaged file, under the user's own.

A user's file has the same form. A model it names anew is added; a known one is overridden field
by field, mappings within mappings, so that a price is added without repeating the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from importlib import resources
from itertools import islice
from pathlib import Path

from pydantic import JsonValue, ValidationError

from asset_pipeline.catalog.coherence import incoherences
from asset_pipeline.catalog.spec import Fallback, InputSpec, Model, PriceRule
from asset_pipeline.config.error_messages import MOST_TOLD, complaint, first_issues
from asset_pipeline.config.guarded_file import wait_until_still
from asset_pipeline.config.overlays import overlaid
from asset_pipeline.config.suggestions import did_you_mean, nearest
from asset_pipeline.config.yaml_source import read_configuration
from asset_pipeline.errors import AssetPipelineError, ConfigurationError

FILE_NAME = "models.yaml"


class UnknownModelError(AssetPipelineError):
    """A model is not in the catalog."""


@dataclass(frozen=True, slots=True)
class InputIssue:
    """Why a model would not take an input: the field's name, and what is wrong and allowed."""

    field: str
    message: str


@dataclass(frozen=True)
class Catalog:
    """The models that prompts may name."""

    models: Mapping[str, Model]

    def get(self, name: str) -> Model:
        """Return a model by its name, ``owner/name``.

        Raises:
            UnknownModelError: It is not in the catalog; the error names the nearest.
        """
        model = self.models.get(name)
        if model is None:
            raise UnknownModelError(
                f"There is no model {name!r} in the catalog.",
                hint=did_you_mean(name, self.models),
            )
        return model

    def priced_alternatives(self, model: Model, *, on: date) -> tuple[str, ...]:
        """Return models of the same kind that have a price on that day, the likest named first."""
        priced = [
            other.name
            for other in self.models.values()
            if other.kind is model.kind and other.price_on(on) is not None
        ]
        close = nearest(model.name, priced)
        return (*close, *(name for name in priced if name not in close))

    def check_inputs(self, model: Model, inputs: Mapping[str, JsonValue]) -> list[InputIssue]:
        """Return what is wrong with the inputs of a prompt for ``model``, in order.

        Of wrong ones, the first that are told.
        """
        found = (
            InputIssue(name, objection)
            for name, value in inputs.items()
            if (objection := _objection(model, name, value)) is not None
        )
        issues = list(islice(found, MOST_TOLD))
        issues.extend(
            InputIssue(name, f"{model.name} needs it.")
            for name, spec in model.inputs.items()
            if spec.required and name not in inputs and _prompts_may_set(model, name)
            if name not in model.defaults
        )
        return issues


def _prompts_may_set(model: Model, name: str) -> bool:
    roles = (model.prompt_input, model.reference_input)
    return name in model.inputs and name not in roles and name not in model.fixed_inputs


def _objection(model: Model, name: str, value: JsonValue) -> str | None:
    if _prompts_may_set(model, name):
        return model.inputs[name].objection(value)
    if name == model.prompt_input:
        return "it is the prompt's text; give it as 'text'."
    if name == model.reference_input:
        return "it is the prompt's reference file; give it as 'reference'."
    if name in model.fixed_inputs:
        return f"it is always {model.fixed_inputs[name]!r}; leave it out."
    known = [other for other in model.inputs if _prompts_may_set(model, other)]
    return f"{model.name} has no such input. {did_you_mean(name, known)}".rstrip()


def load_catalog(config_dir: Path | None) -> Catalog:
    """Read the packaged models, overlaid with ``<config_dir>/models.yaml`` if there is one.

    Raises:
        ConfigurationError: A file is wrong; the error names file, model and field.
    """
    packaged = resources.files("asset_pipeline.catalog").joinpath(FILE_NAME)
    with resources.as_file(packaged) as path:
        entries = _read(path, label=FILE_NAME)
    label = FILE_NAME
    if config_dir is not None and (config_dir / FILE_NAME).exists():
        label = str(config_dir / FILE_NAME)
        # A price with its digits cut off would be another price.
        wait_until_still(config_dir / FILE_NAME)
        for name, entry in _read(config_dir / FILE_NAME, label=label).items():
            entries[name] = overlaid(entries.get(name, {}), entry)
    models = {name: _model(name, entry, label) for name, entry in entries.items()}
    for wrong in incoherences(models):
        raise ConfigurationError(f"{label}: {wrong}", hint="The packaged file shows the form.")
    return Catalog(models)


def load_models(path: Path) -> dict[str, Model]:
    """Read the models of one file, laid over nothing.

    Raises:
        ConfigurationError: The file is wrong.
    """
    label = path.name
    return {name: _model(name, entry, label) for name, entry in _read(path, label=label).items()}


def _read(path: Path, *, label: str) -> dict[str, JsonValue]:
    """Return a file's entries by model name; their fields are not looked at yet."""
    value = read_configuration(path, label=label)
    models = value.get("models") if isinstance(value, dict) else None
    if not isinstance(value, dict) or set(value) != {"models"} or not isinstance(models, dict):
        raise ConfigurationError(
            f"{label}: the file must hold 'models:' and nothing beside it.",
            hint="Put each model's entry under models, by its name: owner/name.",
        )
    return models


def _model(name: str, entry: JsonValue, label: str) -> Model:
    if not isinstance(entry, dict):
        raise ConfigurationError(
            f"{label}: {name}: the entry is not a mapping of fields.",
            hint="Write the model's fields below its name, indented.",
        )
    try:
        return Model.model_validate({**entry, "name": name})
    except ValidationError as error:
        raise ConfigurationError(
            f"{label}: {name}: {' '.join(_sentences(error))}",
            hint="The packaged models.yaml shows the form.",
        ) from None


def _sentences(error: ValidationError) -> Iterator[str]:
    for issue in first_issues(error):
        where = ".".join(str(step) for step in issue["loc"])
        message, hint = complaint(issue, _fields_beside(issue["loc"]))
        yield f"{where}: {message} {hint}".removeprefix(": ").rstrip()


def _fields_beside(location: tuple[int | str, ...]) -> Iterable[str]:
    match location:
        case ("prices", _, _):
            return PriceRule.model_fields
        case ("inputs", _, _):
            return InputSpec.model_fields
        case ("fallbacks", _, _):
            return Fallback.model_fields
        case _:
            return [field for field in Model.model_fields if field != "name"]
