"""Inputs that multiply a prediction's cost; a model with an undeclared one is refused.

A reservation for one picture bounds nothing where a prompt may ask for four. What multiplies is
known by its name, or by what its description says, for a provider's schema has no mark for it.
A price by the second of prediction is bounded by the time after which the provider cancels.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from pydantic import JsonValue

from asset_pipeline.catalog.spec import InputSpec, Model, PriceUnit

_COUNTERS = {
    "n",
    "nb",
    "nr",
    "num",
    "number",
    "count",
    "amount",
    "quantity",
    "qty",
    "many",
    "batch",
}
_LIMITS = {"max", "maximum", "total", "how"}
_FILLERS = {
    *("of", "per", "to", "the", "each", "generate", "generated", "make", "create", "return"),
    *("prompt", "prompts", "request", "call", "size"),
}
_PLURALS = {
    *("outputs", "images", "imgs", "pictures", "photos", "samples", "variations", "variants"),
    *("results", "generations", "clips", "audios", "tracks", "songs", "sounds", "files", "videos"),
    *("predictions", "candidates", "completions", "copies", "items", "takes", "waveforms"),
    *("seeds", "repeats", "repetitions", "batches"),
}
_THINGS = _PLURALS | {plural.removesuffix("s") for plural in _PLURALS} | {"copy"}
_SEVERAL = {"sequential", "multiple", "multi", "several"}

_NAMES = "|".join(sorted(_THINGS, key=len, reverse=True))
_JOINED = re.compile(
    rf"(?:n|num|numberof|number|max|total)(?:{_NAMES})(?:per(?:prompt|request))?"
    rf"|(?:{_NAMES})(?:count|num|number|per(?:prompt|request))|batch(?:size|count|num)|repeat|niter"
)
_SAID = re.compile(
    r"\b(?:number|amount|count|quantity|how many)(?: of)?"
    rf" (?:(?!input|reference|source)\w+ )?(?:{'|'.join(sorted(_PLURALS))})\b(?! per second)",
    re.IGNORECASE,
)
_NUMBERS = ("integer", "number")
_HARMLESS = ("disabled", "off", "none", "no", "false", "single")

# Inputs beside the prompt whose characters are made into sound as well.
_TEXTS = {
    *("text", "texts", "prompt", "prompts", "lyrics", "lyric", "script", "ssml", "caption"),
    *("dialogue", "dialog", "transcript", "sentence", "sentences", "content", "words", "story"),
}


def uncounted(model: Model) -> Iterator[tuple[str, str]]:
    """Yield inputs that multiply the price undeclared, each with advice on what to write."""
    if model.count_input is not None:
        wrong = _bad_count_input(model, model.count_input)
        if wrong is not None:
            yield "count_input", wrong
    if all(rule.unit is PriceUnit.PREDICT_SECOND for rule in model.prices):
        return
    for name, spec in model.inputs.items():
        if name in {model.count_input, model.prompt_input, model.seed_input}:
            continue
        if _is_bounded(model, name, spec):
            continue
        # A switch costs no more than the count that is declared beside it.
        is_open_switch = model.count_input is None and _is_mode(name, spec)
        if is_open_switch or _is_count(name, spec):
            yield f"inputs.{name}", _what_to_write(model, name, spec)


def most_outputs(model: Model, value: JsonValue) -> int | None:
    """Return the most outputs that a value of the count input asks for; None if nothing bounds it.

    Args:
        model: A model with a count input.
        value: What is sent; None when nothing is, and the provider's default counts.
    """
    if model.count_input is None:
        return 1
    spec = model.inputs[model.count_input]
    asked = whole(spec.default if value is None else value)
    if asked is None:
        asked = _most(spec)
    return None if asked is None else max(1, asked)


def whole(value: JsonValue) -> int | None:
    """Return the number that a provider would read, rounded up; None when it is none."""
    match value:
        case bool():
            return None
        case int():
            return value
        case float():
            return math.ceil(value) if math.isfinite(value) else None
        case str():
            return int(value) if re.fullmatch(r"\s*[0-9]{1,9}\s*", value) else None
        case _:
            return None


def spoken_beside(model: Model) -> list[str]:
    """Return the text inputs beside the prompt's own that a price by characters counts as well."""
    return [
        name
        for name, spec in model.inputs.items()
        if name != model.prompt_input
        and spec.type == "string"
        and spec.choices is None
        and not _TEXTS.isdisjoint(_words(name))
    ]


