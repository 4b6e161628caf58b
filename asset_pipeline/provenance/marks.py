"""Marks of a file without a signature: written into it, and read from it again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from asset_pipeline.files import atomic_path
from asset_pipeline.provenance.containers.exif import USER_COMMENT
from asset_pipeline.provenance.containers.formats import Container, container_of
from asset_pipeline.provenance.containers.metadata import ContainerError, FoundMetadata
from asset_pipeline.provenance.statement import Statement
from asset_pipeline.provenance.xmp import SOURCE_TYPES, Properties, read


@dataclass(frozen=True, slots=True)
class Marks:
    """What a file says of itself, whoever wrote it.

    Attributes:
        kinds: Where it is said, sorted: ``exif``, ``id3``, ``png-text``, ``riff``, ``vorbis``,
            ``xmp``; ``c2pa`` for a manifest, valid or not.
        digital_source_type: IPTC's URI; empty where none is named.
        parameters: How it was made, as generators write it.
    """

    kinds: tuple[str, ...] = ()
    digital_source_type: str = ""
    credit: str = ""
    description: str = ""
    system: str = ""
    identifier: str = ""
    parameters: str = ""

    @property
    def says_generated(self) -> bool:
        """Whether a program can tell from it that a model made the file, signatures aside."""
        return self.digital_source_type.rpartition("/")[2] in _GENERATED

    @property
    def has_manifest(self) -> bool:
        """Whether there is a C2PA manifest in it, valid or not."""
        return "c2pa" in self.kinds

    @property
    def original_sha256(self) -> str:
        """Return the SHA-256 of the clip that it says it comes from; empty for none."""
        _, found, sha256 = self.identifier.partition("urn:sha256:")
        return sha256 if found and len(sha256) == _HEX_DIGITS else ""


_GENERATED = {
    "trainedAlgorithmicMedia",
    "compositeWithTrainedAlgorithmicMedia",
    "algorithmicMedia",
}
_HEX_DIGITS = 64


def mark(source: Path, target: Path, statement: Statement) -> Marks:
    """Write a file with marks, and return them; the source is left as it is.

    A manifest that the source carries would no longer fit its bytes, so the target has none.

    Args:
        source: Any file that :func:`~asset_pipeline.provenance.containers.formats.container_of`
            knows.
        target: Written whole or not at all, and not synced; it may be the source.
        statement: What the marks say.

    Raises:
        ContainerError: Its format can carry no marks, or is damaged.
    """
    data = source.read_bytes()
    container = container_of(data)
    if container is None:
        raise ContainerError(f"{source.name} is of a format that can't carry marks.")
    data = container.without_c2pa(data)
    found = container.read(data)
    marked = container.embed(data, statement.metadata(found.xmp))
    with atomic_path(target, durable=False) as temporary:
        temporary.write_bytes(marked)
    return read_marks(marked, container)


def read_marks(data: bytes, container: Container) -> Marks:
    """Return what a file's content says of itself.

    Raises:
        ContainerError: It is damaged.
    """
    return _marks_of(container.read(data))


def _marks_of(found: FoundMetadata) -> Marks:
    said = read(found.xmp) if found.xmp else Properties()
    fields = found.fields
    tagged = fields.get("digitalsourcetype", "")
    return Marks(
        kinds=tuple(sorted(found.kinds)),
        digital_source_type=said.digital_source_type
        or (tagged if tagged.startswith(SOURCE_TYPES) else ""),
        credit=said.credit,
        description=said.description or fields.get("comment", ""),
        system=said.system,
        identifier=said.identifier or fields.get("identifier", ""),
        parameters=fields.get("parameters", "") or fields.get(USER_COMMENT, ""),
    )
