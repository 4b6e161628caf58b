"""Replies that no honest provider sends, as hypothesis generates them by the thousand.

What is odd is the document (its types, texts, numbers, dates, ids, cursors), what carries it (the
status, headers, encodings, redirects) or the manner in which it comes (cut short, too long, byte by
byte, never).
"""

from __future__ import annotations

import asyncio
import base64
import functools
import gzip
import json
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from socket import SO_LINGER, SOL_SOCKET
from typing import Any, cast

from hypothesis import strategies as st

from asset_pipeline_tests.support import media_samples
from asset_pipeline_tests.support.provider_samples import prediction
from asset_pipeline_tests.support.scripted_server import Answer

PNG = media_samples.picture_bytes("png")
WAV = media_samples.sound_bytes("wav")

_CUT = 0.6
_PIECE_SECONDS = 0.05


class Manner(StrEnum):
    """How a reply comes over the wire."""

    WHOLE = "whole"
    CHUNKED = "chunked"
    CUT = "cut"  # the connection closes before the length that was announced
    RESET = "reset"  # likewise, and rudely
    SHORT = "short"  # less is announced than comes
    BAD_LENGTH = "bad_length"  # what is announced is no number
    TWO_LENGTHS = "two_lengths"
    BAD_CHUNKS = "bad_chunks"
    DRIP = "drip"  # byte by byte, without an end
    SILENCE = "silence"
    NO_HTTP = "no_http"  # the body alone
    EMPTY = "empty"  # the connection closes without a word
    ENDLESS_HEAD = "endless_head"


