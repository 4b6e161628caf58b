"""JPEG: EXIF and XMP in APP1, C2PA in APP11."""

from __future__ import annotations

from collections.abc import Iterator

from asset_pipeline.provenance.containers.exif import note_exif, user_comment
from asset_pipeline.provenance.containers.metadata import (
    ContainerError,
    FoundMetadata,
    NewMetadata,
)

_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_EXIF = b"Exif\0\0"
_LONGEST = 0xFFFF - 2
_APP0, _APP1, _APP11, _SCAN, _END = 0xE0, 0xE1, 0xEB, 0xDA, 0xD9
_PREFIX = 0xFF


def embed(data: bytes, new: NewMetadata) -> bytes:
    """Return the file with marks behind its JFIF header; EXIF that is there stays as it is."""
    found = read(data)
    added: list[bytes] = []
    if new.parameters and not found.has_exif:
        added.append(_segment(_EXIF + user_comment(new.parameters)))
    if new.xmp:
        added.append(_segment(_XMP + new.xmp.encode()))
    before, after, at = [data[:2]], list[bytes](), 2
    for marker, start, end in _segments(data):
        is_old_xmp = bool(new.xmp) and marker == _APP1 and data.startswith(_XMP, start + 4)
        if not is_old_xmp:
            (before if marker == _APP0 and not after else after).append(data[start:end])
        at = end
    return b"".join([*before, *added, *after, data[at:]])


def read(data: bytes) -> FoundMetadata:
    """Return what a file carries."""
    found = FoundMetadata()
    for marker, start, end in _segments(data):
        body = data[start + 4 : end]
        if marker == _APP1 and body.startswith(_XMP):
            found.note_xmp(body[len(_XMP) :])
        elif marker == _APP1 and body.startswith(_EXIF):
            note_exif(body, found)
        elif _is_c2pa(marker, body):
            found.note_c2pa()
    return found


def without_c2pa(data: bytes) -> bytes:
    """Return the file without its C2PA manifest."""
    parts, at = [data[:2]], 2
    for marker, start, end in _segments(data):
        if not _is_c2pa(marker, data[start + 4 : end]):
            parts.append(data[start:end])
        at = end
    return b"".join([*parts, data[at:]])


def _is_c2pa(marker: int, body: bytes) -> bool:
    # JUMBF in pieces: each begins with "JP", the number of the box and that of the piece.
    return marker == _APP11 and body.startswith(b"JP") and b"jumb" in body[:64]


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield marker, beginning and end of each segment before the first scan."""
    at = 2
    while at + 4 <= len(data):
        if data[at] != _PREFIX:
            raise ContainerError("The JPEG picture is damaged: a segment begins with no marker.")
        marker = data[at + 1]
        if marker == _PREFIX:  # filling
            at += 1
            continue
        if marker in {_SCAN, _END}:
            return
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if end > len(data) or end < at + 4:
            raise ContainerError("The JPEG picture is cut short.")
        yield marker, at, end
        at = end


def _segment(body: bytes) -> bytes:
    if len(body) > _LONGEST:
        raise ContainerError(
            f"{len(body):,} bytes of marks don't fit into a JPEG picture; {_LONGEST:,} do.",
            hint="Let the collection's `provenance` redact the prompt, or shorten it.",
        )
    return bytes([_PREFIX, _APP1]) + (len(body) + 2).to_bytes(2, "big") + body
