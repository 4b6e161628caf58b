"""Copying current clips to where people want them, under names that people can read.

An export goes on where a killed one was, and a second one writes only what has changed. Only a file
that is still what this ledger wrote is replaced: what something else put there, and what a person
has worked on since, stays.
"""

from __future__ import annotations

import hashlib
import itertools
import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from asset_pipeline.catalog.reader import Catalog
from asset_pipeline.chunks import chunks
from asset_pipeline.clock import Clock
from asset_pipeline.custody.export_names import CHECKSUMS, NamedClip
from asset_pipeline.custody.export_targets import ExportError, Target
from asset_pipeline.custody.links import SignedLink, link_to, signs_links
from asset_pipeline.custody.manifest import PromptOf, Sources, write_manifest
from asset_pipeline.custody.scratch import scratch_file
from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.files import sha256_of
from asset_pipeline.ledger.custody import CustodyRepository
from asset_pipeline.ledger.exports import Exported, ExportLine, ExportRepository, Written
from asset_pipeline.ledger.provenance import Payment
from asset_pipeline.ledger.provenance_schema import ProvenanceRole
from asset_pipeline.ledger.records import Clip
from asset_pipeline.prompts.provenance import NONE, ProvenancePolicy
from asset_pipeline.provenance.marker import SIDECAR, SIDECAR_MIME, Marked
from asset_pipeline.provenance.stamp import PUBLISHED, Stamp
from asset_pipeline.provenance.statement import Statement
from asset_pipeline.stores.protocol import (
    LONGEST_LINK,
    Store,
    StoreError,
    StoreUnavailableError,
)

_COPIERS = 8

# The SHA-256 of an empty list of checksums.
_NOTHING_LISTED = hashlib.sha256().hexdigest()
_LOOKED_AT = 100
_A_STEP = 64


class Copied(StrEnum):
    """What became of one clip of an export."""

    COPIED = "copied"
    UNCHANGED = "unchanged"
    KEPT = "kept"  # somebody changed the exported file; there is no newer clip
    REFUSED = "refused"  # another file has its name, or a changed one that has to make way
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class ExportResult:
    """One clip of an export, and why it is not there if it is not.

    Attributes:
        file: What is at the path, where this ledger wrote it or found its own there.
        note: What a person should know of how it was marked.
    """

    named: NamedClip
    uri: str
    result: Copied
    reason: str = ""
    file: Exported | None = None
    note: str = ""

    @property
    def is_there(self) -> bool:
        """Whether the target has the clip now, if only as somebody has changed it."""
        return self.result in {Copied.COPIED, Copied.UNCHANGED, Copied.KEPT}


def _no_marks(_: Clip) -> ProvenancePolicy:
    return NONE


