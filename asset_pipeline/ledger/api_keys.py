"""Keys to the service: kept as hashes, each with its scopes, its budget and its rate."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import RowMapping, bindparam, func, insert, select, update

from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.ledger.access import LedgerAccess
from asset_pipeline.ledger.service_schema import Scope, api_keys, sessions
from asset_pipeline.money import MicroUsd

_ID_BYTES = 5
_SECRET_BYTES = 32
_NO_SECRET = hashlib.sha256(b"").hexdigest()

SESSION_LIFE = timedelta(hours=12)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One key, without its secret.

    Attributes:
        budget: All that may ever be spent on its behalf; None for no cap of its own.
        rate_per_minute: None for no limit.
    """

    key_id: str
    name: str
    scopes: frozenset[Scope]
    budget: MicroUsd | None
    rate_per_minute: int | None
    created_by: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None

    def holds(self, now: datetime) -> bool:
        """Tell whether it is good for anything now."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


@dataclass(frozen=True, slots=True)
class NewKey:
    """What a key is to be good for."""

    name: str
    scopes: frozenset[Scope]
    created_by: str
    budget: MicroUsd | None = None
    rate_per_minute: int | None = None
    expires_at: datetime | None = None


class ApiKeys(LedgerAccess):
    """All keys and the browser sessions that they opened; every method is one transaction."""

    def create(self, new: NewKey) -> tuple[ApiKey, str]:
        """Make a key; return it with its text, which is told once and kept nowhere."""
        key_id = secrets.token_hex(_ID_BYTES)
        secret = secrets.token_urlsafe(_SECRET_BYTES)
        with self._writing() as (connection, now):
            connection.execute(
                insert(api_keys).values(
                    key_id=key_id,
                    name=new.name,
                    secret_sha256=_digest(secret),
                    scopes=",".join(sorted(new.scopes)),
                    budget_microusd=new.budget,
                    rate_per_minute=new.rate_per_minute,
                    created_by=new.created_by,
                    created_at=now,
                    expires_at=new.expires_at,
                )
            )
            row = connection.execute(_GET, {"key": key_id}).mappings().one()
            return _key_from(row), f"ap_{key_id}_{secret}"

    def all(self) -> list[ApiKey]:
        """Return all keys, the newest first."""
        with self._reading() as connection:
            rows = connection.execute(select(api_keys).order_by(api_keys.c.created_at.desc()))
            return [_key_from(row) for row in rows.mappings()]

    def any(self) -> bool:
        """Tell whether there ever was a key: then nobody comes in without one."""
        with self._reading() as connection:
            return bool(connection.execute(select(func.count()).select_from(api_keys)).scalar())

    def revoke(self, key_id: str) -> ApiKey:
        """Let a key be good for nothing any more, at once; its sessions end with it.

        Raises:
            AssetPipelineError: There is no such key.
        """
        with self._writing() as (connection, now):
            connection.execute(
                update(api_keys)
                .where(api_keys.c.key_id == key_id, api_keys.c.revoked_at.is_(None))
                .values(revoked_at=now)
            )
            row = connection.execute(_GET, {"key": key_id}).mappings().one_or_none()
        if row is None:
            raise AssetPipelineError(
                f"There is no key {key_id!r}.", hint="`asset-pipeline keys list` shows them."
            )
        return _key_from(row)

    def check(self, text: str) -> ApiKey | None:
        """Return the key that a text is, if it is one that holds now.

        A key that is unknown takes as long as one with a wrong secret.
        """
        _, key_id, secret = (*text.split("_", 2), "", "")[:3]
        with self._reading() as connection:
            row = connection.execute(_GET, {"key": key_id}).mappings().one_or_none()
        known = _NO_SECRET if row is None else str(row["secret_sha256"])
        equal = hmac.compare_digest(known, _digest(secret))
        if row is None or not equal or not text.startswith("ap_"):
            return None
        key = _key_from(row)
        return key if key.holds(self._clock.now()) else None

    def open_session(self, key: ApiKey) -> tuple[str, datetime]:
        """Open a browser's session; return its secret, never one that the browser had before."""
        token = secrets.token_urlsafe(_SECRET_BYTES)
        with self._writing() as (connection, now):
            expires = now + SESSION_LIFE
            connection.execute(
                insert(sessions).values(
                    session_sha256=_digest(token),
                    key_id=key.key_id,
                    created_at=now,
                    expires_at=expires,
                )
            )
        return token, expires

    def session(self, token: str) -> ApiKey | None:
        """Return the key behind a session that has not ended."""
        now = self._clock.now()
        with self._reading() as connection:
            row = (
                connection.execute(_SESSION, {"digest": _digest(token), "now": now})
                .mappings()
                .one_or_none()
            )
        key = None if row is None else _key_from(row)
        return key if key is not None and key.holds(now) else None

    def end_session(self, token: str) -> None:
        """End a session."""
        with self._writing() as (connection, now):
            connection.execute(
                update(sessions)
                .where(sessions.c.session_sha256 == _digest(token), sessions.c.ended_at.is_(None))
                .values(ended_at=now)
            )


def csrf_token(session: str) -> str:
    """Return what a page has to show beside the session's cookie; it can't be worked out back."""
    return hashlib.sha256(f"csrf:{session}".encode()).hexdigest()


def scopes_from(words: Collection[str]) -> frozenset[Scope]:
    """Return scopes by their words.

    Raises:
        AssetPipelineError: One is unknown, or there are none.
    """
    try:
        found = frozenset(Scope(word.strip()) for word in words)
    except ValueError as error:
        known = ", ".join(Scope)
        raise AssetPipelineError(f"{error}.", hint=f"Scopes are {known}.") from None
    if not found:
        raise AssetPipelineError("A key needs a scope.", hint=f"Scopes are {', '.join(Scope)}.")
    return found


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _key_from(row: RowMapping) -> ApiKey:
    budget = row["budget_microusd"]
    return ApiKey(
        key_id=row["key_id"],
        name=row["name"],
        scopes=frozenset(map(Scope, row["scopes"].split(","))),
        budget=None if budget is None else MicroUsd(budget),
        rate_per_minute=row["rate_per_minute"],
        created_by=row["created_by"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        revoked_at=row["revoked_at"],
    )


_GET = select(api_keys).where(api_keys.c.key_id == bindparam("key"))
_SESSION = (
    select(api_keys)
    .join(sessions, sessions.c.key_id == api_keys.c.key_id)
    .where(
        sessions.c.session_sha256 == bindparam("digest"),
        sessions.c.ended_at.is_(None),
        sessions.c.expires_at > bindparam("now"),
    )
)
