"""Looking at a file that came from anywhere: what it says of itself, and whether that holds.

Neither a ledger nor a network is asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from pydantic import JsonValue

from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.files import sha256_of
from asset_pipeline.provenance.containers.formats import Container, container_of_file
from asset_pipeline.provenance.containers.metadata import ContainerError
from asset_pipeline.provenance.keys import EXTRA_HINT
from asset_pipeline.provenance.manifests import (
    UNSIGNED,
    ManifestReader,
    Signature,
    SignatureState,
    is_installed,
)
from asset_pipeline.provenance.marker import SIDECAR
from asset_pipeline.provenance.marks import Marks, read_marks


class UnreadableError(AssetPipelineError):
    """There is no such file, or it can't be read."""


class Verdict(StrEnum):
    """What is to be thought of a file, in one word."""

    TRUSTED = "trusted"  # signed by somebody whose authority is trusted, and unchanged since
    VALID = "valid"  # signed and unchanged; by whom, nobody here vouches for
    INVALID = "invalid"  # changed since it was signed
    MARKED = "marked"  # says that a model made it, and anybody could have written so
    UNMARKED = "unmarked"  # says nothing
    DAMAGED = "damaged"  # can't be read as what it seems to be


@dataclass(frozen=True, slots=True)
class FileReport:
    """What was found in a file.

    Attributes:
        format: Its format; empty for one that carries no marks.
        signature: Of its manifest, inside or beside it.
        is_beside: Whether the manifest lies beside it.
        marks: What it says without a signature.
        says: Facts of this project's own assertion, or of its marks.
        notes: What a person should know besides.
    """

    path: Path
    sha256: str
    format: str
    verdict: Verdict
    signature: Signature
    is_beside: bool = False
    marks: Marks = field(default_factory=Marks)
    says: Mapping[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    notes: tuple[str, ...] = ()

    @property
    def clip_sha256(self) -> str:
        """Return the SHA-256 of the clip that the file says it comes from; empty for none."""
        signed = self.says.get("clip_sha256")
        return signed if isinstance(signed, str) else self.marks.original_sha256


class Verifier:
    """Looks at files.

    Args:
        anchors: PEM of the authorities that are trusted; empty for none.
    """

    def __init__(self, anchors: str = "") -> None:
        self._reader = ManifestReader(anchors)
        self._can_check = is_installed()

    def verify(self, path: Path) -> FileReport:
        """Return what a file says of itself, and whether it holds.

        Raises:
            UnreadableError: There is no such file.
        """
        if not path.is_file():
            what = "is a folder" if path.is_dir() else "is not there"
            raise UnreadableError(
                f"{path} {what}.", hint="Give files, such as those of a folder/*."
            )
        try:
            sha256, container = sha256_of(path), container_of_file(path)
        except OSError as error:
            raise UnreadableError(f"{path} can't be read: {error.strerror or error}.") from None
        if container is None:
            note = "It is of no format that carries marks here."
            return FileReport(path, sha256, "", Verdict.UNMARKED, UNSIGNED, notes=(note,))
        try:
            marks = read_marks(path.read_bytes(), container)
        except ContainerError as error:
            return FileReport(
                path, sha256, container.name, Verdict.DAMAGED, UNSIGNED, notes=(error.message,)
            )
        signature, is_beside = self._signature(path, container, marks)
        return FileReport(
            path,
            sha256,
            container.name,
            _verdict(signature, marks),
            signature,
            is_beside,
            marks,
            signature.said or _said_by(marks),
            tuple(_notes(signature)),
        )

    def _signature(self, path: Path, container: Container, marks: Marks) -> tuple[Signature, bool]:
        beside = path.with_name(path.name + SIDECAR)
        is_beside = not marks.has_manifest and beside.is_file()
        if not marks.has_manifest and not is_beside:
            return UNSIGNED, False
        if not self._can_check:
            note = f"Its signature was not checked: c2pa-python is not installed. {EXTRA_HINT}"
            return Signature(SignatureState.UNCHECKED, note=note), is_beside
        sidecar = beside.read_bytes() if is_beside else None
        return self._reader.read(path, container.mime, sidecar), is_beside


def _verdict(signature: Signature, marks: Marks) -> Verdict:
    if signature.is_whole or signature.state is SignatureState.INVALID:
        return Verdict(signature.state.value)
    return Verdict.MARKED if marks.says_generated else Verdict.UNMARKED


def _said_by(marks: Marks) -> dict[str, JsonValue]:
    said: dict[str, JsonValue] = {}
    if marks.system:
        said["model"] = marks.system
    if marks.original_sha256:
        said["clip_sha256"] = marks.original_sha256
    return said


def _notes(signature: Signature) -> list[str]:
    notes = [signature.note] if signature.note else []
    if signature.state is SignatureState.VALID:
        notes.append(
            "Nobody that is trusted here vouches for the signer: name authorities with --trust."
        )
    notes.extend(
        f"What it was made from, {each.title or 'an ingredient'}, was not whole: "
        f"{', '.join(each.problems)}."
        for each in signature.ingredients
        if each.problems and each.problems != ("signingCredential.untrusted",)
    )
    return notes
