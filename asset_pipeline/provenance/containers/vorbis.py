"""Vorbis comments, as FLAC and Ogg carry them."""

from __future__ import annotations

import struct
from collections.abc import Mapping

from asset_pipeline.provenance.containers.metadata import ContainerError, FoundMetadata

_KEPT = {"xmp"}


def with_fields(comments: bytes, fields: Mapping[str, str]) -> bytes:
    """Return comments with fields added; those whose name is there already stay as they are."""
    vendor, there = _parsed(comments)
    names = {each.partition(b"=")[0].decode("latin-1").lower() for each in there}
    added = [
        f"{name.upper()}={text}".encode("utf-8", "replace")
        for name, text in fields.items()
        if name.lower() not in names
    ]
    parts = [struct.pack("<L", len(vendor)), vendor, struct.pack("<L", len(there) + len(added))]
    for each in [*there, *added]:
        parts += [struct.pack("<L", len(each)), each]
    return b"".join(parts)


def note_fields(comments: bytes, found: FoundMetadata) -> None:
    """Note what comments say."""
    for each in _parsed(comments)[1]:
        name, _, text = each.partition(b"=")
        key = name.decode("latin-1").lower()
        if key in _KEPT:
            found.note_xmp(text)
        else:
            found.fields[key] = text.decode("utf-8", "replace")
        found.kinds.add("vorbis")


def empty(vendor: str) -> bytes:
    """Return comments that say nothing."""
    return struct.pack("<L", len(vendor)) + vendor.encode() + bytes(4)


def _parsed(comments: bytes) -> tuple[bytes, list[bytes]]:
    try:
        (length,) = struct.unpack_from("<L", comments)
        vendor, at = comments[4 : 4 + length], 4 + length
        (count,) = struct.unpack_from("<L", comments, at)
        at += 4
        found: list[bytes] = []
        for _ in range(count):
            (length,) = struct.unpack_from("<L", comments, at)
            found.append(comments[at + 4 : at + 4 + length])
            at += 4 + length
            if at > len(comments):
                raise ContainerError("The sound's comments are cut short.")
    except struct.error:
        raise ContainerError("The sound's comments are cut short.") from None
    return vendor, found
