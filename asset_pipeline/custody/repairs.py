"""Mending what a check found: the file is fetched again while the provider has it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path

from asset_pipeline.catalog.pricing import UnpricedModelError
from asset_pipeline.catalog.reader import Catalog
from asset_pipeline.catalog.terms import Terms, terms_of
from asset_pipeline.clock import Clock
from asset_pipeline.custody.scratch import scratch_file
from asset_pipeline.custody.store_check import SET_ASIDE
from asset_pipeline.files import sha256_of
from asset_pipeline.generation.failures import GenerationFailure
from asset_pipeline.generation.payment.delivery import Deliverer
from asset_pipeline.generation.timeouts import Timeouts
from asset_pipeline.ledger.records import Intent
from asset_pipeline.media.decoder_pool import DecoderLimits, DecoderPool
from asset_pipeline.media.preview_cache import PreviewCache
from asset_pipeline.providers.prediction import Prediction, PredictionStatus
from asset_pipeline.providers.protocol import NotFoundError, Provider, UnavailableError
from asset_pipeline.stores.protocol import ObjectNotFoundError, Store

# The provider keeps outputs by its own clock.
_SLACK = timedelta(minutes=5)


class Mended(StrEnum):
    """What became of an object that was missing or damaged."""

    REPAIRED = "repaired"
    GONE = "gone"  # nothing has it any more
    UNDECIDED = "undecided"  # the provider or the store did not answer


@dataclass(frozen=True, slots=True)
class Repairs:
    """What repairs are made with.

    Attributes:
        previews: The folder of kept previews.
        scratch: The folder for downloads.
        decoder_limits: What one file may take.
    """

    store: Store
    catalog: Catalog
    previews: Path
    scratch: Path
    clock: Clock
    timing: Timeouts
    decoder_limits: DecoderLimits = field(default_factory=DecoderLimits)

    async def mend(self, provider: Provider, intent: Intent, sha256: str) -> Mended:
        """Fetch an intent's output again and put it in its place.

        The store must have nothing under the key any more, or the very file.
        """
        terms = intent.terms or self._listed_terms(intent)
        if terms is None or intent.prediction_id is None or not self.is_kept(intent):
            return Mended.GONE
        try:
            prediction = await provider.get(intent.prediction_id)
        except NotFoundError:
            return Mended.GONE
        except UnavailableError:
            return Mended.UNDECIDED
        return await self._fetch(provider, intent, terms, prediction, sha256)

    async def _fetch(
        self, provider: Provider, intent: Intent, terms: Terms, prediction: Prediction, sha256: str
    ) -> Mended:
        if prediction.status is not PredictionStatus.SUCCEEDED:
            return Mended.GONE
        decoders = DecoderPool(1, self.previews, self.decoder_limits)
        with ThreadPoolExecutor(1, "mend") as worker:
            deliverer = Deliverer(
                provider,
                self.store,
                PreviewCache(self.previews),
                self.scratch,
                decoders=decoders,
                storing=worker,
                clock=self.clock,
                # A check may have thousands of objects before it: the next one asks again.
                timing=replace(self.timing, delivery_patience=0.0),
            )
            try:
                verified = await deliverer.fetch(intent, terms, prediction)
                if verified.noted.stored.sha256 != sha256:
                    return Mended.GONE
                await deliverer.store(intent, verified)
            except GenerationFailure as failure:
                return Mended.UNDECIDED if failure.leaves_open else Mended.GONE
            finally:
                deliverer.discard(intent.intent_id)
                await decoders.aclose()
        return Mended.REPAIRED

    def _listed_terms(self, intent: Intent) -> Terms | None:
        """Return the terms of a payment of an earlier release, if its model is still known."""
        model = self.catalog.models.get(intent.model)
        if model is None:
            return None
        try:
            return terms_of(model, intent.inputs, on=intent.created_at.date())
        except UnpricedModelError:
            return None

    def is_kept(self, intent: Intent) -> bool:
        """Tell whether the provider may still have an intent's output."""
        kept = timedelta(seconds=self.timing.retention) + _SLACK
        ended: datetime | None = intent.completed_at
        return ended is not None and self.clock.now() - ended < kept


def set_aside(store: Store, key: str, scratch: Path) -> None:
    """Move a damaged object to a key of its own.

    Its key is then free for the file itself. A damaged file may still be of use to a person.

    Raises:
        StoreError: It can't be read or written.
    """
    with scratch_file(scratch) as copy:
        try:
            store.get(key, copy)
        except ObjectNotFoundError:
            return
        found = sha256_of(copy)
        kept = f"{SET_ASIDE}{found[:2]}/{found}.{key.rpartition('.')[2]}"
        store.put(kept, copy, sha256=found, content_type="application/octet-stream")
    store.delete(key)
