"""Which files a prediction delivers: how many, in which format, under which names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from pydantic import JsonValue

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.catalog.spec import Model, OutputShape

MIME_TYPES = {
    "webp": "image/webp",
    "png": "image/png",
    "jpg": "image/jpeg",
    "wav": "audio/wav",
    "mp3": "audio/mpeg",
    "flac": "audio/flac",
}


# Files beyond those that were asked for, which a fault plan can have a prediction show.
_EXTRA = re.compile(r"extra-[1-9]\.(\w+)")


def with_extras(files: Sequence[str], count: int) -> list[str]:
    """Return the first file's name and those of extra files beside it, ``count`` in all."""
    extension = files[0].rpartition(".")[2]
    return [files[0], *(f"extra-{number}.{extension}" for number in range(1, count))]


def is_file_of(files: Sequence[str], name: str) -> bool:
    """Return whether a prediction with these files delivers one of this name."""
    extra = _EXTRA.fullmatch(name)
    return name in files or (
        extra is not None and any(file.endswith(f".{extra[1]}") for file in files)
    )


def resolved(model: Model, inputs: Mapping[str, JsonValue], name: str) -> JsonValue:
    """Return an input as the model sees it: as sent, else the provider's default."""
    spec = model.inputs.get(name)
    default = spec.default if spec is not None else None
    sent = inputs.get(name)
    return default if sent is None else sent


def planned_output(model: Model, inputs: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Return ``{"shape": ..., "key": ..., "files": [...]}``, what a success will deliver."""
    extension = _extension(model, inputs)
    if model.output is OutputShape.LIST:
        count = resolved(model, inputs, model.count_input) if model.count_input else 1
        count = count if isinstance(count, int) else 1
        files = [f"out-{number}.{extension}" for number in range(count)]
    else:
        files = [f"output.{extension}"]
    return {"shape": str(model.output), "key": model.output_key, "files": list(files)}


def _extension(model: Model, inputs: Mapping[str, JsonValue]) -> str:
    asked = next(
        (
            value
            for name in ("output_format", "audio_format")
            if isinstance(value := resolved(model, inputs, name), str)
        ),
        "",
    )
    asked = {"jpeg": "jpg"}.get(asked.lower(), asked.lower())
    if asked in MIME_TYPES and MIME_TYPES[asked].startswith(model.kind.value):
        return asked
    if model.kind is Kind.IMAGE:
        return "png"
    # The official speech and music models deliver mp3; Kokoro and Bark deliver wav.
    return "mp3" if model.official else "wav"
