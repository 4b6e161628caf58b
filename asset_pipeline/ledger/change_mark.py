"""A change mark of a ledger: it differs after every write.

Times alone would not do: what was committed while somebody read is older than the reading.
"""

from __future__ import annotations

from sqlalchemy import Connection, func, select

from asset_pipeline.ledger.custody_schema import custody, exports, fsck_passes
from asset_pipeline.ledger.provenance_schema import provenance
from asset_pipeline.ledger.rendition_schema import renditions
from asset_pipeline.ledger.schema import breakers, clips, entries, intents
from asset_pipeline.ledger.service_schema import reviews, service_audit, submissions

_PARTS = (
    select(func.count(), func.max(entries.c.entry_id)),
    select(func.count(), func.max(intents.c.updated_at)).select_from(intents),
    select(
        func.count(),
        func.max(clips.c.created_at),
        func.count(clips.c.superseded_at),
        func.count(clips.c.removed_at),
        func.count(clips.c.approved_at),
    ).select_from(clips),
    select(func.max(breakers.c.updated_at)),
    *(select(func.count()).select_from(table) for table in (custody, exports, fsck_passes)),
    select(func.count()).select_from(renditions),
    select(func.max(reviews.c.review_id)),
    select(func.count(), func.max(submissions.c.updated_at)).select_from(submissions),
    select(func.max(service_audit.c.entry_id)),
    select(func.count(), func.max(provenance.c.created_at)).select_from(provenance),
)


def mark_of(connection: Connection) -> str:
    """Return the mark of what a transaction sees."""
    return " ".join(str(value) for part in _PARTS for value in connection.execute(part).one())
