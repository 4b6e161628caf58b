"""Who a command acts for, as the ledger enters it."""

from __future__ import annotations

import getpass
import socket


def actor() -> str:
    """Return ``user@host``; a user without a name in this system is its number's bearer."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "unknown"
    return f"{user}@{socket.gethostname()}"
