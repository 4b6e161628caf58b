"""What the crash tests make: small pictures, short speech, and pairs of equal requests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.catalog.reader import Catalog, load_catalog
from asset_pipeline.prompts.spec import Prompt

PICTURES = "black-forest-labs/flux-schnell"
SPEECH = "minimax/speech-02-turbo"  # official, takes no seed
COMMUNITY_SPEECH = "jaaari/kokoro-82m"  # by version, takes no seed

_SMALL = {"megapixels": "0.25", "output_format": "jpg"}


def catalog(config_dir: Path | None = None) -> Catalog:
    """The models of a config folder; those without a seed make another take each time.

    Only so are there equal requests that are told apart by nothing but their number.
    """
    packaged = load_catalog(config_dir)
    varying = {
        name: model.model_copy(update={"varies": model.seed_input is None})
        for name, model in packaged.models.items()
    }
    return replace(packaged, models=varying)


def picture(name: str, *, variants: int = 1) -> Prompt:
    """A picture prompt, whose text is its own."""
    return _prompt(Kind.IMAGE, name, f"A garden called {name}", PICTURES, variants)


def speech(name: str, *, variants: int = 1, model: str = SPEECH) -> Prompt:
    """A speech prompt; its variants are equal requests, for the model takes no seed."""
    return _prompt(Kind.AUDIO, name, f"Good morning, {name}.", model, variants)


def mixed(count: int, *, variants: int = 2) -> list[Prompt]:
    """Prompts of both kinds: of ten, six pictures and four speeches on two models."""
    made: list[Prompt] = []
    for number in range(count):
        place = number % 10
        if place < 6:
            made.append(picture(f"p{number:03}", variants=variants))
        else:
            model = SPEECH if place < 8 else COMMUNITY_SPEECH
            made.append(speech(f"s{number:03}", variants=variants, model=model))
    return made


def clips_wanted(prompts: Sequence[Prompt]) -> int:
    """How many clips the prompts ask for."""
    return sum(prompt.variants for prompt in prompts)


def _prompt(kind: Kind, name: str, text: str, model: str, variants: int) -> Prompt:
    return Prompt(
        kind=kind,
        prompt_id=name,
        collection="crash",
        text=text,
        style="",
        model=model,
        variants=variants,
        inputs=_SMALL if kind is Kind.IMAGE else {},
        tags=(),
        reference=None,
        reference_sha256=None,
        path="crash.yaml",
    )
