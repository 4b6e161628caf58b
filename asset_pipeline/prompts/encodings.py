"""The bytes of a table to text: which encoding a file is in, told by its bytes alone."""

from __future__ import annotations

import codecs

from asset_pipeline.errors import AssetPipelineError

# UTF-32's mark begins with UTF-16's, so it is looked for first.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig", "UTF-8"),
    (codecs.BOM_UTF32_LE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF32_BE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF16_LE, "utf-16", "UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16", "UTF-16"),
)
_SAMPLE = 4096
# In UTF-16 of European text nearly every second byte is 0; in any other encoding none is.
_ZEROS = 0.4


def decode(data: bytes, encoding: str | None = None) -> tuple[str, str]:
    """Return a file's text and the name of the encoding that it was read in.

    Args:
        data: All of the file.
        encoding: What the caller says it is; None to tell by the bytes.

    Raises:
        AssetPipelineError: The encoding is unknown, or some byte is not of it.
    """
    codec, name = (encoding, encoding) if encoding else _told(data)
    try:
        text = codecs.decode(data, codec)
    except LookupError:
        raise AssetPipelineError(
            f"There is no encoding {encoding!r}.", hint="Common: utf-8, cp1252, utf-16, mac-roman."
        ) from None
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise AssetPipelineError(
            f"The file is not {name}: byte 0x{data[error.start]:02x} on line {line}.",
            hint="Name its encoding with --encoding (mac-roman, cp1250, shift_jis, …).",
        ) from None
    if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance] -- rot13, hex and the like give bytes
        raise AssetPipelineError(f"{encoding!r} is no encoding of text.", hint="Such as cp1252.")
    return text.removeprefix("\ufeff"), name


def _told(data: bytes) -> tuple[str, str]:
    """Return the codec and its name for people."""
    for mark, codec, name in _MARKS:
        if data.startswith(mark):
            return codec, name
    sample = data[:_SAMPLE]
    half = max(1, len(sample) // 2)
    if sample[1::2].count(0) / half > _ZEROS:
        return "utf-16-le", "UTF-16"
    if sample[::2].count(0) / half > _ZEROS:
        return "utf-16-be", "UTF-16"
    try:
        data.decode()
    except UnicodeDecodeError:
        # What spreadsheets on Windows save as "CSV" in Western Europe and America.
        return "cp1252", "cp1252"
    return "utf-8", "UTF-8"