@dataclass(frozen=True, slots=True)
class Exporter:
    """Exports on behalf of one command or run.

    Attributes:
        store: Where the clips are.
        target: Where they go.
        engine_book: The ledger's record of exports.
        custody: Its record of when clips were last used.
        scratch: A folder for copies on their way.
        run_id: Named in the lineage of what is written.
        checkpoint: Called with a name between two steps; crash tests kill there.
        stamp: Marks what is written; None copies the clips' own files.
        policy_of: Tells what a clip's file may say of itself.
        require_marks: Write no file that does not say that a model made it.
        prompt_of: Gives the prompt of a clip, for the manifest.
    """

    store: Store
    target: Target
    book: ExportRepository
    custody: CustodyRepository
    catalog: Catalog
    scratch: Path
    clock: Clock
    run_id: str
    checkpoint: Callable[[str], None] = lambda _: None
    stamp: Stamp | None = None
    policy_of: Callable[[Clip], ProvenancePolicy] = _no_marks
    require_marks: bool = False
    prompt_of: PromptOf = lambda _: None

    def export(
        self, clips: Sequence[NamedClip], report: Callable[[ExportResult], None]
    ) -> list[ExportResult]:
        """Copy clips, and write the manifest of all that the target has.

        Args:
            clips: The clips under their names.
            report: Told of each clip.

        Returns:
            What became of each. One that fails stops no other.

        Raises:
            ExportError: The target holds the export of another ledger; nothing was written.
        """
        ours = self.book.written(self.target.name)
        if not ours:
            self._refuse_foreign(clips)
        results: list[ExportResult] = []
        with ThreadPoolExecutor(_COPIERS, "export") as copiers:
            for chunk in chunks(clips, _A_STEP):
                payments = self._payments(chunk)
                again = itertools.repeat
                done = list(copiers.map(self._copy, chunk, again(ours), again(payments)))
                self._record(done)
                for each in done:
                    report(each)
                results += done
                self.checkpoint("copied")
        self.write_manifest()
        return results

    def _refuse_foreign(self, clips: Sequence[NamedClip]) -> None:
        """Keep the manifest of another ledger, such as the sandbox's, from being replaced.

        A folder of our own that was moved holds clips of ours, and one that got none lists none.
        """
        listed = self.target.digest(CHECKSUMS)
        if listed in {None, _NOTHING_LISTED} or any(
            self._is_of(self.target.digest(named.path), named.clip) for named in clips[:_LOOKED_AT]
        ):
            return
        raise ExportError(
            f"{self.target.name} holds the export of another ledger.",
            hint="Export to a folder of its own: real work and what the sandbox made stay apart.",
        )

    def write_manifest(self) -> None:
        """Write the manifest of all that was exported to the target and is there.

        Two exports to one target may end at once: whoever writes last has seen all rows.
        """
        while True:
            lines = self.book.lines(self.target.name)
            there = self.target.present([line.path for line in lines])
            gone = [line.path for line in lines if line.path not in there]
            self.book.forget(self.target.name, gone)
            kept = [line for line in lines if line.path in there]
            uris = [self.target.uri(line.path) for line in kept]
            records = {} if self.stamp is None else self.stamp.book.of_uris(uris)
            accounts = {line.path: records.get(uri) for line, uri in zip(kept, uris, strict=True)}
            sources = Sources(self.catalog, self._link_of, self.prompt_of, accounts)
            write_manifest(self.target, kept, sources)
            now = self.book.written(self.target.name)
            if {path: each.sha256 for path, each in now.items()} == {
                line.path: line.sha256 for line in kept
            }:
                return

    def _payments(self, chunk: Sequence[NamedClip]) -> Mapping[str, Payment]:
        return {} if self.stamp is None else self.stamp.payments([each.clip for each in chunk])

    def _is_of(self, digest: str | None, clip: Clip) -> bool:
        """Tell whether a file is a clip's own, or was written for it by this ledger."""
        if digest is None or digest == clip.sha256:
            return digest is not None
        if self.stamp is None:
            return False
        return any(known.clip.sha256 == clip.sha256 for known in self.stamp.book.find(digest))

    def _copy(
        self,
        named: NamedClip,
        ours: Mapping[str, Written],
        payments: Mapping[str, Payment],
    ) -> ExportResult:
        clip, path = named.clip, named.path
        uri = ""
        try:
            uri = self.target.uri(path)
            found, written = self.target.digest(path), ours.get(path)
            there = _there(named, uri, found, written, self._recipe(clip))
            if there is not None:
                return self._unless_bare(there)
            is_ours = found is None or (written is not None and found == written.sha256)
            if not is_ours and not self._was_exported(found, clip, written):
                return _kept(named, uri, written)
            with scratch_file(self.scratch) as copy:
                self.store.get(clip.object_key, copy)
                if sha256_of(copy) != clip.sha256:
                    why = "the stored file is damaged: run `asset-pipeline fsck`"
                    return ExportResult(named, uri, Copied.FAILED, why)
                return self._write(named, uri, found, copy, payments)
        except StoreUnavailableError:
            raise
        except (AssetPipelineError, OSError) as error:
            return ExportResult(named, uri, Copied.FAILED, str(error))

    def _was_exported(self, found: str | None, clip: Clip, written: Written | None) -> bool:
        """Tell whether a file that is not on record at its place was written by this ledger.

        So it is in a folder that was moved, and after a process died amid a chunk; a file at a
        place on record that somebody changed stays theirs, even for an older one of ours.
        """
        return written is None and self._is_of(found, clip)

    def _write(
        self,
        named: NamedClip,
        uri: str,
        found: str | None,
        original: Path,
        payments: Mapping[str, Payment],
    ) -> ExportResult:
        """Mark a copy of a verified clip, put it where it belongs, and keep account of it."""
        clip, path = named.clip, named.path
        recipe = self._recipe(clip)
        if self.stamp is None or (not recipe and not self.require_marks):
            self.target.write(path, original, sha256=clip.sha256, content_type=clip.mime)
            plain = Exported(path, uri, clip, clip.sha256, clip.bytes)
            return ExportResult(named, uri, Copied.COPIED, file=plain)
        said = Statement(clip, payments[clip.intent_id], self.policy_of(clip))
        with scratch_file(self.scratch) as copy:
            shutil.copyfile(original, copy)
            marked = self.stamp.mark(copy, said, original=original, actions=PUBLISHED)
            if self.require_marks and not marked.is_marked:
                why = f"it would be without marks: {marked.note}"
                return ExportResult(named, uri, Copied.FAILED, why)
            # Before the file: after a death in between, the next export knows it for its own.
            record = self.stamp.record(marked, said, ProvenanceRole.EXPORT, uri)
            self.stamp.book.record([record], run_id=self.run_id)
            if found != marked.sha256:
                self.target.write(path, copy, sha256=marked.sha256, content_type=clip.mime)
            self._write_sidecar(path, marked)
        result = Copied.UNCHANGED if found == marked.sha256 else Copied.COPIED
        file = Exported(path, uri, clip, marked.sha256, marked.bytes, recipe)
        return ExportResult(named, uri, result, file=file, note=marked.note)

    def _write_sidecar(self, path: str, marked: Marked) -> None:
        if marked.sidecar is None:
            return
        with scratch_file(self.scratch) as manifest:
            manifest.write_bytes(marked.sidecar)
            sha256 = hashlib.sha256(marked.sidecar).hexdigest()
            self.target.write(path + SIDECAR, manifest, sha256=sha256, content_type=SIDECAR_MIME)

    def _unless_bare(self, there: ExportResult) -> ExportResult:
        """Return what is there, unless marks are required and it has none on record."""
        if not self.require_marks or there.file is None:
            return there
        record = None
        if self.stamp is not None:
            record = self.stamp.book.of_uris([there.uri]).get(there.uri)
        if record is not None and (record.digital_source_type or record.certificate_sha256):
            return there
        why = "it is there without marks: " + (
            record.note if record is not None and record.note else "its collection asks for none"
        )
        return ExportResult(there.named, there.uri, Copied.FAILED, why)

    def _recipe(self, clip: Clip) -> str:
        return "" if self.stamp is None else self.stamp.recipe(self.policy_of(clip))

    def _record(self, done: Sequence[ExportResult]) -> None:
        there = [
            each.file
            for each in done
            if each.file is not None and each.result in {Copied.COPIED, Copied.UNCHANGED}
        ]
        self.book.record(self.target.name, there, run_id=self.run_id)
        self.custody.touch(each.clip.clip_id for each in there)

    def _link_of(self, line: ExportLine) -> SignedLink | None:
        """Link to the exported file where the target signs links, else to the stored one.

        Without a key to sign with there is no link, and the export is as good as before.
        """
        try:
            return self._signed(line, self.clock.now())
        except StoreError:
            return None

    def _signed(self, line: ExportLine, now: datetime) -> SignedLink | None:
        if self.target.bucket is not None:
            url = self.target.bucket.signed_url(line.path, content_type=line.clip.mime)
            return SignedLink(url, (now + LONGEST_LINK).replace(microsecond=0))
        if line.clip.removed_at is not None or not signs_links(self.store):
            return None
        return link_to(self.store, line.clip, now)


