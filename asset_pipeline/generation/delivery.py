"""From a succeeded prediction to a verified, stored file; retried as a download only."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

from pydantic import JsonValue

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.catalog.spec import Model, OutputShape
from asset_pipeline.clock import Clock
from asset_pipeline.generation.decoding import Decoders
from asset_pipeline.generation.failures import ErrorClass, GenerationFailure, StoreFailure
from asset_pipeline.generation.previews import PreviewShelf
from asset_pipeline.generation.timing import Timing
from asset_pipeline.ledger.records import Intent, StoredFile
from asset_pipeline.media.bad_media import BadMediaError
from asset_pipeline.media.preview import Preview
from asset_pipeline.media.probe import MediaInfo
from asset_pipeline.providers.prediction import Prediction
from asset_pipeline.providers.protocol import (
    NotFoundError,
    Provider,
    ProviderError,
    TooLargeError,
    UnavailableError,
)
from asset_pipeline.stores.protocol import Store, StoreError, StoreUnavailableError, clip_key

MAX_BYTES = {Kind.IMAGE: 64 * 1024 * 1024, Kind.AUDIO: 256 * 1024 * 1024}

# A file that fails to verify may have been spoilt on the way: it is fetched this often before
# the output itself is blamed. A gone file is asked for as often, as a 404 may be a moment's lag.
_FETCHES = 3
_FIRST_WAIT = 1.0
_LONGEST_WAIT = 30.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Delivery:
    """A file that is whole in the store, not recorded in the ledger yet."""

    stored: StoredFile
    preview: Preview


class Deliverer:
    """Fetches, verifies and stores outputs.

    Args:
        provider: Where outputs are downloaded from.
        store: Where clips live.
        shelf: Where previews are kept.
        scratch: The folder for downloads until they are verified.
        decoders: Verify files and draw previews.
        storing: Runs the store's blocking calls.
        clock: For waiting.
        timing: For how long.
    """

    def __init__(
        self,
        provider: Provider,
        store: Store,
        shelf: PreviewShelf,
        scratch: Path,
        *,
        decoders: Decoders,
        storing: Executor,
        clock: Clock,
        timing: Timing,
    ) -> None:
        self._provider = provider
        self._store = store
        self._shelf = shelf
        self._scratch = scratch
        self._decoders = decoders
        self._storing = storing
        self._clock = clock
        self._timing = timing

    def expect(self) -> None:
        """Get ready for an output: its prediction runs."""
        self._decoders.expect()

    async def fetch(self, intent: Intent, model: Model, prediction: Prediction) -> Delivery:
        """Bring a succeeded prediction's output into the store.

        Raises:
            GenerationFailure: Class bad_output, content_policy or output_expired when there is no
                clip to be had.
            StoreFailure: The store fails; the fetch may be repeated.
        """
        url = _output_url(model, prediction)
        target = self._scratch / f"{intent.intent_id}.part"
        try:
            self._scratch.mkdir(parents=True, exist_ok=True)
            info, preview = await self._verified(intent, url, target)
            return await self._put(intent, target, info, preview)
        except OSError as error:
            raise StoreFailure(f"{self._scratch}: {error.strerror or error}") from error
        finally:
            target.unlink(missing_ok=True)

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
            self._scratch.mkdir(parents=True, exist_ok=True)
            await self._patiently(lambda: self._store.get(key, target))
            return (await self._decoders.examine(target, kind))[1]
        except (StoreError, BadMediaError) as error:
            raise StoreFailure(f"{key}: {error.message}") from error
        except OSError as error:
            raise StoreFailure(f"{self._scratch}: {error.strerror or error}") from error
        finally:
            target.unlink(missing_ok=True)

    async def _verified(self, intent: Intent, url: str, target: Path) -> tuple[MediaInfo, Preview]:
        flaw = ""
        for _ in range(_FETCHES):
            await self._download(intent, url, target)
            try:
                return await self._decoders.examine(target, intent.kind)
            except BadMediaError as error:
                # The name of a temporary file says nothing to a person.
                flaw = error.message.replace(target.name, "the output")
        raise GenerationFailure(
            ErrorClass.BAD_OUTPUT, flaw, cause="verification", prediction_id=intent.prediction_id
        )

    async def _download(self, intent: Intent, url: str, target: Path) -> None:
        completed = intent.completed_at or self._clock.now()
        expiry = completed + timedelta(seconds=self._timing.retention)
        wait, missing = _FIRST_WAIT, 0
        while True:
            try:
                await self._provider.download(url, target, max_bytes=MAX_BYTES[intent.kind])
            except TooLargeError as error:
                raise self._failure(ErrorClass.BAD_OUTPUT, "size", error, intent) from None
            except NotFoundError as error:
                missing += 1
                if missing >= _FETCHES:
                    raise self._failure(
                        ErrorClass.OUTPUT_EXPIRED, "download", error, intent
                    ) from None
            except UnavailableError as error:
                if self._clock.now() > expiry:
                    raise self._failure(
                        ErrorClass.OUTPUT_EXPIRED, "download", error, intent
                    ) from None
            else:
                return
            await self._clock.sleep(wait)
            wait = min(wait * 2, _LONGEST_WAIT)

    async def _put(
        self, intent: Intent, source: Path, info: MediaInfo, preview: Preview
    ) -> Delivery:
        key = clip_key(intent.kind, info.sha256, info.extension)
        try:
            stored = await self._patiently(
                lambda: self._store.put(key, source, sha256=info.sha256, content_type=info.mime)
            )
        except StoreError as error:
            raise StoreFailure(error.message, prediction_id=intent.prediction_id) from error
        return Delivery(
            StoredFile(
                object_key=key,
                object_uri=stored.uri,
                sha256=info.sha256,
                bytes=info.bytes,
                mime=info.mime,
                width=info.width,
                height=info.height,
                duration_seconds=info.duration_seconds,
            ),
            preview,
        )

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
            wait = min(wait * 2, _LONGEST_WAIT)

    async def _in(self, executor: Executor, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(executor, work)

    def _failure(
        self, found: ErrorClass, at: str, error: ProviderError, intent: Intent
    ) -> GenerationFailure:
        cause = at if error.status is None else f"{at}: HTTP {error.status}"
        return GenerationFailure(
            found, error.message, cause=cause, prediction_id=intent.prediction_id
        )


def _output_url(model: Model, prediction: Prediction) -> str:
    """Find the one file in an output, whichever of its four shapes it has."""
    output: JsonValue = prediction.output
    if prediction.data_removed or output is None:
        raise GenerationFailure(
            ErrorClass.OUTPUT_EXPIRED if prediction.data_removed else ErrorClass.BAD_OUTPUT,
            "the prediction has no output (any more)",
            cause="data_removed" if prediction.data_removed else "no output",
            prediction_id=prediction.prediction_id,
        )
    if model.output is OutputShape.LIST and isinstance(output, list):
        if not output:
            raise GenerationFailure(
                ErrorClass.CONTENT_POLICY,
                "the model dropped its output as unsafe",
                cause="an empty list",
                prediction_id=prediction.prediction_id,
            )
        output = output[0]
    elif model.output is OutputShape.OBJECT and isinstance(output, dict):
        output = output.get(model.output_key or "")
    if not isinstance(output, str) or not output.startswith(("https://", "http://")):
        raise GenerationFailure(
            ErrorClass.BAD_OUTPUT,
            f"the output is no {model.output} file URL: {str(prediction.output)[:100]}",
            cause="output type",
            prediction_id=prediction.prediction_id,
        )
    return output
