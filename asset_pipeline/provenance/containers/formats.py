"""Which format a file has, and who writes and reads its metadata."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.provenance.containers import avif, flac, id3, jpeg, ogg, png, riff
from asset_pipeline.provenance.containers.metadata import FoundMetadata, NewMetadata

_AVIF_BRANDS = {b"avif", b"avis"}
_OGG_PACKET = 28
_HEAD = 4096


@dataclass(frozen=True, slots=True)
class Container:
    """A format whose files can carry marks.

    Attributes:
        name: As people call it.
        mime: What C2PA knows it by.
        can_be_signed: Whether a C2PA manifest can be inside of it.
        embed: Returns a file's content with metadata added.
        read: Returns what a file's content carries.
        without_c2pa: Returns a file's content without its manifest, which then lies elsewhere.
    """

    name: str
    kind: Kind
    mime: str
    can_be_signed: bool
    embed: Callable[[bytes, NewMetadata], bytes]
    read: Callable[[bytes], FoundMetadata]
    without_c2pa: Callable[[bytes], bytes]


def _same(data: bytes) -> bytes:
    return data


PNG: Final = Container("PNG", Kind.IMAGE, "image/png", True, png.embed, png.read, png.without_c2pa)
JPEG: Final = Container(
    "JPEG", Kind.IMAGE, "image/jpeg", True, jpeg.embed, jpeg.read, jpeg.without_c2pa
)
WEBP: Final = Container(
    "WebP", Kind.IMAGE, "image/webp", True, riff.embed_webp, riff.read, riff.without_c2pa
)
AVIF: Final = Container(
    "AVIF", Kind.IMAGE, "image/avif", True, avif.embed, avif.read, avif.without_c2pa
)
MP3: Final = Container("MP3", Kind.AUDIO, "audio/mpeg", True, id3.embed, id3.read, id3.without_c2pa)
WAV: Final = Container(
    "WAV", Kind.AUDIO, "audio/wav", True, riff.embed_wav, riff.read, riff.without_c2pa
)
FLAC: Final = Container(
    "FLAC", Kind.AUDIO, "audio/flac", True, flac.embed, flac.read, flac.without_c2pa
)
OGG: Final = Container("Ogg", Kind.AUDIO, "audio/ogg", False, ogg.embed, ogg.read, _same)


def container_of(data: bytes) -> Container | None:
    """Return the format of a file's content, by its first bytes; None for one that has no marks."""
    simple = {b"\x89PNG": PNG, b"\xff\xd8\xff": JPEG, b"fLaC": FLAC}
    for magic, container in simple.items():
        if data.startswith(magic):
            return container
    if data.startswith(b"RIFF"):
        return {b"WEBP": WEBP, b"WAVE": WAV}.get(data[8:12])
    if data[4:8] == b"ftyp":
        size = int.from_bytes(data[:4], "big")
        brands = {data[8:12], *(data[at : at + 4] for at in range(16, min(size, 256), 4))}
        return AVIF if brands & _AVIF_BRANDS else None
    if data.startswith(b"OggS"):
        packet = data[_OGG_PACKET : _OGG_PACKET + 8]
        return OGG if packet.startswith((b"OpusHead", b"\x01vorbis")) else None
    if data.startswith(b"ID3"):
        # FLAC that is signed, or tagged by careless programs, has such a tag in front too.
        at = id3.length_of(data)
        return FLAC if data[at : at + 4] == b"fLaC" else MP3
    is_frame = len(data) > 1 and data[0] == 0xFF and data[1] & 0xE6 == 0xE2  # noqa: PLR2004 -- an MPEG frame's sync and layer bits
    return MP3 if is_frame else None


def container_of_file(path: Path) -> Container | None:
    """Return the format of a file; one that begins with a long tag is read as far as needed."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
        length = id3.declared_length(head)
        if length > len(head):
            file.seek(length)
            return FLAC if file.read(4) == b"fLaC" else MP3
    return container_of(head)
