"""A prompt with a run's changes: another model or another number of variants.

The prompt files stay as they are. What comes of it is a prompt like any other, with a hash of its
own, so its clips belong to their own generation requests and are never taken for the files'.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.catalog.reader import Catalog
from asset_pipeline.catalog.spec import Model
from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.prompts.resolver import Resolver, length_findings, variants_findings
from asset_pipeline.prompts.spec import Prompt


class OverrideError(AssetPipelineError):
    """A prompt can't be made with an override."""


@dataclass(frozen=True, slots=True)
class Override:
    """What a run changes against the prompt files.

    Attributes:
        model: Makes the clips; None for each prompt's own.
        variants: Clips of each prompt; None for each prompt's own number.
    """

    model: Model | None = None
    variants: int | None = None

    def __bool__(self) -> bool:
        """Whether it changes anything at all."""
        return self.model is not None or self.variants is not None

    def apply(self, prompt: Prompt, catalog: Catalog) -> Prompt:
        """Return the prompt as the run wants it.

        Inputs that the model doesn't have are left out, as a collection's defaults are for a
        prompt with a model of its own.

        Raises:
            OverrideError: The model would refuse the inputs, the text or the reference, or two of
                the variants would be the same request.
            UnknownModelError: The prompt's own model has left the catalog.
        """
        model, variants = self.model, self.variants
        wanted = prompt if variants is None else replace(prompt, variants=variants)
        if model is None or model.name == prompt.model:
            _check_variants(wanted, catalog.get(prompt.model))
            return wanted
        inputs = {
            name: value
            for name, value in prompt.inputs.items()
            if name in model.inputs and name not in model.fixed_inputs
        }
        wanted = replace(wanted, model=model.name, inputs=inputs)
        wrong = [
            f"input {issue.field}: {issue.message}" for issue in catalog.check_inputs(model, inputs)
        ]
        wrong += [f"text: {found.message}" for found in length_findings(wanted, model)]
        if prompt.reference is not None and model.reference_input is None:
            wrong.append(f"{model.name} takes no reference file.")
        if wrong:
            raise OverrideError(
                f"it can't be made by {model.name}: {' '.join(wrong)}",
                hint="Choose another model, or correct the prompt in its file.",
            )
        _check_variants(wanted, model)
        return wanted


def _check_variants(prompt: Prompt, model: Model) -> None:
    for found in variants_findings(prompt, model):
        message = f"it can't be made in {prompt.variants} variants: {found.message}"
        raise OverrideError(message, hint=found.hint)


def override_for(
    kind: Kind,
    catalog: Catalog,
    prompts_dir: Path,
    *,
    model: str | None,
    variants: int | None,
    on: date,
) -> Override:
    """Return an override, its model looked up.

    Raises:
        AssetPipelineError: The model is unknown, makes the other kind or has no price on the day.
    """
    if model is None:
        return Override(None, variants)
    return Override(Resolver(prompts_dir, catalog, on=on).model(model, kind), variants)
