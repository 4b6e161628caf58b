"""Faults of the output: files that are not what they should be."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from starlette.responses import HTMLResponse, Response, StreamingResponse

from asset_pipeline.sandbox.faults.names import FaultName
from asset_pipeline.sandbox.faults.plan import Params
from asset_pipeline.sandbox.faults.transport_faults import (
    UNAVAILABLE,
    DroppedConnectionError,
    server_error,
)
from asset_pipeline.sandbox.outputs import MIME_TYPES
from asset_pipeline.sandbox.problems import ProblemError, not_found

_CHUNK = 1 << 20
_FORBIDDEN = '<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>'
_PAGE = "<!doctype html><html><head><title>Sign in</title></head><body>Sign in</body></html>"


async def spoiled(path: Path, fault: FaultName, params: Params) -> Response | None:
    """Return what is delivered in place of a file, None when the fault leaves it whole.

    Raises:
        ProblemError: The file is gone.
    """
    if fault is FaultName.EXPIRED_OUTPUT:
        raise ProblemError(not_found())
    if fault is FaultName.HTML_PAGE:
        return HTMLResponse(_PAGE)
    if fault is FaultName.LATE_FILE:
        return await _not_ready(path, params)
    mime = MIME_TYPES[path.suffix[1:]]
    if fault in (FaultName.TRUNCATED, FaultName.OVERSIZE):
        content = await asyncio.to_thread(path.read_bytes)
        if fault is FaultName.TRUNCATED:
            return _truncated(content, mime, drop=params.drop)
        return _oversize(content, mime, params.bytes)
    make = _MAKERS.get(fault)
    return None if make is None else Response(await asyncio.to_thread(make, path), media_type=mime)


async def _not_ready(path: Path, params: Params) -> Response:
    match params.answer:
        case "not_found":
            raise ProblemError(not_found())
        case "forbidden":
            return Response(_FORBIDDEN, 403, media_type="application/xml")
        case "error_5xx":
            return server_error(params.status or UNAVAILABLE)
        case "html_page":
            return HTMLResponse(_PAGE)
        case "empty":
            return Response(b"", media_type=MIME_TYPES[path.suffix[1:]])
        case "truncated":
            content = await asyncio.to_thread(path.read_bytes)
            return _truncated(content, MIME_TYPES[path.suffix[1:]], drop=params.drop)


def _truncated(content: bytes, mime: str, *, drop: bool) -> Response:
    part = content[: max(1, len(content) * 2 // 5)]
    if not drop:
        return Response(part, media_type=mime)

    async def cut() -> AsyncIterator[bytes]:
        yield part
        await asyncio.sleep(0.05)  # let it arrive before the connection goes
        raise DroppedConnectionError

    return StreamingResponse(cut(), headers={"content-length": str(len(content))}, media_type=mime)


def _oversize(content: bytes, mime: str, length: int) -> Response:
    async def padded() -> AsyncIterator[bytes]:
        head = content[:length]
        yield head
        zeros = bytes(_CHUNK)
        left = length - len(head)
        while left > 0:
            yield zeros[: min(left, _CHUNK)]
            left -= _CHUNK

    return StreamingResponse(padded(), headers={"content-length": str(length)}, media_type=mime)


def _nothing(path: Path) -> bytes:
    """Return a picture of one colour, or silence, as long and large as the file."""
    # Pillow, NumPy and soundfile are slow to import; most servers never spoil anything.
    if MIME_TYPES[path.suffix[1:]].startswith("image/"):
        from PIL import Image  # noqa: PLC0415

        from asset_pipeline.sandbox.drawing.picture import encode as encode_picture  # noqa: PLC0415

        with Image.open(path) as image:
            size = image.size
        return encode_picture(Image.new("RGB", size), path.suffix[1:], 80)
    import numpy as np  # noqa: PLC0415

    from asset_pipeline.sandbox.speech import SAMPLE_RATE  # noqa: PLC0415
    from asset_pipeline.sandbox.speech import encode as encode_sound  # noqa: PLC0415

    return encode_sound(np.zeros(SAMPLE_RATE * 2, np.float32), path.suffix[1:])


def _other_kind(path: Path) -> bytes:
    """Return a sound in place of a picture, and a picture in place of a sound."""
    if MIME_TYPES[path.suffix[1:]].startswith("image/"):
        import numpy as np  # noqa: PLC0415

        from asset_pipeline.sandbox.speech import SAMPLE_RATE, encode  # noqa: PLC0415

        tone = np.sin(np.arange(SAMPLE_RATE, dtype=np.float32) * 0.115) * 0.3
        return encode(tone.astype(np.float32), "wav")
    from PIL import Image  # noqa: PLC0415

    buffer = io.BytesIO()
    Image.linear_gradient("L").save(buffer, "PNG")
    return buffer.getvalue()


def _empty(path: Path) -> bytes:
    del path
    return b""


_MAKERS: dict[FaultName, Callable[[Path], bytes]] = {
    FaultName.EMPTY: _empty,
    FaultName.BLANK: _nothing,
    FaultName.SILENT: _nothing,
    FaultName.WRONG_MEDIA: _other_kind,
}
