"""Fetching one file of an output once: download, repair the header, decode."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.clock import Clock
from asset_pipeline.files import sha256_of
from asset_pipeline.generation.payment.output_evidence import FlawKind, Sighting
from asset_pipeline.generation.payment.outputs import Candidate, InlineFile
from asset_pipeline.media.bad_media import BadMediaError, BadMediaReason
from asset_pipeline.media.decoder_pool import DecoderPool
from asset_pipeline.media.formats import HEAD_BYTES, JSON_DOCUMENT, PAGES, describe
from asset_pipeline.media.preview import Preview
from asset_pipeline.media.probe import MediaInfo
from asset_pipeline.providers.protocol import (
    BadAddressError,
    Provider,
    ProviderError,
    TooLargeError,
)
from asset_pipeline.tracing.spans import span

MAX_BYTES = {Kind.IMAGE: 64 * 1024 * 1024, Kind.AUDIO: 256 * 1024 * 1024}

_UNKNOWN_KIND = "an unknown kind of file"


@dataclass(frozen=True, slots=True)
class FetchedFile:
    """A verified file on this machine.

    Attributes:
        received_sha256: Of the bytes as they came, where the header had to be mended.
    """

    path: Path
    info: MediaInfo
    preview: Preview
    received_sha256: str | None


class Fetcher:
    """Looks at files.

    Args:
        provider: Where they are downloaded from.
        decoders: Verify them and draw their previews.
        clock: Stamps the looks.
    """

    def __init__(self, provider: Provider, decoders: DecoderPool, clock: Clock) -> None:
        self._provider = provider
        self._decoders = decoders
        self._clock = clock

    async def look(self, candidate: Candidate, kind: Kind, target: Path) -> FetchedFile | Sighting:
        """Bring a file to ``target`` and verify it; say what came where it is no clip.

        Raises:
            OSError: The file can't be written or read.
        """
        flaw = await self._bring(candidate, kind, target)
        if flaw is not None:
            return flaw
        try:
            with span("verify"):
                info, preview, received = await self._decoders.receive(target, kind)
        except BadMediaError as error:
            return await asyncio.to_thread(self._flaw_of, error, target)
        return FetchedFile(target, info, preview, received)

    async def _bring(self, candidate: Candidate, kind: Kind, target: Path) -> Sighting | None:
        most = MAX_BYTES[kind]
        if isinstance(candidate, InlineFile):
            return await asyncio.to_thread(self._unpack, candidate, most, target)
        try:
            with span("fetch", is_call=True):
                await self._provider.download(candidate.url, target, max_bytes=most)
        except TooLargeError as error:
            return self._sighting(FlawKind.TOO_LARGE, error.message)
        except BadAddressError as error:
            return self._sighting(FlawKind.NOWHERE, error.message)
        except ProviderError as error:
            return self._sighting(FlawKind.AWAY, error.message)
        return None

    def _unpack(self, inline: InlineFile, most: int, target: Path) -> Sighting | None:
        try:
            content = inline.content(most)
        except ValueError as error:
            return self._sighting(FlawKind.OTHER, f"the output is {error}", inline.text[:1000])
        if content is None:
            return self._sighting(FlawKind.TOO_LARGE, f"the output is larger than {most:,} bytes")
        target.write_bytes(content)
        return None

    def _flaw_of(self, error: BadMediaError, path: Path) -> Sighting:
        # Leave out the temporary file's name: users can't do anything with it.
        flaw = error.message.replace(path.name, "the output")
        kind, is_data = FlawKind.OTHER, False
        match error.reason:
            case BadMediaReason.EMPTY if not path.stat().st_size:
                return self._sighting(FlawKind.AWAY, flaw)
            case BadMediaReason.TRUNCATED | BadMediaReason.UNDECODABLE:
                kind = FlawKind.CUT
            case BadMediaReason.WRONG_TYPE:
                with path.open("rb") as file:
                    what = describe(file.read(HEAD_BYTES))
                is_data = what == JSON_DOCUMENT
                kind = _KINDS.get(what, FlawKind.OTHER)
            case _:
                pass
        return self._sighting(kind, flaw, sha256_of(path), is_data=is_data)

    def _sighting(
        self, kind: FlawKind, flaw: str, sha256: str | None = None, *, is_data: bool = False
    ) -> Sighting:
        return Sighting(kind, flaw, self._clock.monotonic(), sha256, is_data)


_KINDS = dict.fromkeys(PAGES, FlawKind.PAGE) | {_UNKNOWN_KIND: FlawKind.CUT}
