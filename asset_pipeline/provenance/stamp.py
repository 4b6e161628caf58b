"""Marking the files of clips, with an account of it in the ledger."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from asset_pipeline.files import sha256_of
from asset_pipeline.ledger.provenance import Payment, ProvenanceBook, ProvenanceRecord
from asset_pipeline.ledger.provenance_schema import ProvenanceRole, SignedBy
from asset_pipeline.ledger.records import Clip
from asset_pipeline.prompts.provenance import ProvenancePolicy
from asset_pipeline.provenance.containers.formats import container_of_file
from asset_pipeline.provenance.containers.metadata import ContainerError
from asset_pipeline.provenance.marker import SIDECAR, SIDECAR_MIME, Marked, Marker
from asset_pipeline.provenance.marks import Marks, read_marks
from asset_pipeline.provenance.statement import Statement
from asset_pipeline.stores.protocol import Store

RENDERED_PICTURE = ("c2pa.resized", "c2pa.transcoded")
RENDERED_SOUND = ("c2pa.transcoded",)
PUBLISHED = ("c2pa.published",)


@dataclass(frozen=True, slots=True)
class Stamp:
    """Marks what leaves the store. Threads may share one.

    Attributes:
        marker: Marks and signs.
        book: Keeps the account.
        store: Has the originals, and the manifests beside them.
        run_id: Who does it.
    """

    marker: Marker
    book: ProvenanceBook
    store: Store
    run_id: str

    def payments(self, clips: Sequence[Clip]) -> Mapping[str, Payment]:
        """Return how clips were made, by the ids of their intents."""
        return self.book.payments(clips)

    def recipe(self, policy: ProvenancePolicy) -> str:
        """Return what decides how files are marked; empty for not at all."""
        return self.marker.recipe(policy)

    def mark(
        self, path: Path, said: Statement, *, original: Path, actions: Sequence[str]
    ) -> Marked:
        """Mark a file in its place; see :meth:`Marker.mark`."""
        return self.marker.mark(path, said, original=original, actions=actions)

    def record(
        self,
        marked: Marked,
        said: Statement,
        role: ProvenanceRole,
        uri: str,
        key: str | None = None,
    ) -> ProvenanceRecord:
        """Return the account of a file; :meth:`ProvenanceBook.record` keeps it."""
        return _record(marked, said, role, uri, key)

    def put_sidecar(self, marked: Marked, said: Statement, key: str) -> ProvenanceRecord | None:
        """Store the manifest that belongs beside a stored file, if there is one.

        Raises:
            StoreError: The store failed.
        """
        if marked.sidecar is None:
            return None
        return self._put(marked.sidecar, said, key, marked.signer, marked.certificate)

    def is_sealed(self, clip: Clip, policy: ProvenancePolicy, known: Sequence[str]) -> bool:
        """Tell whether a clip has the manifest beside it that is due.

        Args:
            clip: A stored clip.
            policy: Its collection's.
            known: Addresses of manifests that the key in force signed.
        """
        due = self.marker.signs and policy.mark and policy.sign
        return not due or self.store.uri(clip.object_key + SIDECAR) in known

    def sealed(self, clips: Sequence[Clip]) -> list[str]:
        """Return the addresses of the manifests beside clips that the key in force signed."""
        if not self.marker.signs:
            return []
        uris = [self.store.uri(clip.object_key + SIDECAR) for clip in clips]
        found = self.book.of_uris(uris)
        by = self.marker.certificate
        return [uri for uri, row in found.items() if row.certificate_sha256 == by]

    def seal_clip(
        self, clip: Clip, original: Path, policy: ProvenancePolicy
    ) -> list[ProvenanceRecord]:
        """Look at a clip's original and lay the manifest beside it; see :meth:`seal`."""
        payment = self.payments([clip])[clip.intent_id]
        return self.seal(original, Statement(clip, payment, policy))

    def seal(self, original: Path, said: Statement) -> list[ProvenanceRecord]:
        """Look at an original, and lay the manifest beside it that is due; it stays as it is.

        Returns:
            The account of both.

        Raises:
            TamperedParentError: It was changed after its provider signed it.
            StoreError: The store failed.
        """
        clip = said.clip
        records = [_original(original, said)]
        manifest = self.marker.seal(original, said)
        if manifest is not None:
            by = self.marker.subject, self.marker.certificate
            records.append(self._put(manifest, said, clip.object_key, *by))
        return records

    def _put(
        self, manifest: bytes, said: Statement, beside: str, signer: str, certificate: str
    ) -> ProvenanceRecord:
        key = beside + SIDECAR
        sha256 = hashlib.sha256(manifest).hexdigest()
        with tempfile.NamedTemporaryFile(prefix="manifest-") as file:
            file.write(manifest)
            file.flush()
            # One of another key, or of a run that died before it was on record: two signings
            # differ, and a store replaces nothing by itself.
            self.store.delete(key)
            stored = self.store.put(key, Path(file.name), sha256=sha256, content_type=SIDECAR_MIME)
        return ProvenanceRecord(
            uri=stored.uri,
            object_key=key,
            sha256=sha256,
            role=ProvenanceRole.SIDECAR,
            clip_id=said.clip.clip_id,
            clip_sha256=said.clip.sha256,
            policy=said.policy.name,
            marks="c2pa",
            digital_source_type="",
            signed_by=SignedBy.US,
            signer=signer,
            certificate_sha256=certificate,
            note="",
        )


def _record(
    marked: Marked, said: Statement, role: ProvenanceRole, uri: str, key: str | None
) -> ProvenanceRecord:
    signed_by = SignedBy.US if marked.certificate else _others(marked.marks)
    return ProvenanceRecord(
        uri=uri,
        object_key=key,
        sha256=marked.sha256,
        role=role,
        clip_id=said.clip.clip_id,
        clip_sha256=said.clip.sha256,
        policy=said.policy.name,
        marks=" ".join(marked.marks.kinds),
        digital_source_type=marked.marks.digital_source_type,
        signed_by=signed_by,
        signer=marked.signer,
        certificate_sha256=marked.certificate,
        note=marked.note,
    )


def _original(path: Path, said: Statement) -> ProvenanceRecord:
    """Return the account of an original: what its provider wrote into it."""
    marks, note = Marks(), ""
    container = container_of_file(path)
    if container is not None:
        try:
            marks = read_marks(path.read_bytes(), container)
        except ContainerError as error:
            note = error.message
    found = Marked(sha256_of(path), path.stat().st_size, marks, note=note)
    clip = said.clip
    return _record(found, said, ProvenanceRole.ORIGINAL, clip.object_uri, clip.object_key)


def _others(marks: Marks) -> SignedBy:
    return SignedBy.PROVIDER if marks.has_manifest else SignedBy.NOBODY
