"""ID3v2, in front of MP3: text, comments, XMP; and the C2PA manifest of MP3 and FLAC."""

from __future__ import annotations

from collections.abc import Iterator

from asset_pipeline.provenance.containers.metadata import FoundMetadata, NewMetadata

_HEADER = 10
_LANGUAGE = 4  # the encoding and three letters
_UTF8, _UTF16_BOM, _UTF16_BE, _LATIN = 3, 1, 2, 0
_V3, _V4 = 3, 4
_UNSYNCHRONISED, _EXTENDED, _FOOTER = 0x80, 0x40, 0x10
_TEXT = {"title": b"TIT2", "artist": b"TPE1", "software": b"TSSE"}
_NAMES = {code: name for name, code in _TEXT.items()}
_CODECS = {_LATIN: "latin-1", _UTF16_BOM: "utf-16", _UTF16_BE: "utf-16-be", _UTF8: "utf-8"}
_XMP_OWNER = b"XMP\0"

Frame = tuple[bytes, int, bytes]
"""Its name, its flags and its content."""


def embed(data: bytes, new: NewMetadata) -> bytes:
    """Return the sound with marks in its ID3 tag; frames that are there stay, but for old XMP."""
    end = length_of(data)
    frames = list(_frames(data[:end]))
    there = {_key(frame) for frame in frames}
    added: list[Frame] = []
    for name, text in new.fields.items():
        frame = _field(name, text)
        if _key(frame) not in there:
            added.append(frame)
    if new.xmp:
        frames = [frame for frame in frames if _key(frame) != b"PRIV" + _XMP_OWNER]
        added.append((b"PRIV", 0, _XMP_OWNER + new.xmp.encode()))
    body = b"".join(
        b"".join([name, _safe(len(content)), flags.to_bytes(2, "big"), content])
        for name, flags, content in [*frames, *added]
    )
    return b"".join([b"ID3\x04\0\0", _safe(len(body)), body, data[end:]])


def read(data: bytes) -> FoundMetadata:
    """Return what the tag at the head of a file carries."""
    found = FoundMetadata()
    for name, _, content in _frames(data[: length_of(data)]):
        if name == b"GEOB" and b"c2pa" in content[:80]:
            found.note_c2pa()
        elif name == b"PRIV" and content.startswith(_XMP_OWNER):
            found.note_xmp(content[len(_XMP_OWNER) :])
        elif name in _NAMES and content:
            found.fields[_NAMES[name]] = _decoded(content[0], content[1:]).strip("\0")
            found.kinds.add("id3")
        elif name == b"TXXX" and content:
            key, _, text = _decoded(content[0], content[1:]).partition("\0")
            found.fields[key.lower()] = text.strip("\0")
            found.kinds.add("id3")
        elif name == b"COMM" and len(content) > _LANGUAGE:
            comment = _decoded(content[0], content[_LANGUAGE:]).partition("\0")[2]
            found.fields["comment"] = comment.strip("\0")
            found.kinds.add("id3")
    return found


def without_c2pa(data: bytes) -> bytes:
    """Return the file without its C2PA manifest."""
    end = length_of(data)
    frames = [f for f in _frames(data[:end]) if not (f[0] == b"GEOB" and b"c2pa" in f[2][:80])]
    if not frames:
        return data[end:]
    body = b"".join(
        b"".join([name, _safe(len(content)), flags.to_bytes(2, "big"), content])
        for name, flags, content in frames
    )
    return b"".join([b"ID3\x04\0\0", _safe(len(body)), body, data[end:]])


def length_of(data: bytes) -> int:
    """Return how long the tag at the head of a file's content is; 0 if there is none."""
    return min(len(data), declared_length(data))


def declared_length(head: bytes) -> int:
    """Return the same as the tag's own head says it."""
    if head[:3] != b"ID3" or len(head) < _HEADER:
        return 0
    footer = _HEADER if head[5] & _FOOTER else 0
    return _HEADER + _unsafe(head[6:10]) + footer


def _frames(tag: bytes) -> Iterator[Frame]:
    """Yield the frames of a tag of version 2.3 or 2.4; of older ones, and scrambled ones, none.

    What can't be read is not carried over either. Version 2.2 is that of the nineties.
    """
    if len(tag) < _HEADER or tag[3] not in {_V3, _V4} or tag[5] & _UNSYNCHRONISED:
        return
    version, end = tag[3], _HEADER + _unsafe(tag[6:10])
    at = _HEADER
    if tag[5] & _EXTENDED:
        size = int.from_bytes(tag[10:14], "big") + 4 if version == _V3 else _unsafe(tag[10:14])
        at += size
    while at + _HEADER <= min(end, len(tag)) and tag[at] != 0:
        raw = tag[at + 4 : at + 8]
        size = _unsafe(raw) if version == _V4 else int.from_bytes(raw, "big")
        flags = int.from_bytes(tag[at + 8 : at + 10], "big")
        content = tag[at + 10 : at + 10 + size]
        if len(content) < size:
            return
        at += _HEADER + size
        if version == _V3:
            if flags & 0x00C0:  # packed or encrypted: other bits in 2.4
                continue
            flags = 0
        yield tag[at - size - _HEADER : at - size - 6], flags, content


def _field(name: str, text: str) -> Frame:
    raw = text.encode("utf-8", "replace")
    if name in _TEXT:
        return _TEXT[name], 0, bytes([_UTF8]) + raw
    if name == "comment":
        return b"COMM", 0, bytes([_UTF8]) + b"eng\0" + raw
    return b"TXXX", 0, bytes([_UTF8]) + name.encode() + b"\0" + raw


def _key(frame: Frame) -> bytes:
    """Return what two frames share that say the same of a sound."""
    name, _, content = frame
    if name == b"PRIV":
        return name + content.partition(b"\0")[0] + b"\0"
    if name == b"TXXX" and content:
        return name + _decoded(content[0], content[1:]).partition("\0")[0].lower().encode()
    return name


def _decoded(encoding: int, raw: bytes) -> str:
    text = raw.decode(_CODECS.get(encoding, "latin-1"), "replace")
    return text.replace("\ufeff", "")


def _safe(number: int) -> bytes:
    """Return a number in four bytes of seven bits, as the tag's lengths are."""
    return bytes(number >> shift & 0x7F for shift in (21, 14, 7, 0))


def _unsafe(raw: bytes) -> int:
    number = 0
    for byte in raw:
        number = number << 7 | byte & 0x7F
    return number
