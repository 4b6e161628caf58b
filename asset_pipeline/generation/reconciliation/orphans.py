"""The orphan audit: predictions at the provider that no intent asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from asset_pipeline.catalog.reader import Catalog
from asset_pipeline.catalog.spec import Model
from asset_pipeline.catalog.terms import terms_of
from asset_pipeline.clock import Clock
from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.generation.payment.billing import charge_for
from asset_pipeline.generation.reconciliation.comparison import differences
from asset_pipeline.generation.reconciliation.late_finds import REACH, take_back
from asset_pipeline.generation.reconciliation.matching import Likeness, Window, likeness
from asset_pipeline.generation.request import terms_of_intent
from asset_pipeline.generation.timeouts import Timeouts
from asset_pipeline.ledger.audit import Mismatch
from asset_pipeline.ledger.ledger import Ledger
from asset_pipeline.ledger.manual_resolution import Orphan
from asset_pipeline.ledger.records import Intent
from asset_pipeline.ledger.reports import LedgerReader
from asset_pipeline.providers.listing import gathered
from asset_pipeline.providers.prediction import Prediction
from asset_pipeline.providers.protocol import Provider

# How far the provider's clock may differ from ours beyond what its answers showed, in seconds.
_SKEW = 300.0


class ProviderSilentError(AssetPipelineError):
    """The provider did not list its predictions, so nothing could be compared."""


@dataclass(frozen=True, slots=True)
class OrphanReport:
    """What a listing since a time held.

    Attributes:
        listed: Predictions in the listing.
        recorded: Orphans that were written to the ledger now.
        taken_back: Intents that had been given up as never accepted, and turned up.
        known: Predictions that belong to an intent, orphans of earlier audits among them.
        decided: Predictions that stand for an intent which a person charged by hand.
        running: Predictions without an owner that have not ended; the next audit prices them.
        waiting: Predictions that may belong to an intent whose reply is still looked for.
        unpriced: Ids of ended ones whose model the catalog can't price; a person has to.
        mismatches: What the listing shows that the ledger denies.
        gap: Why the provider may have made more than it lists; empty when it lists all.
    """

    listed: int
    recorded: tuple[Orphan, ...]
    taken_back: tuple[Intent, ...]
    known: int
    decided: int
    running: int
    waiting: int
    unpriced: tuple[str, ...]
    mismatches: tuple[Mismatch, ...] = ()
    gap: str = ""

    @property
    def agrees(self) -> bool:
        """Whether the ledger knew already of everything that has ended."""
        known = not self.recorded and not self.taken_back and not self.unpriced
        return known and not self.mismatches and not self.gap


async def audit_orphans(
    provider: Provider, ledger: Ledger, catalog: Catalog, since: datetime, clock: Clock
) -> OrphanReport:
    """List everything that the provider made since a time and record what no intent asked for.

    It sees the whole account: whatever else uses the same token is an orphan here. What belongs to
    an intent that was given up is no orphan: that intent is taken back, charged and delivered by
    the next run or `reconcile`.

    Raises:
        UnavailableError: The provider could not list everything; nothing was recorded.
    """
    predictions, gap = await gathered(provider, since)
    taken_back = take_back(
        ledger,
        predictions,
        origin=await provider.origin(),
        window=Window(_SKEW, provider.clock_offset(), late=REACH.total_seconds()),
        clock=clock,
    )
    # In this order: an intent that is accepted between the two questions is in both answers, the
    # other way round it would be in neither, and its own prediction would count as an orphan.
    undecided, by_hand = LedgerReader(ledger.engine).without_prediction()
    owned = ledger.owned(prediction.prediction_id for prediction in predictions)
    unowned = [each for each in predictions if each.prediction_id not in owned]
    ended = [each for each in unowned if each.status.is_terminal]
    denied = differences(predictions, owned, LedgerReader(ledger.engine))
    models = ledger.models() | frozenset(catalog.models)
    window = Window(_SKEW, provider.clock_offset(), late=Timeouts().late_acceptance)

    def may_be(prediction: Prediction, intent: Intent) -> bool:
        terms = terms_of_intent(intent, catalog.models.get(intent.model))
        return likeness(prediction, intent, terms, models, window) is not Likeness.OTHER

    free = [each for each in ended if not any(may_be(each, intent) for intent in undecided)]
    settled = _settled(by_hand, free, may_be)
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
        taken_back=tuple(taken_back),
        known=len(owned),
        decided=len(settled),
        running=len(unowned) - len(ended),
        waiting=len(ended) - len(free),
        unpriced=tuple(unpriced),
        mismatches=tuple(denied),
        gap=gap,
    )


def _settled(
    by_hand: Iterable[Intent],
    free: Sequence[Prediction],
    may_be: Callable[[Prediction, Intent], bool],
) -> frozenset[str]:
    """Return one prediction for each intent that a person charged: it is in the books already."""
    taken: set[str] = set()
    for intent in by_hand:
        fitting = [
            each for each in free if each.prediction_id not in taken and may_be(each, intent)
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
        charge = charge_for(terms_of(model, inputs, on=created.date()), inputs, prediction)
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
        predict_seconds=charge.predict_seconds,
        charge_note=charge.note,
        created_at=created,
        completed_at=prediction.completed_at or created,
    )


def _model_of(prediction: Prediction, catalog: Catalog) -> Model | None:
    known = catalog.models.get(prediction.model)
    if known is not None:
        return known
    versions = {model.version: model for model in catalog.models.values() if model.version}
    return versions.get(prediction.version or "")
