"""The configuration files that were last in force, recorded for later processes."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite

from asset_pipeline.config.guarded_file import InForce
from asset_pipeline.ledger.access import LedgerAccess
from asset_pipeline.ledger.schema import configurations


class Recalled(LedgerAccess):
    """The files that were last in force, read-only."""

    def recall(self, name: str) -> InForce | None:
        """Return the file of this name that was last in force, if any."""
        query = select(configurations.c.path, configurations.c.sha256)
        with self._reading() as connection:
            row = connection.execute(query.where(configurations.c.name == name)).first()
        return None if row is None else InForce(*row)

    def remember(self, name: str, in_force: InForce) -> None:
        """Keep nothing: only a process that pays puts a file into force."""


class Configurations(Recalled):
    """The same, for a process that pays."""

    def remember(self, name: str, in_force: InForce) -> None:
        """Keep which file of this name is in force now."""
        with self._writing() as (connection, now):
            dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
            values = {"path": in_force.path, "sha256": in_force.sha256, "in_force_since": now}
            connection.execute(
                dialect.insert(configurations)
                .values(name=name, **values)
                .on_conflict_do_update(index_elements=["name"], set_=values)
            )
