"""Ogg Vorbis and Opus: comments in the second packet of the stream.

The pages of the headers are laid anew. Where that takes as many pages as before, which is nearly
always so, the pages of sound stay as they are.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache

from asset_pipeline.provenance.containers import vorbis
from asset_pipeline.provenance.containers.metadata import (
    ContainerError,
    FoundMetadata,
    NewMetadata,
)

_HEADER = 27
_CONTINUED = 0x01
_FULL = 255
_NO_PACKET_ENDS = 0xFFFFFFFFFFFFFFFF
_OPUS, _VORBIS = b"OpusTags", b"\x03vorbis"


@dataclass(frozen=True, slots=True)
class _Page:
    flags: int
    position: int
    serial: int
    number: int
    lacing: bytes
    body: bytes

    def packed(self) -> bytes:
        head = struct.pack(
            "<4sBBQLLLB",
            b"OggS",
            0,
            self.flags,
            self.position,
            self.serial,
            self.number,
            0,
            len(self.lacing),
        )
        page = bytearray(head + self.lacing + self.body)
        page[22:26] = struct.pack("<L", _checksum(page))
        return bytes(page)


def embed(data: bytes, new: NewMetadata) -> bytes:
    """Return the sound with marks in its comments; those that are there stay as they are."""
    first, rest = _page(data, 0)
    headers, at, packets = _header_packets(data, rest, first)
    name = _OPUS if packets[0].startswith(_OPUS) else _VORBIS
    fields = dict(new.fields)
    if new.xmp:
        fields["xmp"] = new.xmp
    comments = name + vorbis.with_fields(packets[0][len(name) :], fields)
    if name == _VORBIS:
        comments += b"\x01"  # the framing bit
    laid = list(_laid([comments, *packets[1:]], first.serial))
    parts = [data[:rest], *(page.packed() for page in laid)]
    shift = len(laid) - headers
    if not shift:
        return b"".join([*parts, data[at:]])
    while at < len(data):
        page, at = _page(data, at)
        parts.append(replace(page, number=page.number + shift).packed())
    return b"".join(parts)


def read(data: bytes) -> FoundMetadata:
    """Return what a file carries."""
    found = FoundMetadata()
    first, rest = _page(data, 0)
    _, _, packets = _header_packets(data, rest, first)
    name = _OPUS if packets[0].startswith(_OPUS) else _VORBIS
    vorbis.note_fields(packets[0][len(name) :], found)
    return found


def _page(data: bytes, at: int) -> tuple[_Page, int]:
    """Return the page at a place, and where the next one is."""
    if data[at : at + 4] != b"OggS" or len(data) < at + _HEADER:
        raise ContainerError("The Ogg sound is damaged: there is no page where one was due.")
    _, _, flags, position, serial, number, _, count = struct.unpack_from("<4sBBQLLLB", data, at)
    lacing = data[at + _HEADER : at + _HEADER + count]
    start = at + _HEADER + count
    end = start + sum(lacing)
    if end > len(data):
        raise ContainerError("The Ogg sound is cut short.")
    return _Page(flags, position, serial, number, lacing, data[start:end]), end


def _header_packets(data: bytes, at: int, first: _Page) -> tuple[int, int, list[bytes]]:
    """Return how many pages the other headers take, where the sound begins, and their packets."""
    wanted = 1 if first.body.startswith(b"OpusHead") else 2
    packets: list[bytes] = []
    pages, part = 0, bytearray()
    while len(packets) < wanted:
        page, at = _page(data, at)
        if page.serial != first.serial:
            raise ContainerError("The Ogg file holds more than one stream.")
        pages += 1
        offset = 0
        for number, length in enumerate(page.lacing, start=1):
            part += page.body[offset : offset + length]
            offset += length
            if length < _FULL:
                packets.append(bytes(part))
                part.clear()
                if len(packets) == wanted and number < len(page.lacing):
                    raise ContainerError("The Ogg file's sound begins amid its headers.")
    if not packets[0].startswith((_OPUS, _VORBIS)):
        raise ContainerError("The Ogg file has no comments where they are due.")
    return pages, at, packets


def _laid(packets: list[bytes], serial: int) -> Iterator[_Page]:
    """Yield packets in pages, numbered from 1: that of the first header is 0."""
    lacing = bytearray()
    for packet in packets:
        lacing += bytes([_FULL]) * (len(packet) // _FULL) + bytes([len(packet) % _FULL])
    body, at, number, continued = b"".join(packets), 0, 1, False
    for start in range(0, len(lacing), _FULL):
        part = bytes(lacing[start : start + _FULL])
        length = sum(part)
        ends = any(each < _FULL for each in part)
        yield _Page(
            _CONTINUED if continued else 0,
            0 if ends else _NO_PACKET_ENDS,
            serial,
            number,
            part,
            body[at : at + length],
        )
        continued = part[-1] == _FULL
        at, number = at + length, number + 1


@cache
def _table() -> tuple[int, ...]:
    table: list[int] = []
    for byte in range(256):
        remainder = byte << 24
        for _ in range(8):
            remainder = (remainder << 1) ^ (0x04C11DB7 if remainder & 0x80000000 else 0)
        table.append(remainder & 0xFFFFFFFF)
    return tuple(table)


def _checksum(page: bytes | bytearray) -> int:
    """Return a page's checksum: zlib's polynomial, the other way round."""
    table, remainder = _table(), 0
    for byte in page:
        remainder = (remainder << 8 & 0xFFFFFFFF) ^ table[remainder >> 24 ^ byte]
    return remainder
