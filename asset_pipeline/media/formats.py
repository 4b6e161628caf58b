"""Recognising file formats by their first bytes, not by name or MIME type."""

from __future__ import annotations

from dataclasses import dataclass

from asset_pipeline.catalog.kind import Kind

HEAD_BYTES = 512
"""How much of a file :func:`sniff` and :func:`describe` look at."""


@dataclass(frozen=True, slots=True)
class MediaFormat:
    """A file format that is delivered as a clip."""

    name: str
    kind: Kind
    mime: str
    extension: str


PNG = MediaFormat("PNG", Kind.IMAGE, "image/png", "png")
JPEG = MediaFormat("JPEG", Kind.IMAGE, "image/jpeg", "jpg")
WEBP = MediaFormat("WebP", Kind.IMAGE, "image/webp", "webp")
WAV = MediaFormat("WAV", Kind.AUDIO, "audio/wav", "wav")
MP3 = MediaFormat("MP3", Kind.AUDIO, "audio/mpeg", "mp3")
FLAC = MediaFormat("FLAC", Kind.AUDIO, "audio/flac", "flac")
VORBIS = MediaFormat("Ogg Vorbis", Kind.AUDIO, "audio/ogg", "ogg")
OPUS = MediaFormat("Opus", Kind.AUDIO, "audio/ogg", "opus")

_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", PNG),
    (b"\xff\xd8\xff", JPEG),
    (b"fLaC", FLAC),
    (b"ID3", MP3),
)

# An Ogg file's first page holds the codec's first packet after 27 bytes and one segment length.
_OGG_PACKET = 28

_OTHERS = (
    (b"GIF8", "a GIF"),
    (b"BM", "a BMP picture"),
    (b"II*\0", "a TIFF picture"),
    (b"MM\0*", "a TIFF picture"),
    (b"%PDF", "a PDF"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\x1aE\xdf\xa3", "a WebM or Matroska file"),
    (b"OggS", "an Ogg file that is neither Vorbis nor Opus"),
    (b"RIFF", "a RIFF file that is neither WebP nor WAV"),
)


def sniff(head: bytes) -> MediaFormat | None:
    """Return the format that a file's first :data:`HEAD_BYTES` bytes announce, or None."""
    for magic, media_format in _MAGIC:
        if head.startswith(magic):
            return media_format
    if head.startswith(b"RIFF"):
        return {b"WEBP": WEBP, b"WAVE": WAV}.get(head[8:12])
    if head.startswith(b"OggS"):
        packet = head[_OGG_PACKET:]
        if packet.startswith(b"OpusHead"):
            return OPUS
        return VORBIS if packet.startswith(b"\x01vorbis") else None
    return MP3 if _starts_mpeg_frame(head) else None


JSON_DOCUMENT = "a JSON document"
PAGES = frozenset({"an HTML page", "an XML document", JSON_DOCUMENT, "a text file"})
"""What :func:`describe` calls a page for people or for programs, where a file was due."""


def describe(head: bytes) -> str:
    """Return what a file seems to be, for people: ``an HTML page``, ``a PNG picture``."""
    known = sniff(head)
    if known is not None:
        article = "an" if known.name[0] in "MO" else "a"
        return f"{article} {known.name} {'picture' if known.kind is Kind.IMAGE else 'sound'}"
    for magic, name in _OTHERS:
        if head.startswith(magic):
            return name
    if head[4:8] == b"ftyp":
        return "an MP4, AVIF or HEIC file"
    return _describe_text(head)


def _starts_mpeg_frame(head: bytes) -> bool:
    """Tell an MPEG layer III frame: eleven sync bits, then layer bits 01.

    Layers I and II are left out: no model makes them, and layer I would make UTF-16 text
    (``FF FE``) a sound.
    """
    return len(head) > 1 and head[0] == 0xFF and head[1] & 0xE6 == 0xE2  # noqa: PLR2004 -- bit masks of the standard


def _describe_text(head: bytes) -> str:
    text = head.decode("utf-8", errors="replace").lstrip("\ufeff \t\r\n").lower()
    if text.startswith(("<!doctype html", "<html")):
        return "an HTML page"
    if "<svg" in text:
        return "an SVG drawing"
    if text.startswith("<"):
        return "an XML document"
    if text.startswith(("{", "[")):
        return JSON_DOCUMENT
    # A character cut in two by the end of the head decodes to one U+FFFD; binary has many.
    printable = sum(char.isprintable() or char.isspace() for char in text if char != "\ufffd")
    return "a text file" if text and printable >= 0.9 * len(text) else "an unknown kind of file"
