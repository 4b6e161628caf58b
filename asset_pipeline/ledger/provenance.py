"""What files say of themselves, on record, and how a file that turns up is found there."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from pydantic import JsonValue
from sqlalchemy import RowMapping, bindparam, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.ledger.access import LedgerAccess
from asset_pipeline.ledger.clips import add_lineage
from asset_pipeline.ledger.custody_schema import CustodyAction, custody
from asset_pipeline.ledger.provenance_schema import (
    ProvenanceRole,
    SignedBy,
    fingerprints,
    provenance,
)
from asset_pipeline.ledger.records import Clip, Parent, clip_from
from asset_pipeline.ledger.rendition_schema import renditions
from asset_pipeline.ledger.schema import clips, intents
from asset_pipeline.money import MicroUsd

_ASKED_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Payment:
    """How a clip was made and paid.

    Attributes:
        prompt_text: What was sent.
        seed: None where none was.
        inputs: All that was sent.
        charged: What it cost when it was made: a clip that reuses another one costs nothing.
    """

    prompt_text: str
    seed: int | None
    inputs: Mapping[str, JsonValue]
    charged: MicroUsd


@dataclass(frozen=True, slots=True)
class ProvenanceRecord:
    """One row of ``provenance``; see its columns."""

    uri: str
    object_key: str | None
    sha256: str
    role: ProvenanceRole
    clip_id: str
    clip_sha256: str
    policy: str
    marks: str
    digital_source_type: str
    signed_by: SignedBy
    signer: str
    certificate_sha256: str
    note: str


@dataclass(frozen=True, slots=True)
class KnownFile:
    """A file that the ledger knows by its SHA-256.

    Attributes:
        role: What it is to the clip.
        uri: Where it was written.
        clip: The clip.
        prompt_text: What was sent for it.
    """

    role: ProvenanceRole
    uri: str
    clip: Clip
    prompt_text: str


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What a clip looks or sounds like."""

    clip_sha256: str
    kind: Kind
    method: str
    value: str


@dataclass(frozen=True, slots=True)
class LeftSidecar:
    """A manifest beside a file that retention deleted."""

    entry_id: int
    object_key: str


