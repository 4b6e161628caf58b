"""AVIF: XMP and EXIF as items of its own; C2PA in a box of its own.

New items' bytes come behind everything else. The table that says where items are grows, so that
all places that it names move by as much.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from asset_pipeline.provenance.containers.exif import note_exif, user_comment
from asset_pipeline.provenance.containers.metadata import (
    ContainerError,
    FoundMetadata,
    NewMetadata,
)

_C2PA = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
_XMP_TYPE = b"application/rdf+xml\0"
_EXIF_OFFSET = bytes(4)
_IN_FILE = 0
_HEAD = 8

Box = tuple[bytes, int, int, int]
"""Its name, where it begins, where its content begins, and where it ends."""


def embed(data: bytes, new: NewMetadata) -> bytes:
    """Return the picture with marks; EXIF and XMP that are there stay as they are."""
    found = read(data)
    added: list[tuple[bytes, bytes]] = []
    if new.parameters and not found.has_exif:
        added.append((b"Exif\0", _EXIF_OFFSET + user_comment(new.parameters)))
    if new.xmp and not found.xmp:
        added.append((b"mime\0" + _XMP_TYPE, new.xmp.encode()))
    if not added:
        return data
    meta = _meta(data)
    # The length of the new table does not depend on the places in it.
    grown = len(_grown(data, meta, added, 0, 0)) - (meta[3] - meta[1])
    table = _grown(data, meta, added, grown, len(data) + grown + _HEAD)
    payload = b"".join(body for _, body in added)
    return b"".join([data[: meta[1]], table, data[meta[3] :], _box(b"mdat", payload)])


def read(data: bytes) -> FoundMetadata:
    """Return what a file carries."""
    found = FoundMetadata()
    boxes = list(_boxes(data, 0, len(data)))
    if any(name == b"uuid" and data.startswith(_C2PA, start) for name, _, start, _ in boxes):
        found.note_c2pa()
    meta = _meta(data)
    inner = {box[0]: box for box in _boxes(data, meta[2] + 4, meta[3])}
    if b"iinf" not in inner or b"iloc" not in inner:
        return found
    places = _Places(data, inner[b"iloc"])
    for number, kind, rest in _items(data, inner[b"iinf"]):
        if kind == b"Exif" and number in places.at:
            offset, length = places.at[number]
            block = data[offset : offset + length]
            note_exif(block[4 + int.from_bytes(block[:4], "big") :], found)
        elif kind == b"mime" and _XMP_TYPE in rest and number in places.at:
            offset, length = places.at[number]
            found.note_xmp(data[offset : offset + length])
    return found


def without_c2pa(data: bytes) -> bytes:
    """Return the file as it is: its manifest is replaced when it is signed."""
    return data


class _Places:
    """The table of places, read: ``iloc`` of version 0 to 2, without bases, in the file itself."""

    def __init__(self, data: bytes, box: Box) -> None:
        at = box[2]
        self.version = data[at]
        sizes = int.from_bytes(data[at + 4 : at + 6], "big")
        self.offset, self.length = sizes >> 12, sizes >> 8 & 0xF
        self.base = sizes >> 4 & 0xF
        self.index = sizes & 0xF if self.version else 0
        self.wide = 4 if self.version > 1 else 2
        at += 6
        count = int.from_bytes(data[at : at + self.wide], "big")
        self.count_at, self.count = at, count
        at += self.wide
        self.at: dict[int, tuple[int, int]] = {}
        self.moved: list[tuple[int, int, int]] = []
        for _ in range(count):
            at = self._item(data, at)
        self.end = at

    def _item(self, data: bytes, at: int) -> int:
        number = int.from_bytes(data[at : at + self.wide], "big")
        at += self.wide
        method = _IN_FILE
        if self.version:
            method = data[at + 1] & 0xF
            at += 2
        at += 2
        base = int.from_bytes(data[at : at + self.base], "big")
        base_at = at
        at += self.base
        extents = int.from_bytes(data[at : at + 2], "big")
        at += 2
        if method == _IN_FILE and base:
            self.moved.append((base_at, self.base, base))
        for _ in range(extents):
            at += self.index
            offset = int.from_bytes(data[at : at + self.offset], "big")
            if method == _IN_FILE and not base and self.offset:
                self.moved.append((at, self.offset, offset))
            length = int.from_bytes(data[at + self.offset : at + self.offset + self.length], "big")
            if method == _IN_FILE and extents == 1:
                self.at[number] = (base + offset, length)
            at += self.offset + self.length
        return at


def _grown(
    data: bytes, meta: Box, added: list[tuple[bytes, bytes]], shift: int, payload_at: int
) -> bytes:
    """Return the metadata box with new items, all places in it moved."""
    inner = list(_boxes(data, meta[2] + 4, meta[3]))
    by_name = {box[0]: box for box in inner}
    for name in (b"iinf", b"iloc", b"pitm"):
        if name not in by_name:
            raise ContainerError(f"The AVIF picture has no {name.decode()} box.")
    numbers = [number for number, _, _ in _items(data, by_name[b"iinf"])]
    first = max(numbers, default=0) + 1
    built: list[bytes] = []
    for box in inner:
        name, start, _, end = box
        if name == b"iinf":
            built.append(_with_items(data, box, added, first))
        elif name == b"iloc":
            built.append(_with_places(data, box, meta, added, first, shift, payload_at))
        elif name == b"iref":
            references = data[box[2] : end] + _references(data, box, by_name[b"pitm"], added, first)
            built.append(_box(b"iref", references))
        else:
            built.append(data[start:end])
    if b"iref" not in by_name:
        references = _references(data, None, by_name[b"pitm"], added, first)
        built.append(_box(b"iref", bytes(4) + references))
    return _box(b"meta", data[meta[2] : meta[2] + 4] + b"".join(built))


def _with_items(data: bytes, box: Box, added: list[tuple[bytes, bytes]], first: int) -> bytes:
    at = box[2]
    wide = 4 if data[at] else 2
    count = int.from_bytes(data[at + 4 : at + 4 + wide], "big") + len(added)
    infos = [
        _box(b"infe", b"\x02\0\0\0" + struct.pack(">HH", first + n, 0) + kind[:4] + kind[4:])
        for n, (kind, _) in enumerate(added)
    ]
    return _box(
        b"iinf",
        b"".join(
            [data[at : at + 4], count.to_bytes(wide, "big"), data[at + 4 + wide : box[3]], *infos]
        ),
    )


def _with_places(
    data: bytes,
    box: Box,
    meta: Box,
    added: list[tuple[bytes, bytes]],
    first: int,
    shift: int,
    payload_at: int,
) -> bytes:
    places = _Places(data, box)
    if not places.offset or not places.length:
        raise ContainerError("The AVIF picture's table of places is of a kind that can't grow.")
    table = bytearray(data[box[2] : places.end])
    for at, width, value in places.moved:
        moved = value + (shift if value >= meta[3] else 0)
        table[at - box[2] : at - box[2] + width] = moved.to_bytes(width, "big")
    count_at = places.count_at - box[2]
    count = (places.count + len(added)).to_bytes(places.wide, "big")
    table[count_at : count_at + places.wide] = count
    for number, (_, body) in enumerate(added):
        table += (first + number).to_bytes(places.wide, "big")
        table += bytes(2 if places.version else 0) + bytes(2) + bytes(places.base)
        table += b"\0\x01" + bytes(places.index)
        table += payload_at.to_bytes(places.offset, "big")
        table += len(body).to_bytes(places.length, "big")
        payload_at += len(body)
    return _box(b"iloc", bytes(table))


def _references(
    data: bytes, box: Box | None, primary: Box, added: list[tuple[bytes, bytes]], first: int
) -> bytes:
    """Return references that say of which picture the new items speak."""
    wide_primary = 4 if data[primary[2]] else 2
    at = primary[2] + 4
    main = int.from_bytes(data[at : at + wide_primary], "big")
    wide = 4 if box is not None and data[box[2]] else 2
    return b"".join(
        _box(
            b"cdsc",
            (first + n).to_bytes(wide, "big") + b"\0\x01" + main.to_bytes(wide, "big"),
        )
        for n in range(len(added))
    )


def _items(data: bytes, box: Box) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield number, kind and the rest of each item's description."""
    at = box[2] + 4 + (4 if data[box[2]] else 2)
    for name, _, start, end in _boxes(data, at, box[3]):
        version = data[start]
        if name != b"infe" or version < 2:  # noqa: PLR2004 -- older ones know no kinds
            continue
        wide = 2 if version == 2 else 4  # noqa: PLR2004 -- as the standard numbers them
        number = int.from_bytes(data[start + 4 : start + 4 + wide], "big")
        kind_at = start + 6 + wide
        yield number, data[kind_at : kind_at + 4], data[kind_at + 4 : end]


def _meta(data: bytes) -> Box:
    for box in _boxes(data, 0, len(data)):
        if box[0] == b"meta":
            return box
    raise ContainerError("The AVIF picture has no metadata box.")


def _boxes(data: bytes, at: int, end: int) -> Iterator[Box]:
    while at + _HEAD <= end:
        length, start = int.from_bytes(data[at : at + 4], "big"), at + _HEAD
        if length == 1:
            length, start = int.from_bytes(data[at + 8 : at + 16], "big"), at + 16
        elif length == 0:
            length = end - at
        if length < start - at or at + length > end:
            raise ContainerError("The AVIF picture is cut short.")
        yield data[at + 4 : at + 8], at, start, at + length
        at += length


def _box(name: bytes, body: bytes) -> bytes:
    return (len(body) + _HEAD).to_bytes(4, "big") + name + body
