"""RIFF: WebP with EXIF and XMP, WAV with INFO and XMP; C2PA in a chunk of its own in both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from asset_pipeline.provenance.containers import id3
from asset_pipeline.provenance.containers.exif import note_exif, user_comment
from asset_pipeline.provenance.containers.metadata import (
    ContainerError,
    FoundMetadata,
    NewMetadata,
)

_C2PA = b"C2PA"
_EXIF_FLAG, _XMP_FLAG, _ALPHA_FLAG, _ANIMATION_FLAG = 0x08, 0x04, 0x10, 0x02
_VP8L_ALPHA = 1 << 28
_VP8_SIZE = 6
_RIFF_LIMIT = 0xFFFFFFFF

# Sizes that mean "until the end", as programs write them that stream.
_UNTIL_THE_END = {0xFFFFFFFF, 0xFFFFFFFE, 0x7FFFFFFF}

INFO = {"title": b"INAM", "artist": b"IART", "comment": b"ICMT", "software": b"ISFT"}
"""Names of fields as RIFF has them."""

Chunk = tuple[bytes, bytes]


def embed_webp(data: bytes, new: NewMetadata) -> bytes:
    """Return the picture with marks; EXIF that is there stays as it is."""
    chunks = list(_chunks(data))
    names = {name for name, _ in chunks}
    flags = 0
    if new.parameters and b"EXIF" not in names:
        chunks.append((b"EXIF", user_comment(new.parameters)))
        flags |= _EXIF_FLAG
    if new.xmp:
        chunks = [chunk for chunk in chunks if chunk[0] != b"XMP "]
        chunks.append((b"XMP ", new.xmp.encode()))
        flags |= _XMP_FLAG
    if not flags:
        return data
    if chunks[0][0] != b"VP8X":
        chunks.insert(0, (b"VP8X", _extended(chunks)))
    head = bytearray(chunks[0][1])
    head[0] |= flags
    chunks[0] = (b"VP8X", bytes(head))
    return _built(b"WEBP", chunks)


def embed_wav(data: bytes, new: NewMetadata) -> bytes:
    """Return the sound with marks behind everything else; INFO that is there stays, added to."""
    chunks = list(_chunks(data))
    if new.fields:
        there = [body for name, body in chunks if name == b"LIST" and body[:4] == b"INFO"]
        known = dict(_info(b"".join(body[4:] for body in there)))
        chunks = [c for c in chunks if not (c[0] == b"LIST" and c[1][:4] == b"INFO")]
        wanted = {INFO[name]: _text(text) for name, text in new.fields.items() if name in INFO}
        chunks.append((b"LIST", b"INFO" + b"".join(map(_packed, (wanted | known).items()))))
    if new.xmp:
        chunks = [chunk for chunk in chunks if chunk[0] != b"_PMX"]
        chunks.append((b"_PMX", new.xmp.encode()))
    return _built(b"WAVE", chunks)


def read(data: bytes) -> FoundMetadata:
    """Return what a WebP or WAV file carries."""
    found = FoundMetadata()
    names: Mapping[bytes, str] = {code: name for name, code in INFO.items()}
    for name, body in _chunks(data):
        if name == _C2PA:
            found.note_c2pa()
        elif name in {b"XMP ", b"_PMX"}:
            found.note_xmp(body)
        elif name == b"EXIF":
            note_exif(body, found)
        elif name == b"LIST" and body[:4] == b"INFO":
            for code, text in _info(body[4:]):
                if code in names:
                    found.fields[names[code]] = text.rstrip(b"\0").decode("utf-8", "replace")
                    found.kinds.add("riff")
        elif name in {b"id3 ", b"ID3 "} and body[:3] == b"ID3":
            inner = id3.read(body)
            found.fields |= inner.fields
            found.kinds |= inner.kinds
    return found


def without_c2pa(data: bytes) -> bytes:
    """Return the file without its C2PA manifest."""
    return _built(data[8:12], [chunk for chunk in _chunks(data) if chunk[0] != _C2PA])


def _chunks(data: bytes) -> Iterator[Chunk]:
    at = 12
    while at + 8 <= len(data):
        name = data[at : at + 4]
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        if length in _UNTIL_THE_END and name == b"data":
            length = len(data) - at - 8
        if at + 8 + length > len(data):
            raise ContainerError(f"The file is cut short in its part {name!r}.")
        yield name, data[at + 8 : at + 8 + length]
        at += 8 + length + length % 2


def _built(form: bytes, chunks: list[Chunk]) -> bytes:
    body = b"".join([form, *map(_packed, chunks)])
    if len(body) > _RIFF_LIMIT:
        raise ContainerError("The file is too long for its format once it is marked.")
    return b"RIFF" + len(body).to_bytes(4, "little") + body


def _packed(chunk: Chunk) -> bytes:
    name, body = chunk
    return b"".join([name, len(body).to_bytes(4, "little"), body, bytes(len(body) % 2)])


def _info(body: bytes) -> Iterator[Chunk]:
    at = 0
    while at + 8 <= len(body):
        length = int.from_bytes(body[at + 4 : at + 8], "little")
        yield body[at : at + 4], body[at + 8 : at + 8 + length]
        at += 8 + length + length % 2


def _text(text: str) -> bytes:
    return text.encode("utf-8", "replace") + b"\0"


def _extended(chunks: list[Chunk]) -> bytes:
    """Return the header that a simple WebP lacks: what it has, its width and its height."""
    flags = 0
    for name, body in chunks:
        if name == b"VP8L":
            bits = int.from_bytes(body[1:5], "little")
            width, height = bits & 0x3FFF, bits >> 14 & 0x3FFF
            flags |= _ALPHA_FLAG if bits & _VP8L_ALPHA else 0
            break
        if name == b"VP8 ":
            width = (int.from_bytes(body[_VP8_SIZE : _VP8_SIZE + 2], "little") & 0x3FFF) - 1
            height = (int.from_bytes(body[_VP8_SIZE + 2 : _VP8_SIZE + 4], "little") & 0x3FFF) - 1
            break
    else:
        raise ContainerError("The WebP picture has no picture in it.")
    return bytes([flags, 0, 0, 0]) + width.to_bytes(3, "little") + height.to_bytes(3, "little")