def _bad_count_input(model: Model, name: str) -> str | None:
    spec = model.inputs[name]
    numbers = spec.type in _NUMBERS or (
        spec.type == "string"
        and spec.choices is not None
        and all(whole(choice) is not None for choice in spec.choices)
    )
    if not numbers:
        return f"it names {name!r}, which is no number, so nothing can be counted by it."
    sent = {**model.defaults, **model.fixed_inputs}.get(name)
    if most_outputs(model, sent) is None:
        return (
            f"{name!r} has neither a default nor a maximum, so a prompt without it could ask for "
            f"any number. Write its default, or fixed_inputs: {{{name}: 1}}."
        )
    return None


def _is_count(name: str, spec: InputSpec) -> bool:
    if spec.type in _NUMBERS:
        return _counts(_words(name)) or _SAID.search(spec.description) is not None
    numbered = spec.choices is not None and all(
        whole(choice) is not None for choice in spec.choices
    )
    # A list of pictures to start from may be a text named `images`.
    words = _words(name)
    named = _counts(words) and (numbered or not _COUNTERS.isdisjoint(words))
    return named and spec.type in ("string", "boolean") and (spec.choices is None or numbered)


def _is_mode(name: str, spec: InputSpec) -> bool:
    """Tell whether an input switches to several outputs, without saying how many."""
    words = set(_words(name))
    named = not _SEVERAL.isdisjoint(words) and not (_THINGS | {"generate"}).isdisjoint(words)
    return named and spec.type in ("string", "boolean")


def _counts(words: list[str]) -> bool:
    if not words or _JOINED.fullmatch("".join(words)):
        return bool(words)
    if words[0] in _PLURALS and len(words) == 1:
        return True
    known = _COUNTERS | _LIMITS | _FILLERS | _THINGS
    if not known.issuperset(words):
        return False
    thing = not _THINGS.isdisjoint(words)
    return not _COUNTERS.isdisjoint(words) or (thing and not _LIMITS.isdisjoint(words))


def _words(name: str) -> list[str]:
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    return re.findall(r"[a-z]+", spaced.lower())


def _is_bounded(model: Model, name: str, spec: InputSpec) -> bool:
    """Tell whether an input can ask for one output only."""
    if name in model.fixed_inputs:
        value = model.fixed_inputs[name]
        asked = whole(value)
        harmless = value is False or str(value).lower() in _HARMLESS
        return harmless or (asked is not None and asked <= 1)
    most = _most(spec)
    return most is not None and most <= 1


def _most(spec: InputSpec) -> int | None:
    if spec.choices is not None:
        numbers = [whole(choice) for choice in spec.choices]
        known = [number for number in numbers if number is not None]
        return max(known) if known and len(known) == len(numbers) else None
    return None if spec.maximum is None else math.ceil(spec.maximum)


def _what_to_write(model: Model, name: str, spec: InputSpec) -> str:
    fixed = f"fixed_inputs: {{{name}: {_one(spec)}}}"
    countable = spec.type in _NUMBERS or spec.choices is not None
    counted = f"count_input: {name}"
    if model.count_input is not None or not countable or _is_mode(name, spec):
        advice = f"Write {fixed}"
    else:
        advice = f"Write {counted} to have them counted, or {fixed} to get one"
    return f"it asks for several outputs, and the reservation would be for one. {advice}."


def _one(spec: InputSpec) -> str:
    if spec.type == "boolean":
        return "false"
    for choice in spec.choices or ():
        if whole(choice) == 1 or str(choice).lower() in _HARMLESS:
            return f'"{choice}"' if isinstance(choice, str) else str(choice)
    return "1" if spec.type in _NUMBERS else '"1"'
