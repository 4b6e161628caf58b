"""Delivery: from a succeeded prediction to a verified, stored file.

A file that was verified once is kept until its clip is on record: a store that is away for hours,
or a process that dies between the store and the ledger, costs neither a download nor a payment.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.catalog.terms import Terms
from asset_pipeline.clock import Clock
from asset_pipeline.files import make_private_folder, sha256_of
from asset_pipeline.generation.failures import StoreFailure
from asset_pipeline.generation.payment.fetcher import Fetcher
from asset_pipeline.generation.payment.output_search import Searcher
from asset_pipeline.generation.timeouts import Timeouts
from asset_pipeline.ledger.records import Intent, NotedFile, StoredFile
from asset_pipeline.media.bad_media import BadMediaError
from asset_pipeline.media.decoder_pool import DecoderPool
from asset_pipeline.media.preview import Preview
from asset_pipeline.media.preview_cache import PreviewCache
from asset_pipeline.providers.prediction import Prediction
from asset_pipeline.providers.protocol import Provider
from asset_pipeline.stores.protocol import Store, StoreError, StoreUnavailableError, clip_key

_FIRST_WAIT = 1.0
_LONGEST_STORE_WAIT = 30.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class VerifiedFile:
    """A verified file that is not recorded yet; it may be stored already.

    Attributes:
        noted: What the ledger notes before the file is put into the store.
        path: The file on this machine; None when the store has it.
        web_url: The provider's page of the prediction, where it was asked.
    """

    noted: NotedFile
    preview: Preview
    path: Path | None
    web_url: str = ""


class Deliverer:
    """Fetches, verifies and stores outputs.

    Args:
        provider: Where outputs are downloaded from.
        store: Where clips live.
        shelf: Where previews are kept.
        scratch: The folder for downloads, and for verified files until their clips are recorded.
        decoders: Verify files and draw previews.
        storing: Runs the store's blocking calls.
        clock: For waiting.
        timing: For how long.
    """

    def __init__(
        self,
        provider: Provider,
        store: Store,
        shelf: PreviewCache,
        scratch: Path,
        *,
        decoders: DecoderPool,
        storing: Executor,
        clock: Clock,
        timing: Timeouts,
    ) -> None:
        self._store = store
        self._shelf = shelf
        self._scratch = scratch
        self._decoders = decoders
        self._searcher = Searcher(
            provider, Fetcher(provider, decoders, clock), scratch, clock=clock, timing=timing
        )
        self._storing = storing
        self._clock = clock
        self._timing = timing

    def expect(self) -> None:
        """Get ready for an output: its prediction runs."""
        self._decoders.expect()

    async def kept(self, intent: Intent) -> VerifiedFile | None:
        """Return the verified file noted in an intent, if the store or this machine has it.

        Nothing is asked of the provider, so its hour does not matter.

        Raises:
            StoreFailure: The store can't say.
        """
        noted = intent.noted
        if noted is None:
            return None
        try:
            make_private_folder(self._scratch)
            preview = await self._stored_before(intent.kind, noted.stored)
            if preview is not None:
                return VerifiedFile(noted, preview, None)
            path = self._kept_path(intent.intent_id)
            preview = await self._checked(path, intent.kind, noted.stored.sha256)
            return None if preview is None else VerifiedFile(noted, preview, path)
        except OSError as error:
            raise StoreFailure(f"{self._scratch}: {error.strerror or error}") from error

    async def fetch(
        self, intent: Intent, terms: Terms, prediction: Prediction | None
    ) -> VerifiedFile:
        """Fetch and verify a succeeded prediction's output, retrying while it may still come.

        The file stays on this machine until :meth:`discard`.

        Args:
            intent: Charged.
            terms: Say where in the output the file is expected.
            prediction: As it ended; None to ask for it.

        Raises:
            LateFileFailure: Not now; the intent stays open.
            GenerationFailure: Never: bad_output, content_policy or output_expired, or as the
                prediction itself ended.
            StoreFailure: This machine can't write the file.
        """
        try:
            make_private_folder(self._scratch)
            found = await self._searcher.find(intent, terms, prediction)
            path = self._kept_path(intent.intent_id)
            found.file.path.replace(path)
        except OSError as error:
            raise StoreFailure(f"{self._scratch}: {error.strerror or error}") from error
        info = found.file.info
        key = clip_key(intent.kind, info.sha256, info.extension)
        stored = StoredFile(
            object_key=key,
            object_uri=self._store.uri(key),
            sha256=info.sha256,
            bytes=info.bytes,
            mime=info.mime,
            width=info.width,
            height=info.height,
            duration_seconds=info.duration_seconds,
        )
        noted = NotedFile(stored, found.lineage)
        return VerifiedFile(noted, found.file.preview, path, found.web_url)

    async def store(self, intent: Intent, verified: VerifiedFile) -> StoredFile:
        """Put a verified file into the store, unless it is there.

        Raises:
            StoreFailure: The store fails; the file stays on this machine.
        """
        stored, path = verified.noted.stored, verified.path
        if path is None:
            return stored
        try:
            put = await self._patiently(
                lambda: self._store.put(
                    stored.object_key, path, sha256=stored.sha256, content_type=stored.mime
                )
            )
        except StoreError as error:
            raise StoreFailure(error.message, prediction_id=intent.prediction_id) from error
        return replace(stored, object_uri=put.uri)

    def discard(self, intent_id: str) -> None:
        """Remove the verified file of an intent that has ended."""
        # A file that stays is removed by a later sweep.
        with contextlib.suppress(OSError):
            self._kept_path(intent_id).unlink(missing_ok=True)

    async def preview_of(self, kind: Kind, key: str, sha256: str) -> Preview:
        """Return the preview of a stored clip, reading the clip only when the shelf lacks it.

        Raises:
            StoreFailure: The clip can't be read, or is not what it was.
        """
        kept = self._shelf.get(sha256)
        if kept is not None:
            return kept
        # A name of its own: two prompts may show the same clip at the same time.
        target = self._scratch / f"{uuid.uuid4().hex}.preview.part"
        try:
            make_private_folder(self._scratch)
            await self._patiently(lambda: self._store.get(key, target))
            return (await self._decoders.examine(target, kind))[1]
        except (StoreError, BadMediaError) as error:
            raise StoreFailure(f"{key}: {error.message}") from error
        except OSError as error:
            raise StoreFailure(f"{self._scratch}: {error.strerror or error}") from error
        finally:
            target.unlink(missing_ok=True)

    async def _stored_before(self, kind: Kind, stored: StoredFile) -> Preview | None:
        """Return the preview of an object that is whole in the store; None when it is not there."""
        key = stored.object_key
        target = self._scratch / f"{uuid.uuid4().hex}.preview.part"
        try:
            found = await self._patiently(lambda: self._store.head(key))
            if found is None or found.bytes != stored.bytes:
                return None  # what is damaged there is refused by the put
            await self._patiently(lambda: self._store.get(key, target))
            return await self._checked(target, kind, stored.sha256)
        except StoreError as error:
            raise StoreFailure(error.message) from error
        finally:
            target.unlink(missing_ok=True)

    async def _checked(self, path: Path, kind: Kind, sha256: str) -> Preview | None:
        """Return the preview of a file that has a hash; None when it is another or not there."""
        try:
            if await asyncio.to_thread(sha256_of, path) != sha256:
                return None
            return (await self._decoders.examine(path, kind))[1]
        except (FileNotFoundError, BadMediaError):
            return None

    async def _patiently(self, work: Callable[[], T]) -> T:
        """Ask the store, waiting for it while it is away: no thread is held meanwhile.

        Raises:
            StoreError: It refused, or was away for all of our patience.
        """
        deadline = self._clock.monotonic() + self._timing.store_patience
        wait = _FIRST_WAIT
        while True:
            try:
                return await self._in(self._storing, work)
            except StoreUnavailableError:
                if self._clock.monotonic() + wait > deadline:
                    raise
            await self._clock.sleep(wait)
            wait = min(wait * 2, _LONGEST_STORE_WAIT)

    async def _in(self, executor: Executor, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(executor, work)

    def _kept_path(self, intent_id: str) -> Path:
        return self._scratch / f"{intent_id}.clip"
