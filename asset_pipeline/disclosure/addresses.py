"""Addresses as they are shown and kept: where something is, without what opens it."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

_QUERY = re.compile(r"[?#]")
_HOST = re.compile(r"(?:[\w.-]*|\[[0-9A-Fa-f:.]*\])(?::\d*)?", re.ASCII)


def shown_address(url: str) -> str:
    """Return a URL without user, password, query and fragment; what is no URL stays as it is.

    It never fails: a URL that nothing can parse is shown in the error that says so.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        return url
    head = _QUERY.split(rest, maxsplit=1)[0]
    if "@" not in head and not _HOST.fullmatch(head.partition("/")[0]):
        head = rest  # a password may hold a question mark
    return f"{scheme}://{_QUERY.split(head.rpartition('@')[2], maxsplit=1)[0]}"


def is_web_address(url: str) -> bool:
    """Tell whether a URL may become a link: http or https, with a host, in printable characters."""
    if not url.isprintable() or " " in url:
        return False
    try:
        parts = urlsplit(url)
        return parts.scheme.lower() in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        return False
