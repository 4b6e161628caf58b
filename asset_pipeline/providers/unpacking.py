"""An answer's body, unpacked in small steps: what comes out is bounded, not only what comes in.

We ask for no packing. A server that packs all the same is understood when it did so once, by gzip
or deflate: a body packed several times turned 13 kB into 3.5 GB.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncGenerator

import httpx

# What one step may unpack to; zlib keeps the rest for the next one.
_STEP = 256 * 1024

_GZIP = zlib.MAX_WBITS | 16
_ZLIB = zlib.MAX_WBITS
_RAW = -zlib.MAX_WBITS

_WINDOWS = {"gzip": _GZIP, "x-gzip": _GZIP, "deflate": _ZLIB}

# Anything else is a storage's own word, such as aws-chunked, for bytes that are as they were.
_REFUSED = frozenset({"br", "zstd", "compress", "x-compress"})


async def unpacked(response: httpx.Response) -> AsyncGenerator[bytes]:
    """Yield a body piece by piece, each of 256 KiB at the most once it is unpacked.

    Raises:
        httpx.DecodingError: It is packed in another way, more than once, or wrongly.
    """
    packings = _packings(response.headers.get("content-encoding", ""))
    if not packings:
        async for chunk in response.aiter_raw():
            yield chunk
        return
    unpacker = _Unpacker(packings[0])
    async for chunk in response.aiter_raw():
        waiting = chunk
        while waiting and not unpacker.is_over:
            piece, waiting = unpacker.step(waiting)
            if piece:
                yield piece
    if not unpacker.is_over:
        raise httpx.DecodingError("a packed answer that was cut short")


def _packings(header: str) -> list[str]:
    named = [each.strip().lower() for each in header.split(",")]
    packings = [each for each in named if each in _WINDOWS or each in _REFUSED]
    if len(packings) > 1:
        raise httpx.DecodingError("an answer that is packed more than once")
    if packings and packings[0] in _REFUSED:
        raise httpx.DecodingError(f"an answer packed by {packings[0]}, which was not asked for")
    return packings


class _Unpacker:
    def __init__(self, packing: str) -> None:
        self._window = _WINDOWS[packing]
        self._zlib = zlib.decompressobj(self._window)
        self._has_begun = False

    @property
    def is_over(self) -> bool:
        return self._zlib.eof

    def step(self, packed: bytes) -> tuple[bytes, bytes]:
        """Return some of what is unpacked, and what is still packed."""
        try:
            piece = self._zlib.decompress(packed, _STEP)
        except zlib.error as error:
            if self._has_begun or self._window != _ZLIB:
                raise httpx.DecodingError(f"an answer that can't be unpacked: {error}") from error
            # Some servers take "deflate" for the bare format, without its header.
            self._window, self._zlib = _RAW, zlib.decompressobj(_RAW)
            return self.step(packed)
        self._has_begun = True
        return piece, self._zlib.unconsumed_tail
