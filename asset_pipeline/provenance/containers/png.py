"""PNG: text chunks and XMP."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from asset_pipeline.provenance.containers.exif import note_exif
from asset_pipeline.provenance.containers.metadata import (
    ContainerError,
    FoundMetadata,
    NewMetadata,
)

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_XMP_KEYWORD = b"XML:com.adobe.xmp"
_HEADER = 33  # the signature and IHDR, which is always the first chunk
# A text chunk larger than this when unpacked is no prompt.
_LONGEST_TEXT = 1 << 20


def embed(data: bytes, new: NewMetadata) -> bytes:
    """Return the file with marks behind its header; text that is there stays as it is."""
    chunks: list[bytes] = []
    if new.parameters and "parameters" not in read(data).fields:
        chunks.append(_text("parameters", new.parameters))
    rest = data[_HEADER:]
    if new.xmp:
        packet = _XMP_KEYWORD + bytes(5) + new.xmp.encode()
        chunks.append(_chunk(b"iTXt", packet))
        kept = [
            data[start:end] for name, start, end in _chunks(data) if not _is_xmp(data, name, start)
        ]
        rest = b"".join(kept[1:])
    return b"".join([data[:_HEADER], *chunks, rest])


def read(data: bytes) -> FoundMetadata:
    """Return what a file carries."""
    found = FoundMetadata()
    for name, start, end in _chunks(data):
        body = data[start + 8 : end - 4]
        if name == b"caBX":
            found.note_c2pa()
        elif name == b"eXIf":
            note_exif(body, found)
        elif _is_xmp(data, name, start):
            found.note_xmp(body[len(_XMP_KEYWORD) + 5 :])
        elif name in {b"tEXt", b"zTXt", b"iTXt"}:
            keyword, text = _text_of(name, body)
            if keyword:
                found.fields[keyword] = text
                found.kinds.add("png-text")
    return found


def without_c2pa(data: bytes) -> bytes:
    """Return the file without its C2PA manifest."""
    kept = [data[start:end] for name, start, end in _chunks(data) if name != b"caBX"]
    return b"".join([_SIGNATURE, *kept])


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield each chunk's name, where it begins and where it ends."""
    at = len(_SIGNATURE)
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">L", data, at)
        end = at + 12 + length
        if end > len(data):
            raise ContainerError("The PNG picture is cut short.")
        yield data[at + 4 : at + 8], at, end
        at = end


def _is_xmp(data: bytes, name: bytes, start: int) -> bool:
    return name == b"iTXt" and data.startswith(_XMP_KEYWORD + b"\0", start + 8)


def _chunk(name: bytes, body: bytes) -> bytes:
    return b"".join(
        [struct.pack(">L", len(body)), name, body, struct.pack(">L", zlib.crc32(name + body))]
    )


def _text(keyword: str, text: str) -> bytes:
    """Return a text chunk as Pillow writes it: the plain one where Latin 1 is enough."""
    try:
        return _chunk(b"tEXt", keyword.encode() + b"\0" + text.encode("latin-1"))
    except UnicodeEncodeError:
        return _chunk(b"iTXt", keyword.encode() + bytes(5) + text.encode("utf-8", "replace"))


def _text_of(name: bytes, body: bytes) -> tuple[str, str]:
    keyword, _, rest = body.partition(b"\0")
    try:
        if name == b"iTXt":
            packed = rest[:1] == b"\x01"
            text = rest[2:].split(b"\0", 2)[2]
            return keyword.decode("latin-1"), (_unpacked(text) if packed else text).decode()
        text = _unpacked(rest[1:]) if name == b"zTXt" else rest
        return keyword.decode("latin-1"), text.decode("latin-1")
    except (IndexError, UnicodeDecodeError, zlib.error):
        return "", ""


def _unpacked(packed: bytes) -> bytes:
    return zlib.decompressobj().decompress(packed, _LONGEST_TEXT)
