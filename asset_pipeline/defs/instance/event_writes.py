"""What this project's event logs, on SQLite and on Postgres, do before they write.

Where and how the events are written belongs in the module of each database.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple

from dagster import EventLogEntry
from sqlalchemy import text

from asset_pipeline.defs._dagster_private import ASSET_EVENTS, deserialize_value, serialize_value
from asset_pipeline.disclosure.process_redactor import redactor

_TOLD = {
    # The planned partitions of a backfill's run, a thousand of them, in one write.
    "DAGSTER_EVENT_BATCH_SIZE": "1000",
    # Otherwise a daemon that starts before the code server gives up every backfill for good.
    "DAGSTER_BACKFILL_RETRY_DEFINITION_CHANGED_ERROR": "1",
}


def tell_dagster() -> None:
    """Set what Dagster reads from the environment alone, where nobody has said otherwise.

    Every process of Dagster opens the event log, so every one of them is told.
    """
    for name, value in _TOLD.items():
        os.environ.setdefault(name, value)


def without_secrets(events: Sequence[EventLogEntry]) -> Sequence[EventLogEntry]:
    """Return the events with what is secret masked; nearly always they are the same objects."""
    secrecy = redactor()

    def clean(event: EventLogEntry) -> EventLogEntry:
        written = serialize_value(event)
        masked = secrecy.data(written)
        return event if masked == written else deserialize_value(masked, EventLogEntry)

    return [clean(event) for event in events]


def is_asset_event(event: EventLogEntry) -> bool:
    """Tell whether an event belongs to an asset, so that nothing but its tables must know it."""
    return event.is_dagster_event and event.get_dagster_event().event_type in ASSET_EVENTS


class PartitionSetState(NamedTuple):
    """A cheap fingerprint of a partition set.

    Keys get ascending numbers, so a set could only look the same when its last keys were taken
    away and as many others put in their place that end with the same one.
    """

    keys: int
    highest: int | None
    last: str | None


READ_PARTITION_SET_STATE = text(
    "SELECT count, highest, (SELECT partition FROM dynamic_partitions WHERE id = highest) FROM"
    " (SELECT count(*) AS count, max(id) AS highest FROM dynamic_partitions"
    " WHERE partitions_def_name = :name) AS found"
)
"""Its one row makes a :class:`PartitionSetState`."""
