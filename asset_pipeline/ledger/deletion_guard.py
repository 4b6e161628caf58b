"""Guards against recording or reusing an object that is being deleted.

A deletion is decided in the ledger first, then done, then confirmed. A delivery of the very same
content in between finds its object there, as content keys are create-only, and would record what
is removed the next moment.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection, bindparam, select

from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.ledger.custody_schema import CustodyAction, custody
from asset_pipeline.ledger.schema import clips

# Between a put that found its object there and the record of it lie at the most the ledger's busy
# half minute and as much difference of two machines' clocks; twice that is far.
_SETTLED_AFTER = timedelta(minutes=2)


class ObjectRemovedError(AssetPipelineError):
    """An object is being deleted or was deleted a moment ago; look for it again."""


def check_not_removing(connection: Connection, object_key: str, now: datetime) -> None:
    """Refuse to record an object whose deletion may have come after its put.

    Raises:
        ObjectRemovedError: Store it again later.
    """
    last = connection.execute(_LAST_DELETION, {"key": object_key}).one_or_none()
    if last is None:
        return
    done, at = last.action == CustodyAction.DELETED.value, last.created_at
    if not done or now - at < _SETTLED_AFTER:
        raise ObjectRemovedError(
            f"{object_key} is being deleted by retention.", hint="It is stored again in a moment."
        )


def check_not_removed(connection: Connection, clip_id: str) -> None:
    """Refuse to reuse a clip that was found a moment ago and is gone since.

    Raises:
        ObjectRemovedError: Look for the clip again.
    """
    removed = connection.execute(_REMOVED, {"clip": clip_id}).scalar()
    if removed is not None:
        raise ObjectRemovedError(f"Clip {clip_id} was removed from the store.")


# Built once: building a statement costs as much as SQLite needs to run it.
_LAST_DELETION = (
    select(custody.c.action, custody.c.created_at)
    .where(
        custody.c.object_key == bindparam("key"),
        custody.c.action.in_([CustodyAction.DELETE.value, CustodyAction.DELETED.value]),
    )
    .order_by(custody.c.entry_id.desc())
    .limit(1)
)
_REMOVED = select(clips.c.removed_at).where(clips.c.clip_id == bindparam("clip"))
