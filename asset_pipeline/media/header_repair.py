"""Mending headers of streamed sound, so that what is stored says itself how long it is.

Writers that can't seek back leave stand-ins for what they could not know yet. Players differ in
what they make of those: some play nothing, some show days. No sample is touched.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.files import sha256_of
from asset_pipeline.media import formats
from asset_pipeline.media.bad_media import BadMediaError
from asset_pipeline.media.flac import has_no_length, write_length
from asset_pipeline.media.formats import HEAD_BYTES, sniff
from asset_pipeline.media.mpeg import mend_mp3
from asset_pipeline.media.wav import mend_wav


def mend(path: Path, kind: Kind) -> str | None:
    """Write the true lengths over the stand-ins of a streamed sound file.

    Args:
        path: A file of one's own; it is changed in place.
        kind: What was due: pictures have no such stand-ins.

    Returns:
        The SHA-256 that the file had before; None when nothing had to be mended.
    """
    if kind is not Kind.AUDIO:
        return None
    size = path.stat().st_size
    with path.open("rb") as file:
        media_format = sniff(file.read(HEAD_BYTES))
    before = None
    if media_format in {formats.WAV, formats.MP3}:
        before = _mended_in_place(path, media_format, size)
    elif media_format is formats.FLAC and has_no_length(path):
        before = _with_counted_length(path)
    return before


def _mended_in_place(path: Path, media_format: formats.MediaFormat, size: int) -> str | None:
    before = sha256_of(path)
    mending = mend_wav if media_format is formats.WAV else mend_mp3
    with path.open("r+b") as file:
        return before if mending(file, size) else None


def _with_counted_length(path: Path) -> str | None:
    from asset_pipeline.media import sounds  # noqa: PLC0415 -- NumPy and libsndfile, for sound alone

    # One that can't be decoded is refused by the examination, which says why.
    with contextlib.suppress(BadMediaError):
        frames = sounds.count_frames(path)
        before = sha256_of(path)
        write_length(path, frames)
        return before
    return None
