"""Pictures of clips for a grid: sharp at the size they are shown at, and the shapes of sounds.

They are made once and kept by the clip's content; everything here can be made again.
"""

from __future__ import annotations

import asyncio
import io
import json
import tempfile
from collections.abc import Callable
from enum import IntEnum
from pathlib import Path

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.files import write_atomically
from asset_pipeline.ledger.records import Clip
from asset_pipeline.media.bad_media import BadMediaError, BadMediaReason
from asset_pipeline.media.formats import HEAD_BYTES, sniff
from asset_pipeline.media.pictures import in_srgb, open_picture, upright
from asset_pipeline.media.preview_cache import PreviewCache
from asset_pipeline.stores.protocol import Store


class Side(IntEnum):
    """How many pixels a picture is wide or high at the most."""

    SMALL = 320  # of the previews that are drawn as clips land
    MEDIUM = 640
    LARGE = 1280


# One bar a pixel of the widest waveform.
_BARS = 400
_LOUDEST = 255

# WebP's effort: 2 takes half of the default's time, for a file a twentieth larger.
_EFFORT = 2
_QUALITY = 82

# Such a file is on the screen before a smaller one of it would be drawn.
_SMALL_FILE = 64 * 1024
_WEBP = "image/webp"

# A picture is 820 MB at the most while it is decoded.
_AT_ONCE = 2


class ClipPictures:
    """Makes and keeps them.

    Args:
        folder: Of the previews; these lie beside them.
        store: Has the clips.
    """

    def __init__(self, folder: Path, store: Store) -> None:
        self._previews = PreviewCache(folder)
        self._folder = folder / "desk"
        self._store = store
        self._turns = asyncio.Semaphore(_AT_ONCE)

    def is_of(self, store: Store) -> bool:
        """Tell whether these are the pictures of a store's clips."""
        return store is self._store

    async def picture(self, clip: Clip, side: Side) -> tuple[bytes, str]:
        """Return a picture and its MIME type: at least so many pixels wide or high, if it has them.

        Raises:
            BadMediaError: It can't be decoded.
            StoreError: The store does not give it.
        """
        if clip.bytes <= _SMALL_FILE:
            return await asyncio.to_thread(self._whole, clip), clip.mime
        if side is Side.SMALL:
            # Drawn when the clip landed.
            kept = await asyncio.to_thread(self._previews.get, clip.sha256)
            if kept is not None:
                return kept.webp, _WEBP
        made = await self._kept(clip, f"{side.value}.webp", lambda path: _drawn(path, side))
        return made, _WEBP

    async def peaks(self, clip: Clip) -> tuple[bytes, str]:
        """Return the shape of a sound and its MIME type: a JSON list of numbers from 0 to 255.

        Raises:
            BadMediaError: It can't be decoded.
            StoreError: The store does not give it.
        """
        return await self._kept(clip, "peaks.json", _shape), "application/json"

    async def _kept(self, clip: Clip, ending: str, make: Callable[[Path], bytes]) -> bytes:
        target = self._folder / clip.sha256[:2] / f"{clip.sha256}-{ending}"
        kept = await asyncio.to_thread(_read, target)
        if kept:
            return kept
        async with self._turns:
            return await asyncio.to_thread(self._make, clip, target, make)

    def _whole(self, clip: Clip) -> bytes:
        return b"".join(self._store.read(clip.object_key))

    def _make(self, clip: Clip, target: Path, make: Callable[[Path], bytes]) -> bytes:
        with tempfile.TemporaryDirectory(prefix="desk-") as folder:
            path = Path(folder) / "clip"
            self._store.get(clip.object_key, path)
            made = make(path)
        write_atomically(target, made, durable=False, private=True)
        return made


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _drawn(path: Path, side: int) -> bytes:
    with path.open("rb") as file:
        media_format = sniff(file.read(HEAD_BYTES))
    if media_format is None or media_format.kind is not Kind.IMAGE:
        raise BadMediaError("The clip's file is no picture.", BadMediaReason.WRONG_TYPE)
    with open_picture(path, media_format) as image:
        # JPEG decodes to a part of its size at once.
        image.draft("RGB", (side, side))
        picture = in_srgb(upright(image))
        picture.thumbnail((side, side))
        encoded = io.BytesIO()
        picture.save(encoded, "WEBP", quality=_QUALITY, method=_EFFORT)
    return encoded.getvalue()


def _shape(path: Path) -> bytes:
    from asset_pipeline.media.sounds import peaks  # noqa: PLC0415 -- NumPy, for sound alone

    heights = peaks(path, _BARS)
    # The loudest bar is as high as the card: a quiet clip shows its shape as well as a loud one.
    loudest = max(heights) or 1.0
    return json.dumps([round(height / loudest * _LOUDEST) for height in heights]).encode()
