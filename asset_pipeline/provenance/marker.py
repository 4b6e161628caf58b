"""Marks and signatures put onto files that leave the store, as their collection asks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from asset_pipeline.clock import Clock
from asset_pipeline.files import sha256_of
from asset_pipeline.prompts.provenance import ProvenancePolicy
from asset_pipeline.provenance.containers.formats import Container, container_of_file
from asset_pipeline.provenance.keys import is_configured, load_key, trust_anchors
from asset_pipeline.provenance.manifests import (
    ManifestReader,
    ManifestSigner,
    Parent,
    is_installed,
)
from asset_pipeline.provenance.marks import Marks, mark, read_marks
from asset_pipeline.provenance.statement import Statement
from asset_pipeline.settings import Settings

SIDECAR = ".c2pa"
"""What is added to a file's name for the manifest that lies beside it."""

SIDECAR_MIME = "application/c2pa"

_NOT_INSTALLED = (
    "a signing key is configured, and c2pa-python is not installed: pip install "
    "'asset-pipeline[provenance]'"
)


@dataclass(frozen=True, slots=True)
class Marked:
    """What became of a file.

    Attributes:
        sha256: Of the file now.
        bytes: Its length now.
        marks: What it carries.
        signer: Whom its signature names; empty without one of ours.
        certificate: SHA-256 of the signer's certificate; empty without one.
        sidecar: A manifest that belongs beside it, where none can be in it.
        note: What was not done, and why; empty when all was.
    """

    sha256: str
    bytes: int
    marks: Marks
    signer: str = ""
    certificate: str = ""
    sidecar: bytes | None = None
    note: str = ""

    @property
    def is_marked(self) -> bool:
        """Whether a program can tell from the file that a model made it."""
        return self.marks.says_generated or self.marks.has_manifest or self.sidecar is not None


class Marker:
    """Marks files, and signs them where there is a key. Threads may share one.

    Args:
        signer: Signs; None leaves marks alone.
        note: Why there is none although there should be; for people.
    """

    def __init__(self, signer: ManifestSigner | None = None, note: str = "") -> None:
        self._signer = signer
        self._note = note

    @property
    def signs(self) -> bool:
        """Whether there is a key to sign with."""
        return self._signer is not None

    @property
    def certificate(self) -> str:
        """SHA-256 of the certificate in force; empty without one."""
        return "" if self._signer is None else self._signer.key.fingerprint

    @property
    def subject(self) -> str:
        """Whom the certificate in force names; empty without one."""
        return "" if self._signer is None else self._signer.key.subject

    @property
    def note(self) -> str:
        """Why nothing is signed although a key is configured; empty otherwise."""
        return self._note

    def recipe(self, policy: ProvenancePolicy) -> str:
        """Return what decides how a file is marked: with another one it has to be made anew.

        The certificate is part of it: what a replaced one signed is signed again.
        """
        if not policy.recipe:
            return ""
        signs = policy.sign and self._signer is not None
        by = self._signer.key.fingerprint[:8] if signs and self._signer else "-"
        return f"{policy.recipe}.{by}"

    def mark(
        self, path: Path, statement: Statement, *, original: Path, actions: Sequence[str]
    ) -> Marked:
        """Mark a file in its place, and sign it.

        Args:
            path: A rendition, or a copy of the original.
            statement: What is said of it.
            original: The clip's own file; it becomes the manifest's ingredient, with whatever
                manifest its provider gave it.
            actions: What was done to the original, in C2PA's words.

        Raises:
            TamperedParentError: The original was changed after its provider signed it.
            SigningError: It can't be signed.
            ContainerError: It is damaged.
        """
        container = container_of_file(path)
        if container is None:
            return _as_it_is(path, Marks(), "files of this format can't carry marks")
        policy = statement.policy
        if not policy.mark:
            return _as_it_is(path, _marks_in(path, container), "its collection asks for no marks")
        signer = self._signer if policy.sign else None
        if signer is None:
            return self._mark_alone(path, container, statement)
        source = container_of_file(original)
        parent = Parent(
            original, source.mime if source else "application/octet-stream", _title(statement)
        )
        if source is not None and _has_manifest(original, source):
            signer.refuse_tampered(parent)
        marks, note, sidecar = mark(path, path, statement), "", None
        if container.can_be_signed:
            signed = path.with_name(f"{path.name}.signed")
            try:
                signer.sign(
                    path,
                    signed,
                    container.mime,
                    said=statement.assertion(),
                    actions=actions,
                    parent=parent,
                )
                signed.replace(path)
            finally:
                signed.unlink(missing_ok=True)
            marks = replace(marks, kinds=tuple(sorted({*marks.kinds, "c2pa"})))
        else:
            sidecar = signer.sidecar(
                path, container.mime, said=statement.assertion(), parent=parent
            )
            note = f"{container.name} can't hold a signature: its manifest lies beside it"
        return Marked(
            sha256=sha256_of(path),
            bytes=path.stat().st_size,
            marks=marks,
            signer=signer.key.subject,
            certificate=signer.key.fingerprint,
            sidecar=sidecar,
            note=note,
        )

    def seal(self, original: Path, statement: Statement) -> bytes | None:
        """Return a manifest that lies beside an original; None where none is to.

        Raises:
            TamperedParentError: The original was changed after its provider signed it.
            SigningError: It can't be signed.
        """
        signer, policy = self._signer, statement.policy
        container = container_of_file(original)
        if signer is None or container is None or not (policy.mark and policy.sign):
            return None
        parent = None
        if _has_manifest(original, container):
            parent = Parent(original, container.mime, _title(statement))
            signer.refuse_tampered(parent)
        return signer.sidecar(original, container.mime, said=statement.assertion(), parent=parent)

    def _mark_alone(self, path: Path, container: Container, statement: Statement) -> Marked:
        """Mark a file that is not to be signed by us; one that others signed is left whole."""
        there = _marks_in(path, container)
        if there.has_manifest:
            return _as_it_is(
                path, there, "it is as its provider signed it: another mark would break that"
            )
        marks = mark(path, path, statement)
        return _as_it_is(path, marks, self._note if statement.policy.sign else "")


def open_marker(settings: Settings, clock: Clock) -> Marker:
    """Return what marks files by the settings.

    Without the extra ``provenance`` files are marked and not signed, and each says so.

    Raises:
        KeyMaterialError: A certificate or key is configured and can't be used.
    """
    if not is_configured(settings):
        return Marker()
    if not is_installed():
        return Marker(note=_NOT_INSTALLED)
    key = load_key(settings)
    if key is None:
        return Marker()
    key.check(clock.now())
    return Marker(ManifestSigner(key, ManifestReader(trust_anchors(settings))))


def _title(statement: Statement) -> str:
    if not statement.policy.shows("ids"):
        return "original"
    clip = statement.clip
    return f"{clip.kind}/{clip.prompt_id}-{clip.variant}"


def _as_it_is(path: Path, marks: Marks, note: str) -> Marked:
    return Marked(sha256_of(path), path.stat().st_size, marks, note=note)


def _has_manifest(original: Path, container: Container) -> bool:
    return container.can_be_signed and _marks_in(original, container).has_manifest


def _marks_in(path: Path, container: Container) -> Marks:
    return read_marks(path.read_bytes(), container)
