"""Addresses of the review desk, for whatever people read elsewhere; none without a service."""

from __future__ import annotations

from urllib.parse import urlencode


def prompt_link(service_url: str | None, kind: str, prompt_id: str) -> str | None:
    """Return where a prompt's clips are reviewed; None where nobody said where the desk is."""
    return _link(service_url, urlencode({"kind": kind, "prompt_id": prompt_id}))


def queue_link(service_url: str | None) -> str | None:
    """Return where all that is left to review is reviewed."""
    return _link(service_url, "")


def failures_link(service_url: str | None) -> str | None:
    """Return where the prompts that failed are shown, with the reason and a way to retry."""
    found = _link(service_url, "")
    return None if found is None else f"{found}#failures"


def _link(service_url: str | None, query: str) -> str | None:
    if not service_url:
        return None
    return f"{service_url.rstrip('/')}/{'?' if query else ''}{query}"
