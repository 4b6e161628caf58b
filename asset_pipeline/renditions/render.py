"""Making the files of renditions from one decoded original."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from asset_pipeline.media.image_renditions import ready_to_render, render_picture
from asset_pipeline.media.probe import Examined, MediaInfo
from asset_pipeline.prompts.rendition_specs import AudioRendition, ImageRendition, Renditions


@dataclass(frozen=True, slots=True)
class Made:
    """A rendition's file, and what was measured in it; None for pictures and for what is too quiet.

    Attributes:
        note: Why a target was not reached; empty when it was.
    """

    path: Path
    info: MediaInfo
    loudness_lufs: float | None = None
    true_peak_dbtp: float | None = None
    gain_db: float | None = None
    note: str = ""


def make_renditions(
    original: Path, examined: Examined, settings: Renditions
) -> Iterator[tuple[str, Made]]:
    """Yield each rendition by its name; its file is the caller's until the next is asked for.

    Args:
        original: A verified clip; the files are written beside it.
        examined: What was found in it.
        settings: By name, those of the clip's kind.

    Raises:
        BadMediaError: It cannot be rendered.
    """
    target = original.with_name("rendition")
    if examined.picture is not None:
        picture = ready_to_render(examined.picture)
        for name, setting in settings.items():
            if isinstance(setting, ImageRendition):
                yield name, Made(target, render_picture(picture, target, setting))
    elif settings:
        yield from _sounds(original, target, settings)


def _sounds(original: Path, target: Path, settings: Renditions) -> Iterator[tuple[str, Made]]:
    # SciPy takes 0.3 s to import, and pictures have no use for it.
    from asset_pipeline.media.audio_renditions import render_sound  # noqa: PLC0415
    from asset_pipeline.media.loudness import measure  # noqa: PLC0415

    source = measure(original)
    for name, setting in settings.items():
        if isinstance(setting, AudioRendition):
            made = render_sound(original, source, target, setting)
            yield (
                name,
                Made(
                    target,
                    made.info,
                    loudness_lufs=_measured(made.loudness.integrated_lufs),
                    true_peak_dbtp=_measured(made.loudness.true_peak_dbtp),
                    gain_db=round(made.gain_db, 2),
                    note=made.note,
                ),
            )


def _measured(decibels: float) -> float | None:
    return round(decibels, 2) if math.isfinite(decibels) else None
