"""EXIF's user comment, where tools for generated pictures look for parameters outside of PNG."""

from __future__ import annotations

import struct

from asset_pipeline.provenance.containers.metadata import FoundMetadata

USER_COMMENT = "UserComment"

_EXIF_IFD, _USER_COMMENT = 0x8769, 0x9286
_LONG, _UNDEFINED = 4, 7
_UNICODE, _ASCII = b"UNICODE\0", b"ASCII\0\0\0"
_ENTRY = 12
# An IFD of one entry: a count, the entry, and where the next IFD is.
_IFD = 2 + _ENTRY + 4
_HEADER = 8


def user_comment(text: str) -> bytes:
    """Return a TIFF block whose one fact is a user comment, as A1111 writes it."""
    comment = _UNICODE + text.encode("utf-16-be")
    to_exif = _HEADER + _IFD
    first = struct.pack(">HHHLLL", 1, _EXIF_IFD, _LONG, 1, to_exif, 0)
    second = struct.pack(">HHHLLL", 1, _USER_COMMENT, _UNDEFINED, len(comment), to_exif + _IFD, 0)
    return b"MM\0*" + struct.pack(">L", _HEADER) + first + second + comment


def note_exif(block: bytes, found: FoundMetadata) -> None:
    """Note EXIF, and its user comment if that can be read."""
    found.has_exif = True
    block = block.removeprefix(b"Exif\0\0")
    order = {b"MM": ">", b"II": "<"}.get(block[:2])
    if order is None:
        return
    try:
        entry = _entry(block, order, struct.unpack_from(f"{order}L", block, 4)[0], _EXIF_IFD)
        if entry is not None:
            entry = _entry(block, order, entry[1], _USER_COMMENT)
        if entry is None:
            return
        length, offset = entry
        comment = block[offset : offset + length]
    except struct.error:
        return
    text = ""
    if comment.startswith(_UNICODE):
        text = comment[len(_UNICODE) :].decode(
            "utf-16-be" if order == ">" else "utf-16-le", "replace"
        )
    elif comment.startswith(_ASCII):
        text = comment[len(_ASCII) :].decode("ascii", "replace")
    if text.strip("\0 "):
        found.fields[USER_COMMENT] = text.strip("\0")
        found.kinds.add("exif")


def _entry(block: bytes, order: str, at: int, wanted: int) -> tuple[int, int] | None:
    """Return the count and the value, mostly an offset, of an entry of the IFD at a place."""
    (count,) = struct.unpack_from(f"{order}H", block, at)
    for number in range(count):
        tag, _, length, value = struct.unpack_from(f"{order}HHLL", block, at + 2 + number * _ENTRY)
        if tag == wanted:
            return length, value
    return None
