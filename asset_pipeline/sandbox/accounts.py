"""Which account a request belongs to: its token says so.

``r8_account_NAME`` is a token of the account NAME, and so is ``r8_account_NAME_`` with anything
after it; a name has letters, digits and hyphens. Every other token belongs to ``sandbox``.
"""

from __future__ import annotations

import re

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection

DEFAULT_ACCOUNT = "sandbox"
_NAMED = re.compile(r"r8_account_([A-Za-z0-9-]+)(_.*)?")


def token_of(headers: Headers) -> str:
    """Return the token that a request carries, empty when it carries none."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() in ("bearer", "token") else ""


def account_of(connection: HTTPConnection) -> str:
    """Return the name of the account whose token a request carries."""
    named = _NAMED.fullmatch(token_of(connection.headers))
    return DEFAULT_ACCOUNT if named is None else named[1]