class ProvenanceBook(LedgerAccess):
    """The ledger's account of marks; every method is one transaction."""

    def payments(self, of: Iterable[Clip]) -> dict[str, Payment]:
        """Return how clips were made, by the ids of their intents."""
        wanted = sorted({clip.intent_id for clip in of})
        query = select(
            intents.c.intent_id,
            intents.c.prompt_text,
            intents.c.seed,
            intents.c.inputs_json,
            intents.c.charged_microusd,
        ).where(intents.c.intent_id.in_(bindparam("wanted", expanding=True)))
        found: dict[str, Payment] = {}
        with self._reading() as connection:
            for start in range(0, len(wanted), _ASKED_AT_ONCE):
                chunk = wanted[start : start + _ASKED_AT_ONCE]
                for row in connection.execute(query, {"wanted": chunk}):
                    inputs = cast("dict[str, JsonValue]", json.loads(row.inputs_json))
                    charged = MicroUsd(row.charged_microusd)
                    found[row.intent_id] = Payment(row.prompt_text, row.seed, inputs, charged)
        return found

    def record(self, records: Sequence[ProvenanceRecord], *, run_id: str) -> None:
        """Note what files say of themselves; manifests beside files get their lineage too."""
        if not records:
            return
        with self._writing() as (connection, now):
            rows = [_row_of(each) | {"run_id": run_id, "created_at": now} for each in records]
            connection.execute(_UPSERT[connection.dialect.name], rows)
            for each in records:
                if each.role is ProvenanceRole.SIDECAR:
                    parent = Parent("clip", each.clip_id, each.clip_sha256, "manifest")
                    add_lineage(connection, each.uri, each.sha256, [parent], run_id=run_id, now=now)

    def of_uris(self, uris: Sequence[str]) -> dict[str, ProvenanceRecord]:
        """Return what is on record of files, by their addresses."""
        found: dict[str, ProvenanceRecord] = {}
        with self._reading() as connection:
            for start in range(0, len(uris), _ASKED_AT_ONCE):
                chunk = uris[start : start + _ASKED_AT_ONCE]
                query = select(provenance).where(provenance.c.uri.in_(chunk))
                rows = connection.execute(query).mappings()
                found |= {row["uri"]: _record_from(row) for row in rows}
        return found

    def of_clips(
        self, clip_sha256s: Sequence[str] | None = None
    ) -> dict[str, list[ProvenanceRecord]]:
        """Return what is on record, by the SHA-256 of the clip.

        Args:
            clip_sha256s: Only of these clips' files, a few hundred at the most; of all if None.
        """
        query = select(provenance)
        if clip_sha256s is not None:
            query = query.where(provenance.c.clip_sha256.in_(clip_sha256s))
        found: dict[str, list[ProvenanceRecord]] = {}
        with self._reading() as connection:
            for row in connection.execute(query).mappings():
                found.setdefault(row["clip_sha256"], []).append(_record_from(row))
        return found

    def find(self, sha256: str) -> list[KnownFile]:
        """Return what the ledger knows of a file with this SHA-256, original first."""
        of_clip = select(clips, intents.c.prompt_text).join(
            intents, intents.c.intent_id == clips.c.intent_id
        )
        derived = {
            ProvenanceRole.RENDITION: (renditions.c.sha256, renditions.c.object_uri, renditions),
            ProvenanceRole.EXPORT: (provenance.c.sha256, provenance.c.uri, provenance),
        }
        found: dict[tuple[str, str], KnownFile] = {}
        with self._reading() as connection:
            originals = connection.execute(of_clip.where(clips.c.sha256 == sha256)).mappings()
            for row in originals.all():
                _keep(found, row, ProvenanceRole.ORIGINAL, row["object_uri"])
            for role, (digest, uri, table) in derived.items():
                query = (
                    of_clip.add_columns(uri.label("file_uri"))
                    .join(table, table.c.clip_id == clips.c.clip_id)
                    .where(digest == sha256)
                )
                if table is provenance:
                    query = query.add_columns(provenance.c.role.label("file_role"))
                for row in connection.execute(query).mappings().all():
                    known = ProvenanceRole(row.get("file_role") or role)
                    _keep(found, row, known, row["file_uri"])
        return list(found.values())

    def clips_of_file(self, clip_sha256: str) -> list[KnownFile]:
        """Return the clips whose original has this SHA-256, the newest first."""
        return [each for each in self.find(clip_sha256) if each.role is ProvenanceRole.ORIGINAL]

    def fingerprints(self, kind: Kind, method: str) -> list[Fingerprint]:
        """Return what all clips of a kind look or sound like, as far as it was worked out."""
        query = select(fingerprints.c.clip_sha256, fingerprints.c.value).where(
            fingerprints.c.kind == kind.value, fingerprints.c.method == method
        )
        with self._reading() as connection:
            return [
                Fingerprint(row.clip_sha256, kind, method, row.value)
                for row in connection.execute(query)
            ]

    def without_fingerprint(self, kind: Kind, method: str) -> list[Clip]:
        """Return one stored clip of each file whose fingerprint was not worked out yet."""
        known = select(fingerprints.c.clip_sha256).where(fingerprints.c.method == method)
        query = (
            select(clips)
            .where(
                clips.c.kind == kind.value,
                clips.c.removed_at.is_(None),
                clips.c.sha256.not_in(known),
            )
            .order_by(clips.c.created_at)
        )
        with self._reading() as connection:
            rows = connection.execute(query).mappings()
            return list({row["sha256"]: clip_from(row) for row in rows}.values())

    def keep_fingerprints(self, found: Sequence[Fingerprint]) -> None:
        """Note what clips look or sound like; what is noted already stays."""
        if not found:
            return
        with self._writing() as (connection, now):
            rows = [
                {
                    "clip_sha256": each.clip_sha256,
                    "kind": each.kind.value,
                    "method": each.method,
                    "value": each.value,
                    "created_at": now,
                }
                for each in found
            ]
            connection.execute(_NEW_FINGERPRINT[connection.dialect.name], rows)

    def left_sidecars(self) -> list[LeftSidecar]:
        """Return the manifests in the store that lie beside originals that were deleted."""
        deleted = select(custody.c.sha256).where(custody.c.action == CustodyAction.DELETED.value)
        stored = select(clips.c.sha256).where(clips.c.removed_at.is_(None))
        query = select(provenance.c.entry_id, provenance.c.object_key).where(
            provenance.c.role == ProvenanceRole.SIDECAR.value,
            provenance.c.object_key.is_not(None),
            provenance.c.clip_sha256.in_(deleted),
            provenance.c.clip_sha256.not_in(stored),
        )
        with self._reading() as connection:
            return [LeftSidecar(row.entry_id, row.object_key) for row in connection.execute(query)]

    def forget(self, sidecars: Sequence[LeftSidecar]) -> None:
        """Take manifests off the record; their lineage stays."""
        rows = [{"of_entry": each.entry_id} for each in sidecars]
        if rows:
            with self._writing() as (connection, _):
                connection.execute(
                    delete(provenance).where(provenance.c.entry_id == bindparam("of_entry")), rows
                )


def _keep(
    found: dict[tuple[str, str], KnownFile], row: RowMapping, role: ProvenanceRole, uri: str
) -> None:
    known = KnownFile(role, uri, clip_from(row), row["prompt_text"])
    found.setdefault((uri, known.clip.clip_id), known)


def _row_of(record: ProvenanceRecord) -> dict[str, object]:
    row: dict[str, object] = {name: getattr(record, name) for name in ProvenanceRecord.__slots__}
    return row | {"role": record.role.value, "signed_by": record.signed_by.value}


def _record_from(row: RowMapping) -> ProvenanceRecord:
    fields = {name: row[name] for name in ProvenanceRecord.__slots__}
    fields["role"] = ProvenanceRole(row["role"])
    fields["signed_by"] = SignedBy(row["signed_by"])
    return ProvenanceRecord(**fields)


def _upserting(insert: sqlite.Insert | postgresql.Insert) -> sqlite.Insert | postgresql.Insert:
    new = insert.excluded
    names = [*ProvenanceRecord.__slots__, "run_id", "created_at"]
    changed = {name: new[name] for name in names if name != "uri"}
    return insert.on_conflict_do_update(index_elements=["uri"], set_=changed)


_UPSERT = {
    "sqlite": _upserting(sqlite.insert(provenance)),
    "postgresql": _upserting(postgresql.insert(provenance)),
}
_NEW_FINGERPRINT = {
    "sqlite": sqlite.insert(fingerprints).on_conflict_do_nothing(),
    "postgresql": postgresql.insert(fingerprints).on_conflict_do_nothing(),
}
