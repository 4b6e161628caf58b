"""What a day cost, by kind, collection and model."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from sqlalchemy import Engine, case, func, select

from asset_pipeline.ledger.schema import IntentState, intents
from asset_pipeline.money import MicroUsd


@dataclass(frozen=True, slots=True)
class Spent:
    """What one model charged for one collection on one day.

    Attributes:
        predictions: Attempts that were charged.
        delivered: Those that brought a clip.
        charged: For all of them.
        wasted: For those that will never bring one.
    """

    kind: str
    collection: str
    model: str
    predictions: int
    delivered: int
    charged: MicroUsd
    wasted: MicroUsd


def spent_on(engine: Engine, day: date) -> list[Spent]:
    """Return what was charged on a UTC day, the dearest first.

    An attempt belongs to the day it completed on; one that never said so, to that of its
    submission: the same rule as the warehouse's ``spend_by_day``.
    """
    start = datetime.combine(day, time(), UTC)
    at = func.coalesce(
        intents.c.completed_at,
        intents.c.submitted_at,
        intents.c.created_at,
        type_=intents.c.created_at.type,
    )
    charged = func.sum(intents.c.charged_microusd)
    lost = intents.c.state.not_in([IntentState.COMPLETED, IntentState.DELIVERED])
    query = (
        select(
            intents.c.kind,
            intents.c.collection,
            intents.c.model,
            func.count(),
            func.sum(case((intents.c.state == IntentState.DELIVERED, 1), else_=0)),
            charged,
            func.sum(case((lost, intents.c.charged_microusd), else_=0)),
        )
        .where(intents.c.charged_microusd > 0, at >= start, at < start + timedelta(days=1))
        .group_by(intents.c.kind, intents.c.collection, intents.c.model)
        .order_by(charged.desc(), intents.c.collection, intents.c.model)
    )
    with engine.connect().execution_options(reading=True) as connection:
        rows = connection.execute(query).all()
    return [
        Spent(
            kind,
            collection,
            model,
            int(predictions),
            int(delivered),
            MicroUsd(int(total)),
            MicroUsd(int(wasted)),
        )
        for kind, collection, model, predictions, delivered, total, wasted in rows
    ]
