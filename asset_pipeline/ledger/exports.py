"""Records of exported files: which clip is at which path, with its SHA-256."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from pydantic import JsonValue
from sqlalchemy import bindparam, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from asset_pipeline.ledger.access import LedgerAccess
from asset_pipeline.ledger.clips import add_lineage
from asset_pipeline.ledger.custody_schema import exports
from asset_pipeline.ledger.records import Clip, Parent, clip_from
from asset_pipeline.ledger.schema import clips, intents


@dataclass(frozen=True, slots=True)
class Exported:
    """A clip at its place.

    Attributes:
        sha256: Of the file there, which is the clip's own or a marked copy of it.
        bytes: Its length.
        recipe: How it was marked; empty for the clip's own file.
    """

    path: str
    uri: str
    clip: Clip
    sha256: str
    bytes: int
    recipe: str = ""


@dataclass(frozen=True, slots=True)
class Written:
    """What was last written at a path.

    Attributes:
        sha256: Of the file.
        bytes: Its length.
        clip_sha256: Of the clip that it was made from.
        recipe: How it was marked; empty for the clip's own file.
    """

    sha256: str
    bytes: int
    clip_sha256: str
    recipe: str


@dataclass(frozen=True, slots=True)
class ExportLine:
    """One line of a manifest: a clip at its path, and the text that made it.

    Attributes:
        sha256: Of the file at the path.
        bytes: Its length.
        seed: What the model began with; None where it takes none.
        inputs: All that was sent.
    """

    path: str
    sha256: str
    bytes: int
    clip: Clip
    prompt_text: str
    exported_at: datetime
    seed: int | None = None
    inputs: Mapping[str, JsonValue] = field(default_factory=dict[str, JsonValue])


class ExportRepository(LedgerAccess):
    """Remembers what was written where; every method is one transaction."""

    def written(self, target: str) -> dict[str, Written]:
        """Return what was last written at each path of a target."""
        query = (
            select(exports, clips.c.sha256.label("clip_sha256"))
            .join(clips, clips.c.clip_id == exports.c.clip_id)
            .where(exports.c.target == target)
        )
        with self._reading() as connection:
            return {
                row.path: Written(row.sha256, row.bytes, row.clip_sha256, row.recipe)
                for row in connection.execute(query)
            }

    def lines(self, target: str) -> list[ExportLine]:
        """Return all that was written to a target, by path."""
        query = (
            select(
                clips,
                exports.c.path.label("export_path"),
                exports.c.exported_at.label("export_time"),
                exports.c.sha256.label("export_sha256"),
                exports.c.bytes.label("export_bytes"),
                intents.c.prompt_text,
                intents.c.seed,
                intents.c.inputs_json,
            )
            .join(clips, clips.c.clip_id == exports.c.clip_id)
            .join(intents, intents.c.intent_id == clips.c.intent_id)
            .where(exports.c.target == target)
        )
        with self._reading() as connection:
            rows = connection.execute(query).mappings()
            found = [
                ExportLine(
                    row["export_path"],
                    row["export_sha256"],
                    row["export_bytes"],
                    clip_from(row),
                    row["prompt_text"],
                    row["export_time"],
                    row["seed"],
                    json.loads(row["inputs_json"]),
                )
                for row in rows
            ]
        # In Python: databases sort text by their own rules.
        return sorted(found, key=lambda line: line.path)

    def record(self, target: str, written: Sequence[Exported], *, run_id: str) -> None:
        """Note what was written, with its lineage; what is noted already stays as it is."""
        if not written:
            return
        with self._writing() as (connection, now):
            rows = [
                {
                    "target": target,
                    "path": each.path,
                    "clip_id": each.clip.clip_id,
                    "sha256": each.sha256,
                    "bytes": each.bytes,
                    "recipe": each.recipe,
                    "exported_at": now,
                }
                for each in written
            ]
            connection.execute(_UPSERT[connection.dialect.name], rows)
            for each in written:
                parent = Parent("clip", each.clip.object_uri, each.clip.sha256, "exported")
                add_lineage(connection, each.uri, each.sha256, [parent], run_id=run_id, now=now)

    def forget(self, target: str, paths: Iterable[str]) -> None:
        """Drop what is no longer at a target."""
        gone = [{"of_path": path, "of_target": target} for path in paths]
        if gone:
            with self._writing() as (connection, _):
                connection.execute(
                    delete(exports).where(
                        exports.c.target == bindparam("of_target"),
                        exports.c.path == bindparam("of_path"),
                    ),
                    gone,
                )


def _upserting(insert: sqlite.Insert | postgresql.Insert) -> sqlite.Insert | postgresql.Insert:
    new = insert.excluded
    names = ("clip_id", "sha256", "bytes", "recipe", "exported_at")
    differs = (exports.c.clip_id != new.clip_id) | (exports.c.sha256 != new.sha256)
    return insert.on_conflict_do_update(
        index_elements=["target", "path"],
        set_={name: new[name] for name in names},
        where=differs | (exports.c.recipe != new.recipe),
    )


_UPSERT = {
    "sqlite": _upserting(sqlite.insert(exports)),
    "postgresql": _upserting(postgresql.insert(exports)),
}
