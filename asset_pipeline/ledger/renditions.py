"""Records of renditions: each clip's files by name, with their recipes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, RowMapping, bindparam, insert, select, update

from asset_pipeline.ledger.access import LedgerAccess
from asset_pipeline.ledger.clips import add_lineage
from asset_pipeline.ledger.records import Clip, Parent
from asset_pipeline.ledger.rendition_schema import renditions
from asset_pipeline.ledger.transactions import looking_again


@dataclass(frozen=True, slots=True)
class Rendition:
    """One row of ``renditions``.

    Attributes:
        clip_sha256: The file that it was made from.
        recipe: All of the setting that decides the file.
        note: What a person should know of how it came out; mostly empty.
    """

    rendition_id: str
    clip_id: str
    clip_sha256: str
    name: str
    recipe: str
    object_key: str
    object_uri: str
    sha256: str
    bytes: int
    mime: str
    width: int | None
    height: int | None
    duration_seconds: float | None
    loudness_lufs: float | None
    true_peak_dbtp: float | None
    gain_db: float | None
    note: str
    run_id: str
    created_at: datetime
    superseded_at: datetime | None


class RenditionRepository(LedgerAccess):
    """The ledger's renditions. They cost nothing, so no budget is asked."""

    def made_from(self, clips: Iterable[Clip]) -> list[Rendition]:
        """Return all renditions ever made from the files of these clips, the newest first."""
        files = sorted({clip.sha256 for clip in clips})
        with self._reading() as connection:
            rows = connection.execute(_MADE_FROM, {"files": files}).mappings()
            return [_rendition_from(row) for row in rows]

    def replace(
        self, clip: Clip, new: Sequence[Rendition], gone: Collection[str], *, run_id: str
    ) -> None:
        """Make renditions the current ones of a clip, with their descent, in one transaction.

        Args:
            clip: What they were made from.
            new: Take the place of those of the same name.
            gone: Names that the clip has no rendition of any more.
            run_id: Who made them.
        """

        def replace() -> None:
            with self._writing() as (connection, now):
                names = [*gone, *(rendition.name for rendition in new)]
                connection.execute(
                    _SUPERSEDE, {"of_clip": clip.clip_id, "of_names": names, "superseded": now}
                )
                for rendition in new:
                    _insert(connection, clip, rendition, run_id, now)

        looking_again(replace)


def _insert(
    connection: Connection, clip: Clip, rendition: Rendition, run_id: str, now: datetime
) -> None:
    row = {name: getattr(rendition, name) for name in Rendition.__slots__}
    connection.execute(insert(renditions), row | {"run_id": run_id, "created_at": now})
    add_lineage(
        connection,
        rendition.object_uri,
        rendition.sha256,
        [Parent("clip", clip.clip_id, clip.sha256, rendition.name)],
        run_id=run_id,
        now=now,
    )


def _rendition_from(row: RowMapping) -> Rendition:
    return Rendition(**{name: row[name] for name in Rendition.__slots__})


_MADE_FROM = (
    select(renditions)
    .where(renditions.c.clip_sha256.in_(bindparam("files", expanding=True)))
    .order_by(renditions.c.created_at.desc(), renditions.c.rendition_id)
)
_SUPERSEDE = (
    update(renditions)
    .where(
        renditions.c.clip_id == bindparam("of_clip"),
        renditions.c.name.in_(bindparam("of_names", expanding=True)),
        renditions.c.superseded_at.is_(None),
    )
    .values(superseded_at=bindparam("superseded"))
)
