"""Which webhooks a create asks for: where to, on which events, and what a receiver can verify."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import cast
from urllib.parse import urlsplit

from pydantic import JsonValue

from asset_pipeline.sandbox.problems import InvalidField, ProblemError, invalid

# In the order in which they happen.
EVENTS = ("start", "logs", "output", "completed")
_UNFILTERED = ("output", "completed")


@dataclass(frozen=True, slots=True)
class Webhook:
    """What a create says of its webhook.

    Args:
        url: Where to post; its query is kept, and repeated wherever the prediction is shown.
        events: On which occasions, in the order in which they happen.
        filtered: Whether the create chose them itself.
    """

    url: str
    events: tuple[str, ...]
    filtered: bool

    @property
    def as_sent(self) -> dict[str, JsonValue]:
        """The fields of the create that a prediction repeats."""
        chosen: dict[str, JsonValue] = {"webhook_events_filter": list(self.events)}
        return {"webhook": self.url, **(chosen if self.filtered else {})}

    def stored(self) -> str:
        """Return it as one line."""
        return json.dumps([self.url, self.events, self.filtered])

    @classmethod
    def read(cls, line: str) -> Webhook:
        """Return what :meth:`stored` wrote."""
        url, events, filtered = json.loads(line)
        return cls(url, tuple(events), filtered)


def asked_webhook(body: Mapping[str, JsonValue]) -> Webhook | None:
    """Return the webhook of a create, None when it names none.

    Raises:
        ProblemError: 422, the address is not one of this machine, or an event does not exist.
    """
    url, events = checked_url(body), wanted_events(body)
    return None if url is None else Webhook(url, events, bool(body.get("webhook_events_filter")))


def wanted_events(body: Mapping[str, JsonValue]) -> tuple[str, ...]:
    """Return the events to be posted, in the order in which they happen.

    Raises:
        ProblemError: 422, the filter names an event that does not exist.
    """
    chosen = cast("list[JsonValue]", body.get("webhook_events_filter") or list(_UNFILTERED))
    issues = [
        InvalidField(
            "enum",
            f"webhook_events_filter.{position}",
            f"must be one of the following: {', '.join(EVENTS)}",
        )
        for position, event in enumerate(chosen)
        if event not in EVENTS
    ]
    if issues:
        raise ProblemError(invalid(issues))
    return tuple(event for event in EVENTS if event in chosen)


def checked_url(body: Mapping[str, JsonValue]) -> str | None:
    """Return the address to post to, None when the create names none.

    Raises:
        ProblemError: 422, it is not an address of this machine. A sandbox that posted anywhere
            else could be used to reach what its user cannot.
    """
    url = body.get("webhook")
    if url is None:
        return None
    if not isinstance(url, str) or not _is_loopback(url):
        text = "The sandbox posts to this machine only: http://127.0.0.1:PORT/..."
        raise ProblemError(invalid([InvalidField("format", "webhook", text)]))
    return url


def signed_headers(secret: str, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Return the headers by which a receiver knows that a post is genuine.

    Args:
        secret: The account's, ``whsec_`` and base64.
        message_id: The same for each try of one event.
        timestamp: Seconds since 1970.
        body: As it is sent.
    """
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = b".".join((message_id.encode(), str(timestamp).encode(), body))
    signature = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    return {
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{signature}",
    }


def _is_loopback(url: str) -> bool:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return False
    if parts.scheme not in ("http", "https") or not host or port == 0:
        return False
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
