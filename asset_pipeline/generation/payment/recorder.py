"""Recording charges and clips of ended predictions, and reusing stored clips."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from pathlib import Path

from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.generation.classifier import from_prediction
from asset_pipeline.generation.failures import GenerationFailure, StoreFailure
from asset_pipeline.generation.payment.billing import charge_for
from asset_pipeline.generation.payment.context import PaymentContext
from asset_pipeline.generation.request import GenerationRequest, terms_of_intent
from asset_pipeline.ledger.deletion_guard import ObjectRemovedError
from asset_pipeline.ledger.ledger import Payer
from asset_pipeline.ledger.records import Clip, Intent, Reuse
from asset_pipeline.media.preview import Preview
from asset_pipeline.money import MicroUsd
from asset_pipeline.prompts.provenance import ProvenancePolicy
from asset_pipeline.providers.prediction import Prediction, PredictionStatus
from asset_pipeline.tracing.spans import span

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Landed:
    """One clip that is stored and recorded.

    Attributes:
        paid: What this call paid; nothing for a cache hit.
        cached: Whether the clip was there already.
        web_url: The provider's page of the prediction, when this call saw it.
        text: What it was made from, where that is not the prompt's own text.
    """

    clip: Clip
    preview: Preview
    paid: MicroUsd
    cached: bool
    web_url: str = ""
    text: str = ""


class Recorder:
    """Records the result of an accepted prediction and the reuse of stored clips.

    Args:
        with_: The collaborators.
        payer: The run that pays.
    """

    def __init__(self, with_: PaymentContext, payer: Payer) -> None:
        self._with = with_
        self._payer = payer

    async def charge(
        self, request: GenerationRequest, intent: Intent, prediction: Prediction
    ) -> Intent:
        """Write what a prediction that ended cost."""
        terms = terms_of_intent(intent, request.model)
        charge = charge_for(terms, intent.inputs, prediction)
        self._with.checkpoint("ended")
        intent = await self._with.write(
            self._with.ledger.charge,
            intent,
            charge.amount,
            billed=charge.billed,
            predict_seconds=charge.predict_seconds,
            note=charge.note,
        )
        if intent.charge_note:
            _log.warning("The charge of %s: %s.", intent.prediction_id, intent.charge_note)
        self._with.checkpoint("charged")
        return intent

    async def deliver(
        self, request: GenerationRequest, intent: Intent, prediction: Prediction | None
    ) -> Landed:
        """Fetch, verify and store a charged prediction's output, and record the clip.

        If an earlier process verified the file already, it is used and nothing is fetched.

        Args:
            request: What was asked for.
            intent: Charged.
            prediction: As it ended; None where a dead process saw its end.

        Raises:
            GenerationFailure: There is no clip to be had, which is recorded; or, where the failure
                says so (``leaves_open``), none now: then the intent stays open.
        """
        ledger, deliverer = self._with.ledger, self._with.deliverer
        try:
            if prediction is not None and prediction.status is not PredictionStatus.SUCCEEDED:
                raise from_prediction(prediction)
            verified = await deliverer.kept(intent)
            if verified is None:
                terms = terms_of_intent(intent, request.model)
                verified = await deliverer.fetch(intent, terms, prediction)
                self._with.checkpoint("verified")
                intent = await self._with.write(ledger.note_file, intent, verified.noted)
                self._with.checkpoint("noted")
            with span("put"):
                stored = await deliverer.store(intent, verified)
        except GenerationFailure as failure:
            if not failure.leaves_open:
                await self._with.write(ledger.fail, intent, failure.error_class, failure.message)
                deliverer.discard(intent.intent_id)
                self._with.checkpoint("failed")
            raise
        self._with.checkpoint("stored")
        try:
            parents = [*request.parents(), *verified.noted.lineage]
            with span("deliver"):
                clip = await self._with.write(ledger.deliver, intent, stored, parents)
        except ObjectRemovedError as error:
            raise StoreFailure(error.message, prediction_id=intent.prediction_id) from error
        self._with.checkpoint("delivered")
        await self._seal(clip, request.prompt.provenance, verified.path)
        deliverer.discard(intent.intent_id)
        return Landed(
            clip,
            verified.preview,
            paid=intent.charged_microusd,
            cached=False,
            web_url=verified.web_url,
            text=intent.prompt_text if clip.strategy else "",
        )

    async def _seal(self, clip: Clip, policy: ProvenancePolicy, original: Path | None) -> None:
        """Lay the signed manifest beside a clip that has just been recorded.

        The clip is paid, stored and recorded whatever becomes of its manifest.
        """
        stamp = self._with.stamp
        if stamp is None or original is None:
            return
        try:
            records = await asyncio.to_thread(stamp.seal_clip, clip, original, policy)
            await self._with.write(stamp.book.record, records, run_id=self._payer.run_id)
        except Exception as error:  # noqa: BLE001 -- a full disk, a codec: the clip is there
            said = error.message if isinstance(error, AssetPipelineError) else str(error)
            _log.warning(
                "%s has no signed manifest beside it: %s. `asset-pipeline provenance seal` lays "
                "it.",
                clip.object_uri,
                said.rstrip("."),
            )

    async def reuse(self, request: GenerationRequest, clip: Clip) -> Landed:
        """Make a stored clip the prompt's own; it may stand in for what was wanted.

        Raises:
            StoreFailure: The clip can't be read for its preview.
        """
        prompt, ledger = request.prompt, self._with.ledger
        stands_in = clip.generation_hash != request.wanted_hash
        asked_so = clip.generation_hash == request.generation_hash
        use = Reuse(
            prompt.kind,
            prompt.prompt_id,
            prompt.collection,
            request.variant,
            self._payer.run_id,
            variants=prompt.variants,
            wanted_order=self._payer.wanted_order,
            wanted_hash=request.wanted_hash if stands_in else None,
            strategy=None if not stands_in else request.strategy if asked_so else clip.strategy,
        )
        used = await self._with.write(ledger.reuse, clip, use)
        preview = await self._with.deliverer.preview_of(clip.kind, clip.object_key, clip.sha256)
        text = ""
        if stands_in:
            text = (await self._with.write(ledger.intent, clip.intent_id)).prompt_text
        return Landed(used, preview, paid=MicroUsd(0), cached=True, text=text)
