"""Who did what over HTTP, one row a request that changes something."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from sqlalchemy import insert

from asset_pipeline.ledger.access import LedgerAccess
from asset_pipeline.ledger.service_schema import service_audit


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One request.

    Attributes:
        action: Method and path.
        code: The problem's code; empty when it went well.
        client: The address that it came from.
    """

    request_id: str
    actor: str
    key_id: str | None
    action: str
    status: int
    code: str = ""
    client: str = ""


class ServiceAudit(LedgerAccess):
    """Writes entries; they are never changed."""

    def add(self, entry: AuditEntry) -> None:
        """Write one entry."""
        with self._writing() as (connection, now):
            connection.execute(insert(service_audit).values(**asdict(entry), created_at=now))
