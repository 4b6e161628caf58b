"""The one redactor of this process: it knows the secrets of its environment and what it was told.

Text passes it where it enters, in what a provider says, and where it leaves: by errors, consoles,
events, alerts and logs.
"""

from __future__ import annotations

import os
import threading
from typing import Final

from asset_pipeline.disclosure.redactor import Redactor
from asset_pipeline.disclosure.secrets import secrets_in


class _Here:
    """The redactor, made anew when a secret was added or the environment changed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._told: frozenset[str] = frozenset()
        self._known: frozenset[str] | None = None
        self._redactor = Redactor()

    def hide(self, secret: str) -> None:
        with self._lock:
            self._told |= {secret}

    def redactor(self) -> Redactor:
        known = self._told.union(secrets_in(os.environ))
        with self._lock:
            if known != self._known:
                self._known, self._redactor = known, Redactor(known)
            return self._redactor


_HERE: Final = _Here()


def hide(secret: str) -> None:
    """Never let a secret that no variable of the environment holds be told from now on."""
    _HERE.hide(secret)


def redactor() -> Redactor:
    """Return the redactor; whoever has many texts asks for it once, which takes some 50 µs."""
    return _HERE.redactor()


def redacted(text: str) -> str:
    """Return what somebody said without secrets; URLs lose who is named in them and the query."""
    return redactor().text(text)