def _there(
    named: NamedClip, uri: str, found: str | None, written: Written | None, recipe: str
) -> ExportResult | None:
    """Return a file that is at its place as it should be; None for one that is not."""
    clip = named.clip
    if found is None:
        return None
    as_written = (
        written is not None
        and found == written.sha256
        and (written.clip_sha256, written.recipe) == (clip.sha256, recipe)
    )
    if written is not None and as_written:
        file = Exported(named.path, uri, clip, written.sha256, written.bytes, written.recipe)
        return ExportResult(named, uri, Copied.UNCHANGED, file=file)
    if found == clip.sha256 and not recipe:
        file = Exported(named.path, uri, clip, clip.sha256, clip.bytes)
        return ExportResult(named, uri, Copied.UNCHANGED, file=file)
    return None


def _kept(named: NamedClip, uri: str, written: Written | None) -> ExportResult:
    """Return what becomes of a clip whose place holds other content than this ledger wrote."""
    if written is None:
        why = "a file that this ledger did not export has this name"
        return ExportResult(named, uri, Copied.REFUSED, why)
    if written.clip_sha256 == named.clip.sha256:
        why = "the file was changed since it was exported, and is kept as it is"
        return ExportResult(named, uri, Copied.KEPT, why)
    why = (
        "there is a newer clip, but the file was changed since it was exported, and is kept: move "
        "or rename it, and export again"
    )
    return ExportResult(named, uri, Copied.REFUSED, why)
