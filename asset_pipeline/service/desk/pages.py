"""The page and its files, under a policy that lets nothing in from anywhere else."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import Response

from asset_pipeline.service.problems import ProblemError

router = APIRouter(include_in_schema=False)

_STATIC = Path(__file__).parent / "static"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}

# No inline script or style, and no markup from text: a prompt that says <img onerror> is a prompt.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)


@router.get("/")
async def show_page(request: Request) -> Response:
    """Show the desk; who may see what is decided by what it asks for."""
    return _file(request, "desk.html")


@router.get("/desk/{name}")
async def show_file(request: Request, name: str) -> Response:
    """Give one of the page's files."""
    return _file(request, name)


def _file(request: Request, name: str) -> Response:
    found = _contents().get(name)
    if found is None:
        raise ProblemError(404, "not_found", "There is no such file.")
    content, tag, media_type = found
    headers = {
        "ETag": tag,
        # Asked for again each time: after an upgrade no browser mixes old modules with new ones.
        "Cache-Control": "no-cache",
        "Content-Security-Policy": POLICY,
    }
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=media_type, headers=headers)


@cache
def _contents() -> dict[str, tuple[bytes, str, str]]:
    """Return all files by name: what is not among them can't be asked for, whatever the path."""
    found: dict[str, tuple[bytes, str, str]] = {}
    for path in _STATIC.iterdir():
        media_type = _TYPES.get(path.suffix)
        if media_type is not None:
            content = path.read_bytes()
            tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
            found[path.name] = content, tag, media_type
    return found
