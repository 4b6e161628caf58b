"""The orphan-spend audit: what the provider made and no intent asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from asset_pipeline.catalog.reader import Catalog
from asset_pipeline.catalog.spec import Model
from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.generation.billing import charge_for
from asset_pipeline.generation.comparing import differences
from asset_pipeline.ledger.audit import Mismatch
from asset_pipeline.ledger.decisions import Orphan
from asset_pipeline.ledger.ledger import Ledger
from asset_pipeline.ledger.reading import LedgerReader
from asset_pipeline.ledger.records import Intent
from asset_pipeline.providers.prediction import Prediction
from asset_pipeline.providers.protocol import Provider

# How far the provider's clock may differ from ours.
_SKEW = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class OrphanReport:
    """What a listing since a time held.

    Attributes:
        listed: Predictions in the listing.
        recorded: Orphans that were written to the ledger now.
        known: Predictions that belong to an intent, orphans of earlier audits among them.
        decided: Predictions that stand for an intent which a person charged by hand.
        running: Predictions without an owner that have not ended; the next audit prices them.
        waiting: Predictions that may belong to an intent whose reply is still looked for.
        unpriced: Ids of ended ones whose model the catalog can't price; a person has to.
        mismatches: What the listing shows that the ledger denies.
    """

    listed: int
    recorded: tuple[Orphan, ...]
    known: int
    decided: int
    running: int
    waiting: int
    unpriced: tuple[str, ...]
    mismatches: tuple[Mismatch, ...] = ()

    @property
    def agrees(self) -> bool:
        """Whether the ledger knew already of everything that has ended."""
        return not self.recorded and not self.unpriced and not self.mismatches


async def audit_orphans(
    provider: Provider, ledger: Ledger, catalog: Catalog, since: datetime
) -> OrphanReport:
    """List everything that the provider made since a time and record what no intent asked for.

    It sees the whole account: whatever else uses the same token is an orphan here.

    Raises:
        UnavailableError: The provider could not list everything; nothing was recorded.
    """
    predictions = [prediction async for prediction in provider.list_since(since)]
    # In this order: an intent that is accepted between the two questions is in both answers, the
    # other way round it would be in neither, and its own prediction would count as an orphan.
    undecided, by_hand = LedgerReader(ledger.engine).without_prediction()
    owned = ledger.owned(prediction.prediction_id for prediction in predictions)
    unowned = [each for each in predictions if each.prediction_id not in owned]
    ended = [each for each in unowned if each.status.is_terminal]
    denied = differences(predictions, owned, LedgerReader(ledger.engine))
    free = [each for each in ended if not any(_may_be(each, intent) for intent in undecided)]
    settled = _settled(by_hand, free)
    recorded: list[Orphan] = []
    unpriced: list[str] = []
    for prediction in free:
        if prediction.prediction_id in settled:
            continue
        orphan = _priced(prediction, catalog, fallback=since)
        if orphan is None:
            unpriced.append(prediction.prediction_id)
        elif ledger.record_orphan(orphan):
            recorded.append(orphan)
    return OrphanReport(
        listed=len(predictions),
        recorded=tuple(recorded),
        known=len(owned),
        decided=len(settled),
        running=len(unowned) - len(ended),
        waiting=len(ended) - len(free),
        unpriced=tuple(unpriced),
        mismatches=tuple(denied),
    )


def _may_be(prediction: Prediction, intent: Intent) -> bool:
    """Tell whether a prediction may be what an intent without one paid for."""
    same_version = intent.version is not None and prediction.version == intent.version
    if not (same_version or prediction.model == intent.model):
        return False
    created = prediction.created_at
    if created is None:
        return True
    earliest = (intent.submitted_at or intent.created_at) - _SKEW
    # After its reply was lost nothing more was sent for it.
    return earliest <= created and (intent.lost_at is None or created <= intent.lost_at + _SKEW)


def _settled(by_hand: Iterable[Intent], free: Sequence[Prediction]) -> frozenset[str]:
    """Return one prediction for each intent that a person charged: it is in the books already."""
    taken: set[str] = set()
    for intent in by_hand:
        fitting = [
            each for each in free if each.prediction_id not in taken and _may_be(each, intent)
        ]
        # The one with the intent's own text, where the provider still shows texts.
        fitting.sort(key=lambda each: intent.prompt_text not in each.inputs.values())
        taken.update(each.prediction_id for each in fitting[:1])
    return frozenset(taken)


def _priced(prediction: Prediction, catalog: Catalog, *, fallback: datetime) -> Orphan | None:
    model = _model_of(prediction, catalog)
    if model is None:
        return None
    created = prediction.created_at or fallback
    text = prediction.inputs.get(model.prompt_input)
    # Inputs vanish after an hour; a price by characters then rests on the metrics alone.
    inputs = {**prediction.inputs, model.prompt_input: text if isinstance(text, str) else ""}
    try:
        charge = charge_for(model, inputs, prediction, on=created.date())
    except AssetPipelineError:
        return None
    return Orphan(
        prediction_id=prediction.prediction_id,
        kind=model.kind,
        model=model.name,
        version=prediction.version,
        prompt_text=text if isinstance(text, str) else "",
        amount=charge.amount,
        price_source=f"orphan, {charge.billed.value}",
        predict_seconds=prediction.metrics.get("predict_time"),
        created_at=created,
        completed_at=prediction.completed_at or created,
    )


def _model_of(prediction: Prediction, catalog: Catalog) -> Model | None:
    known = catalog.models.get(prediction.model)
    if known is not None:
        return known
    versions = {model.version: model for model in catalog.models.values() if model.version}
    return versions.get(prediction.version or "")