@dataclass(frozen=True)
class OddReply:
    """One reply.

    Attributes:
        raw: The body; None where it is the honest one, but for the changes.
        changes: What is put over the honest document; None as a name's value removes nothing.
    """

    status: int = 200
    raw: bytes | None = None
    changes: Mapping[str, Any] | None = None
    headers: tuple[tuple[str, str], ...] = ()
    manner: Manner = Manner.WHOLE

    def body(self, honest: object) -> bytes:
        """Return the body, by what an honest one would hold: bytes of a file, or a document."""
        if self.raw is not None:
            return self.raw
        if isinstance(honest, bytes):
            return honest
        document = cast("dict[str, Any]", honest)
        return json.dumps(document | dict(self.changes or {})).encode()

    def answer(self, honest: object) -> Answer:
        """Return what a server does to give this reply."""
        body = self.body(honest)

        async def give(writer: asyncio.StreamWriter) -> None:
            match self.manner:
                case Manner.SILENCE:
                    await asyncio.sleep(3600)
                case Manner.DRIP:
                    await self._drip(writer, body)
                case _:
                    # A client that has had enough closes while we write.
                    writer.write(self._message(body))
                    await writer.drain()
            if self.manner is Manner.RESET:
                rude = struct.pack("ii", 1, 0)
                writer.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, rude)
            if self.manner not in {Manner.WHOLE, Manner.CHUNKED}:
                writer.close()

        return give

    async def _drip(self, writer: asyncio.StreamWriter, body: bytes) -> None:
        writer.write(self._head(("content-length", "1000000")))
        for byte in body + b" " * 1_000_000:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(_PIECE_SECONDS)

    def _head(self, *more: tuple[str, str]) -> bytes:
        named = {name for name, _ in self.headers}
        lines = [f"HTTP/1.1 {self.status} X"]
        lines += [f"{name}: {value}" for name, value in (*self.headers, *more)]
        if "content-type" not in named:
            lines.append("content-type: application/json")
        return "\r\n".join(lines).encode("latin-1", "replace") + b"\r\n\r\n"

    def _message(self, body: bytes) -> bytes:
        length, chunked = ("content-length", str(len(body))), ("transfer-encoding", "chunked")
        chunk = f"{len(body):x}\r\n".encode() + body + b"\r\n" if body else b""
        heads: dict[Manner, list[tuple[str, str]]] = {
            Manner.CHUNKED: [chunked],
            Manner.BAD_CHUNKS: [chunked],
            Manner.SHORT: [("content-length", str(len(body) // 2))],
            Manner.BAD_LENGTH: [("content-length", "-5")],
            Manner.TWO_LENGTHS: [length, ("content-length", "3")],
            Manner.ENDLESS_HEAD: [("x-long", "x" * 200_000), length],
        }
        bodies = {
            Manner.CHUNKED: chunk + b"0\r\n\r\n",
            Manner.BAD_CHUNKS: b"zz\r\n" + body + b"\r\n-1\r\n\r\n",
            Manner.CUT: body[: int(len(body) * _CUT)],
            Manner.RESET: body[: int(len(body) * _CUT)],
            Manner.EMPTY: b"",
        }
        content = bodies.get(self.manner, body)
        if self.manner in {Manner.NO_HTTP, Manner.EMPTY}:
            return content
        return self._head(*heads.get(self.manner, [length])) + content


def _nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


ODD_TEXTS = st.sampled_from(
    [
        "",
        " ",
        "\x00",
        "p\x001",
        "\ud800",
        "\udfff\ud800",
        "\x1b[2J",
        "\x1b]8;;http://evil.example\x07click\x1b]8;;\x07",
        "\u202egnp.exe",
        "\ufeff",
        "\uffff",
        "a\u0300" * 200,
        "../..",
        "%2e%2e%2f",
        "http://[",
        "https://host:99999",
        "https://host:99999/a.png",
        "ftp://files.example/a.png",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "data:image/png;base64,AAAA",
        "data:",
        "9999-12-31T23:59:59Z",
        "0001-01-01T00:00:00+23:59",
        "1970-01-01T00:00:00Z",
        "2026-13-45T99:99:99Z",
        "2026-11-28T10:00:00.123456789012345+00:00",
        "x" * 5000,
        "x" * 70_000,
        "succeeded",
        "failed",
        "starting",
        "SUCCEEDED",
        "/v1/predictions?cursor=1",
        "![x](http://evil.example/x.png)",
        "<img src=x onerror=alert(1)>",
        "=cmd|' /C calc'!A0",
        "'; DROP TABLE intents; --",
        "r8_" + "A" * 37,
    ]
) | st.text(alphabet=st.characters(exclude_categories=()), max_size=30)

ODD_NUMBERS = st.sampled_from(
    [
        float("nan"),
        float("inf"),
        float("-inf"),
        -1,
        -0.0,
        -1e300,
        1e300,
        5e-324,
        10**400,
        -(10**400),
        2**31,
        2**63,
        2**64,
        0,
        1e12,
        1.5,
    ]
) | (st.integers() | st.floats())

ODD = st.recursive(
    st.none() | st.booleans() | ODD_NUMBERS | ODD_TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ODD_TEXTS, inner, max_size=4),
    max_leaves=10,
)

DATA_URI = "data:image/png;base64," + base64.b64encode(PNG).decode()

_OUTPUTS: list[Any] = [
    "https://host:99999",
    "https://host:99999/a.png",
    "https://user:secret@files.example/a.png",
    "https://",
    "https:///a.png",
    "http://[broken/a.png",
    "http://0x7f.1/a.png",
    "ftp:",
    "ftp://files.example/a.png",
    "file:///etc/passwd",
    "gopher://x",
    "javascript:alert(1)",
    "//files.example/a.png",
    "a.png",
    "\x00",
    "\ud800",
    DATA_URI,
    DATA_URI[:-200],
    DATA_URI.upper(),
    "data:image/png;base64,",
    "data:image/png;base64,\ud800",
    [],
    [[]],
    {},
    {"url": None},
    ["https://host:99999/a", "ftp://x/b"],
    ["x"] * 20_000,
    {"\x00": {"\ud800": ["\x1b[2J"]}},
    float("nan"),
    10**400,
    False,
]

ODD_OUTPUTS: st.SearchStrategy[Any] = st.sampled_from(_OUTPUTS)
"""Of a succeeded prediction: addresses that nobody can be asked for, half files, other things."""

FIELDS = sorted(prediction() | {"completed_at": 0, "started_at": 0, "webhook": 0})

CHANGES = st.dictionaries(st.sampled_from(FIELDS), ODD, min_size=1, max_size=4)
ROWS = CHANGES.map(lambda changes: prediction(**changes))
PAGES = st.fixed_dictionaries(
    {"results": st.lists(ROWS | ODD, max_size=4) | ODD, "next": st.none() | ODD_TEXTS | ODD}
)

HEADERS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "retry-after",
                "ratelimit-remaining",
                "ratelimit-reset",
                "date",
                "content-encoding",
                "content-type",
                "location",
                "set-cookie",
                "connection",
                "x",
            ]
        ),
        st.sampled_from(
            [
                "",
                "1e400",
                "nan",
                "-1",
                "0",
                "9" * 400,
                "gzip",
                "gzip, gzip",
                "deflate",
                "br",
                "identity, x",
                "tomorrow",
                "Sun, 06 Nov 9994 08:49:37 GMT",
                "Thu, 01 Jan 1970 00:00:00 -9999",
                "text/html; charset=utf-7",
                "close",
                "\xff\xfe",
            ]
        )
        | st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), max_size=20),
    ),
    max_size=2,
).map(tuple)

