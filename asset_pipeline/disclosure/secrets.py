"""Finding a secret in text, whole or in pieces, plain or encoded."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Generator, Iterable, Mapping
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit

# A shorter value would blacken words: the sandbox's token is "sandbox".
_SHORTEST = 8

# Any piece of eleven characters holds one whole block of six, wherever it was cut. Encoded forms
# are looked for by longer blocks: nobody cuts those by hand.
_BLOCK, _ENCODED_BLOCK = 6, 12

_SECRET_NAMES = (
    "TOKEN",
    "SECRET",
    "PASSWORD",
    "PASSWD",
    "API_KEY",
    "APIKEY",
    "ACCESS_KEY",
    "PRIVATE_KEY",
    "STORE_HEADERS",
    "WEBHOOK_URL",
)
_SECRET_PARAMETERS = (*_SECRET_NAMES, "SIGNATURE", "CREDENTIAL", "SIG")


def secrets_in(environment: Mapping[str, str]) -> list[str]:
    """Return what is secret in variables: by their names, or inside of the URLs that they hold."""
    found: list[str] = []
    for name, value in environment.items():
        if any(word in name.upper() for word in _SECRET_NAMES):
            found.append(value)
        elif "PRIVATE KEY-----" in value:
            # Its lines: a log, or an error of a library, shows one of them rather than all.
            found.extend(line.strip() for line in value.replace("\\n", "\n").splitlines()[1:-1])
        elif "://" in value:
            found.extend(secrets_in_url(value))
    return found


def secrets_in_url(url: str) -> list[str]:
    """Return a URL's password and the values of its query that are named as secrets are.

    For a URL that has to be known to people otherwise: a database's, a bucket's, a proxy's.
    """
    beyond = url.partition("://")[2]
    user, colon, password = beyond.rpartition("@")[0].partition(":")
    found = [password, unquote(password)] if colon else []
    if found and url.lower().startswith(("s3:", "gs:")):
        found.append(user)  # the id of a key
    with contextlib.suppress(ValueError):
        for name, value in parse_qsl(urlsplit(url).query):
            if any(word in name.upper().replace("-", "_") for word in _SECRET_PARAMETERS):
                found.append(value)
    return [secret for secret in found if secret]


class KnownSecrets:
    """Looks for the secrets it was given.

    Of a URL its password, path and query are secret; its host is not, nor a database's name.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        plain = {part for secret in secrets for part in _parts(secret.strip())}
        self._blocks: dict[str, list[tuple[str, int]]] = {}
        for secret in sorted(plain):
            self._learn(secret, _BLOCK)
            for form in _encoded(secret):
                self._learn(form, _ENCODED_BLOCK)

    def may_be_in(self, text: str) -> bool:
        """Tell quickly whether looking closer is worth while."""
        for block in self._blocks:  # noqa: SIM110 -- any() takes half as long again
            if block in text:
                return True
        return False

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Return where a secret, or a piece of one, begins and ends, in order."""
        found: list[tuple[int, int]] = []
        for block, places in self._blocks.items():
            at = text.find(block)
            while at >= 0:
                for form, offset in places:
                    start, end = _grown(text, at, form, offset)
                    if end - start >= min(len(form), 2 * len(block) - 1):
                        found.append((start, end))
                at = text.find(block, at + 1)
        return sorted(found)

    def _learn(self, form: str, length: int) -> None:
        for offset in range(0, len(form) - length + 1, length):
            self._blocks.setdefault(form[offset : offset + length], []).append((form, offset))


def _parts(secret: str) -> Generator[str]:
    if "://" not in secret:
        if len(secret) >= _SHORTEST:
            yield secret
        return
    if not secret.lower().startswith(("http://", "https://")):
        yield from (part for part in secrets_in_url(secret) if len(part) >= _SHORTEST)
        return
    try:
        url = urlsplit(secret)
        found = (url.password or "", url.path.strip("/"), url.query)
    except ValueError:
        found = (secret,)
    yield from (part for part in found if len(part) >= _SHORTEST)


def _encoded(secret: str) -> set[str]:
    """Return how else a secret may be written: in base64 of a longer text too."""
    raw = secret.encode()
    forms = {quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1], raw.hex()}
    for shift in range(3):
        whole = base64.b64encode(bytes(shift) + raw).decode().rstrip("=")
        # The first and the last characters depend on what stands beside the secret.
        inner = whole[(0, 2, 3)[shift] : len(whole) - (1 if (len(raw) + shift) % 3 else 0)]
        forms |= {inner, inner.replace("+", "-").replace("/", "_")}
    return {form for form in forms if form != secret and len(form) >= _ENCODED_BLOCK}


def _grown(text: str, at: int, form: str, offset: int) -> tuple[int, int]:
    """Return how far text agrees with a form around a block that they share."""
    start, first = at, offset
    while start > 0 and first > 0 and text[start - 1] == form[first - 1]:
        start, first = start - 1, first - 1
    end, last = at, offset
    while end < len(text) and last < len(form) and text[end] == form[last]:
        end, last = end + 1, last + 1
    return start, end
