"""FLAC: Vorbis comments in a block of their own; C2PA in an ID3 tag in front."""

from __future__ import annotations

from collections.abc import Iterator

from asset_pipeline.provenance.containers import id3, vorbis
from asset_pipeline.provenance.containers.metadata import (
    ContainerError,
    FoundMetadata,
    NewMetadata,
)

_MAGIC = b"fLaC"
_LAST = 0x80
_HEAD = 4
_COMMENTS = 4
_LONGEST = 0xFFFFFF

Block = tuple[int, bytes]


def embed(data: bytes, new: NewMetadata) -> bytes:
    """Return the sound with marks in its comments; those that are there stay as they are."""
    start = id3.length_of(data)
    blocks, end = _blocks(data, start)
    fields = dict(new.fields)
    if new.xmp:
        fields["xmp"] = new.xmp
    comments = next((body for kind, body in blocks if kind == _COMMENTS), vorbis.empty("libFLAC"))
    kept = [block for block in blocks if block[0] != _COMMENTS]
    # STREAMINFO has to be first.
    marked = [kept[0], (_COMMENTS, vorbis.with_fields(comments, fields)), *kept[1:]]
    return b"".join([data[:start], _MAGIC, *_packed(marked), data[end:]])


def read(data: bytes) -> FoundMetadata:
    """Return what a file carries."""
    start = id3.length_of(data)
    found = id3.read(data)
    for kind, body in _blocks(data, start)[0]:
        if kind == _COMMENTS:
            vorbis.note_fields(body, found)
    return found


def without_c2pa(data: bytes) -> bytes:
    """Return the file without its C2PA manifest."""
    return id3.without_c2pa(data)


def _blocks(data: bytes, start: int) -> tuple[list[Block], int]:
    """Return the metadata blocks, and where the sound begins."""
    if data[start : start + 4] != _MAGIC:
        raise ContainerError("The FLAC sound does not begin as one.")
    at, blocks, last = start + 4, list[Block](), False
    while not last:
        head = data[at : at + _HEAD]
        if len(head) < _HEAD:
            raise ContainerError("The FLAC sound is cut short.")
        last, length = bool(head[0] & _LAST), int.from_bytes(head[1:], "big")
        blocks.append((head[0] & ~_LAST, data[at + _HEAD : at + _HEAD + length]))
        at += _HEAD + length
    return blocks, at


def _packed(blocks: list[Block]) -> Iterator[bytes]:
    for number, (kind, body) in enumerate(blocks, start=1):
        if len(body) > _LONGEST:
            raise ContainerError("The marks don't fit into a FLAC sound.")
        last = _LAST if number == len(blocks) else 0
        yield bytes([kind | last]) + len(body).to_bytes(3, "big") + body