_BOMBS = st.sampled_from(
    [
        _nested(50),
        _nested(100_000),
        b'{"a":' * 5000,
        b"[" + b"[]," * 600_000 + b"[]]",
        b'{"id":"p1","output":"' + b"x" * 2_000_000 + b'"}',
        b'{"id":"p1","input":{' + b",".join(b'"k%d":1' % n for n in range(50_000)) + b"}}",
        b'{"id":' + b"9" * 5000 + b"}",
        b'{"id":"p1","id":"p2"}',
        b"\xef\xbb\xbf{}",
        '{"id":"p1"}'.encode("utf-16"),
        '{"id":"p1"}'.encode("utf-32"),
        b'{"id":"\\ud800"}',
        b'{"id":"p1","error":"\\u0000\\udfff"}',
        b'{"id":"p1"}' * 3,
        b"null",
        b"",
        b"<!doctype html><title>502</title>",
        b"\xff\xfe\x00",
    ]
)


@functools.cache
def _one_long_text() -> bytes:
    return b'{"detail":"' + b"x" * 40_000_000 + b'"}'


@functools.cache
def _many_rows() -> bytes:
    return b'{"results":[' + b"{}," * 5_000_000 + b"{}]}"


@functools.cache
def _bombs() -> tuple[tuple[bytes, str], ...]:
    zeros, honest = b"0" * 64_000_000, json.dumps(prediction()).encode()
    return (
        (gzip.compress(zeros), "gzip"),
        (gzip.compress(gzip.compress(zeros)), "gzip, gzip"),
        (zlib.compress(zeros), "deflate"),
        (gzip.compress(honest), "gzip"),
        (gzip.compress(honest)[:-9], "gzip"),
        (honest, "gzip"),
    )


# Made when they are wanted first: at the import they would be most of what a process weighs.
_HUGE = st.sampled_from([_one_long_text, _many_rows]).map(lambda make: make())
_PACKED = st.integers(0, 5).map(lambda number: _bombs()[number])

STATUSES = st.sampled_from(
    [
        *([200] * 8),
        *(201, 201, 202, 204, 206, 226, 300, 302, 304, 307, 308),
        *(400, 401, 402, 403, 404, 408, 409, 418, 422, 425, 429, 451, 499),
        *(500, 502, 503, 504, 529, 599, 600, 999),
    ]
)
_MANNERS = st.sampled_from(
    [*[Manner.WHOLE] * 24, *(each for each in Manner if each is not Manner.WHOLE)]
)


def _packed(pair: tuple[bytes, str]) -> OddReply:
    return OddReply(raw=pair[0], headers=(("content-encoding", pair[1]),))


_DOCUMENTS = (ROWS | PAGES | ODD).map(lambda document: json.dumps(document).encode())

REPLIES = st.one_of(
    *[
        st.builds(
            OddReply,
            status=STATUSES,
            raw=_DOCUMENTS | _BOMBS | st.binary(max_size=40),
            headers=HEADERS,
            manner=_MANNERS,
        )
    ]
    * 12,
    _PACKED.map(_packed),
)
"""To any question, whatever was asked."""

HUGE_REPLIES = st.builds(OddReply, raw=_HUGE, status=st.sampled_from([200, 422]))
"""Of forty megabytes: few are enough."""

CHANGED = st.builds(OddReply, changes=CHANGES, headers=HEADERS, manner=_MANNERS)
"""The honest reply, but for some fields, headers or its manner."""

PICTURE_REPLIES = st.one_of(
    st.builds(
        OddReply,
        raw=st.none()
        | st.sampled_from(
            [PNG[: len(PNG) // 2], PNG[:20], b"", WAV, b"<html>", b"{}", PNG + b"\x00" * 100]
        )
        | st.binary(max_size=60),
        status=STATUSES,
        headers=HEADERS,
        manner=_MANNERS,
    ),
    st.sampled_from(
        [
            "",
            "ftp://files.example/x",
            "file:///etc/passwd",
            "http://",
            "http://127.0.0.1:1/x",
            "https://host:99999/x",
            "http://[",
            "javascript:alert(1)",
            "/files/round.png",
            "\xff",
            "//",
            "?" * 9000,
        ]
    ).map(lambda where: OddReply(status=302, raw=b"", headers=(("location", where),))),
    _PACKED.map(_packed),
)
"""To the download of a picture."""
