"""The orphan-spend audit: what the provider made and no intent asked for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from asset_pipeline.catalog.reader import Catalog
from asset_pipeline.catalog.spec import Model
from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.generation.billing import charge_for
from asset_pipeline.ledger.decisions import Orphan
from asset_pipeline.ledger.ledger import Ledger
from asset_pipeline.ledger.records import Intent
from asset_pipeline.providers.prediction import Prediction
from asset_pipeline.providers.protocol import Provider


@dataclass(frozen=True, slots=True)
class OrphanReport:
    """What a listing since a time held.

    Attributes:
        listed: Predictions in the listing.
        recorded: Orphans that were written to the ledger now.
        known: Predictions that belong to an intent, orphans of earlier audits among them.
        running: Predictions without an owner that have not ended; the next audit prices them.
        waiting: Predictions that may belong to an intent whose reply is still looked for.
        unpriced: Ids of ended ones whose model the catalog can't price; a person has to.
    """

    listed: int
    recorded: tuple[Orphan, ...]
    known: int
    running: int
    waiting: int
    unpriced: tuple[str, ...]


async def audit_orphans(
    provider: Provider, ledger: Ledger, catalog: Catalog, since: datetime
) -> OrphanReport:
    """List everything that the provider made since a time and record what no intent asked for.

    Raises:
        UnavailableError: The provider could not list everything; nothing was recorded.
    """
    predictions = [prediction async for prediction in provider.list_since(since)]
    waiting, owned = ledger.reconciliation_view(
        prediction.prediction_id for prediction in predictions
    )
    recorded: list[Orphan] = []
    unpriced: list[str] = []
    running = undecided = 0
    for prediction in predictions:
        if prediction.prediction_id in owned:
            continue
        if not prediction.status.is_terminal:
            running += 1
        elif any(_may_be(prediction, intent) for intent in waiting):
            undecided += 1
        else:
            orphan = _priced(prediction, catalog, fallback=since)
            if orphan is None:
                unpriced.append(prediction.prediction_id)
            elif ledger.record_orphan(orphan):
                recorded.append(orphan)
    return OrphanReport(
        listed=len(predictions),
        recorded=tuple(recorded),
        known=len(owned),
        running=running,
        waiting=undecided,
        unpriced=tuple(unpriced),
    )


def _may_be(prediction: Prediction, intent: Intent) -> bool:
    same_version = intent.version is not None and prediction.version == intent.version
    return prediction.model == intent.model or same_version


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
