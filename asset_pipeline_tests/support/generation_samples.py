"""Prompts, requests and predictions to write tests with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.catalog.reader import Catalog, load_catalog
from asset_pipeline.generation.request import GenerationRequest, resolve
from asset_pipeline.prompts.spec import Prompt
from asset_pipeline.providers.prediction import Prediction, parse_prediction
from asset_pipeline_tests.support.provider_samples import prediction as document

CATALOG: Catalog = load_catalog(None)

SCHNELL = "black-forest-labs/flux-schnell"
FLUX_DEV = "black-forest-labs/flux-dev"
SPEECH = "minimax/speech-02-turbo"
KOKORO = "jaaari/kokoro-82m"
STABLE_AUDIO = "stability-ai/stable-audio-2.5"

COVER = Prompt(
    kind=Kind.IMAGE,
    prompt_id="cover",
    collection="kit",
    text="a lighthouse",
    style="",
    model=SCHNELL,
    variants=1,
    inputs={"megapixels": "0.25", "output_format": "jpg"},
    tags=(),
    reference=None,
    reference_sha256=None,
    path="images/kit.yaml",
)

SPOKEN = replace(COVER, kind=Kind.AUDIO, prompt_id="spoken", text="Hello", model=SPEECH, inputs={})


def request_for(
    prompt: Prompt = COVER, variant: int = 1, folder: Path = Path()
) -> GenerationRequest:
    """Resolve a prompt."""
    return resolve(prompt, variant, CATALOG, folder)


def prediction(**changes: object) -> Prediction:
    """A succeeded prediction, but for the changes."""
    return parse_prediction(
        document(
            **{
                "status": "succeeded",
                "output": ["https://x/out-0.webp"],
                "started_at": "2026-11-21T12:00:01Z",
                "completed_at": "2026-11-21T12:00:02Z",
            }
            | changes
        )
    )
