"""Which renditions a collection wants of its clips: names, sizes, formats, loudness."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.config.error_messages import complaint
from asset_pipeline.config.yaml_source import FieldPath

PictureFormat = Literal["webp", "avif", "jpg"]
SoundFormat = Literal["mp3", "opus", "flac", "wav"]

# Raise it when the same setting would give another file: all renditions are then made anew.
_RECIPES = "1"

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}", re.ASCII)
_NAME_RULE = "1 to 32 lower-case letters, digits and hyphens, such as web or web-avif"


class _Written(BaseModel):
    # Strict, as all of a collection file: a guess here is a file that nobody asked for.
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class ImageRendition(_Written):
    """A copy of a picture: never larger than the original, in sRGB, without metadata.

    Attributes:
        max_side: Longest side in pixels.
        quality: The encoder's own scale; 82 is where WebP and JPEG stop showing on photographs.
    """

    format: PictureFormat
    max_side: int = Field(ge=16, le=8192)
    quality: int = Field(default=82, ge=1, le=100)

    @property
    def recipe(self) -> str:
        """The settings that determine the file, as one string."""
        return f"{_RECIPES}:{self.format}:{self.max_side}px:q{self.quality}"


class AudioRendition(_Written):
    """A copy of a sound at a target loudness.

    Attributes:
        loudness_lufs: Integrated loudness (ITU-R BS.1770) to bring it to; -16 suits the web and
            podcasts, broadcasters ask for -23.
        true_peak_dbtp: What the peaks between the samples stay under, after encoding too.
    """

    format: SoundFormat
    loudness_lufs: float = Field(default=-16.0, ge=-40, le=-5)
    true_peak_dbtp: float = Field(default=-1.0, ge=-20, le=0)

    @property
    def recipe(self) -> str:
        """The settings that determine the file, as one string."""
        return f"{_RECIPES}:{self.format}:{self.loudness_lufs:g}LUFS:{self.true_peak_dbtp:g}dBTP"


Rendition = ImageRendition | AudioRendition

Renditions = Mapping[str, Rendition]
"""Renditions by their names."""

DEFAULTS: Mapping[Kind, Renditions] = {
    Kind.IMAGE: {
        "thumbnail": ImageRendition(format="webp", max_side=256),
        "web": ImageRendition(format="webp", max_side=1024),
        "print": ImageRendition(format="jpg", max_side=8192, quality=95),
    },
    Kind.AUDIO: {
        "web": AudioRendition(format="mp3"),
        "master": AudioRendition(format="flac"),
    },
}
"""What a collection gets that says nothing."""

_SPECS: Mapping[Kind, type[Rendition]] = {Kind.IMAGE: ImageRendition, Kind.AUDIO: AudioRendition}


def read_renditions(
    kind: Kind, written: Mapping[str, JsonValue] | None
) -> tuple[Renditions, list[tuple[FieldPath, str, str]]]:
    """Return a collection's renditions, and what is wrong with those that are left out.

    Args:
        kind: What the collection makes.
        written: The file's ``renditions``; None for the kind's defaults, empty for none at all.

    Returns:
        The renditions; and place, message and hint of each thing wrong.
    """
    if written is None:
        return DEFAULTS[kind], []
    spec = _SPECS[kind]
    read: dict[str, Rendition] = {}
    wrong: list[tuple[FieldPath, str, str]] = []
    for name, setting in written.items():
        if not _NAME.fullmatch(name):
            wrong.append(((name,), f"{name!r} is no name of a rendition.", f"It is {_NAME_RULE}."))
            continue
        try:
            read[name] = spec.model_validate(setting)
        except ValidationError as error:
            wrong.extend(
                ((name, *issue["loc"]), *complaint(issue, spec.model_fields))
                for issue in error.errors(include_url=False)
            )
    return read, wrong
