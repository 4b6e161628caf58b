"""Seeds: they make each variant of a prompt a different request.

Two variants never ask for the same thing, for the second would be paid for what is there already.
Where the user gave no seed, each attempt has one of its own. A seed that was given, wherever it was
given, is the first variant's; the n-th one's is n - 1 higher and begins again at the model's least.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from pydantic import JsonValue

from asset_pipeline.catalog.spec import InputSpec, Model

# Where the catalog gives no bound: the widths that models keep their seeds in.
_WIDTHS = (31, 32, 63)


def given_seed(model: Model, inputs: Mapping[str, JsonValue]) -> int | None:
    """Return the seed that is among the inputs, None when there is none or the model takes none."""
    value = None if model.seed_input is None else inputs.get(model.seed_input)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value)


def with_variants_seed(
    model: Model, inputs: Mapping[str, JsonValue], variant: int
) -> dict[str, JsonValue]:
    """Return the inputs of one variant: a given seed is increased, the rest is unchanged."""
    seed = given_seed(model, inputs)
    if seed is None or model.seed_input is None:
        return dict(inputs)
    own = _seed_of_variant(model.inputs[model.seed_input], seed, variant)
    return {**inputs, model.seed_input: own}


def counts_in_hash(model: Model, inputs: Mapping[str, JsonValue]) -> bool:
    """Tell whether the number of a variant makes a request another one.

    It does where each attempt gets a seed of its own, and where the model makes something else of
    the same inputs each time. A given seed is in the inputs already: by it alone another prompt, or
    another variant, that asks for the very same clip finds it.
    """
    if model.seed_input is None:
        return model.varies
    return given_seed(model, inputs) is None


def variants_objection(
    model: Model, inputs: Mapping[str, JsonValue], variants: int
) -> tuple[str, str] | None:
    """Return why so many variants would be the same request, and what to write; None if they don't.

    Args:
        model: The model.
        inputs: All that is sent but the text: :meth:`Model.request_inputs`.
        variants: How many are wanted.
    """
    if model.seed_input is None:
        return None if variants == 1 or model.varies else _no_seed(model, variants)
    name, seed = model.seed_input, given_seed(model, inputs)
    spec = model.inputs[name]
    if seed is None or spec.objection(inputs[name]):
        return None  # a seed that the model refuses is said of the input itself
    if seed != inputs[name]:
        return f"the seed {inputs[name]!r} is not a whole number.", f"Write {name}: {seed}."
    seeds = [_seed_of_variant(spec, seed, variant) for variant in range(1, variants + 1)]
    if len(set(seeds)) < variants or any(spec.objection(each) for each in seeds):
        message = (
            f"{variants} variants need as many seeds from {seed} on, more than {model.name} has: "
            "two would be the same request, paid for twice."
        )
        hint = f"Write fewer variants, or leave {name} out: each then gets a seed of its own."
        return message, hint
    return None


def _no_seed(model: Model, variants: int) -> tuple[str, str]:
    likely = next((name for name in model.inputs if "seed" in name.lower()), None)
    declare = "" if likely is None else f"say 'seed_input: {likely}' for it in models.yaml; or "
    message = (
        f"{model.name} takes no seed, so its {variants} variants would be one and the same "
        f"request, paid for {variants} times."
    )
    hint = (
        f"Write variants: 1; or {declare}where it makes something else of the same inputs each "
        "time, say 'varies: true' for it in models.yaml."
    )
    return message, hint


def _seed_of_variant(spec: InputSpec, seed: int, variant: int) -> int:
    least = min(0, seed) if spec.minimum is None else math.ceil(spec.minimum)
    if spec.maximum is None:
        most = next((2**width - 1 for width in _WIDTHS if seed < 2**width), seed)
    else:
        most = math.floor(spec.maximum)
    if variant == 1 or not least <= seed <= most:
        return seed
    return least + (seed - least + variant - 1) % (most - least + 1)
