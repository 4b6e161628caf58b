"""The two kinds of clip."""

from __future__ import annotations

from enum import StrEnum


class Kind(StrEnum):
    """What a prompt makes; also the name of the Dagster asset."""

    IMAGE = "image"
    AUDIO = "audio"
