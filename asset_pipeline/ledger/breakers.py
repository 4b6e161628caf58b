"""The breakers of all models in the ledger, so that they hold for every process and restart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, bindparam, select, update
from sqlalchemy.dialects import postgresql, sqlite

from asset_pipeline.ledger import breaker_machine as machine
from asset_pipeline.ledger.access import LedgerAccess
from asset_pipeline.ledger.breaker_machine import Breaker, BreakerRules, Failure, Outcome, Permit
from asset_pipeline.ledger.records import as_columns
from asset_pipeline.ledger.schema import BreakerState, breakers

_FIELDS = tuple(field.name for field in fields(Breaker))


class BreakerRepository(LedgerAccess):
    """Reads and moves breakers; every method is one transaction.

    A move reads the row under its lock and writes what :mod:`breaker_machine` makes of it, so that
    of two processes that claim a probe one gets it.
    """

    def all(self) -> dict[str, Breaker]:
        """Return every breaker that ever counted something, by model."""
        with self._reading() as connection:
            return _all(connection)

    def admit(self, model: str, owner: str, rules: BreakerRules) -> tuple[Breaker, Permit | None]:
        """Ask for the right to send to a model whose breaker may not be closed.

        Args:
            model: ``owner/name``.
            owner: The worker that asks, up to 32 characters.
            rules: The thresholds in force.

        Returns:
            The breaker as it stands then, and the permit when there is one.
        """
        given: list[Permit | None] = []

        def ask(breaker: Breaker, now: datetime) -> Breaker:
            moved, permit = machine.admit(breaker, owner, now, rules)
            given.append(permit)
            return moved

        breaker = self._move(model, ask)
        return breaker, given[-1]

    def renew(self, permit: Permit, rules: BreakerRules) -> Breaker:
        """Prolong a probe's claim; due before ``probe_seconds`` are over."""
        return self._move(permit.model, lambda b, now: machine.renew(b, permit, now, rules))

    def report(
        self, permit: Permit, outcome: Outcome, rules: BreakerRules, failure: Failure | None = None
    ) -> Breaker:
        """Write what became of something that was sent; return the breaker as it stands then."""
        return self._move(
            permit.model, lambda b, now: machine.after(b, permit, outcome, now, rules, failure)
        )

    def reset(self, model: str) -> Breaker | None:
        """Close a model's breaker, because a person says so; None when it has none."""
        with self._writing() as (connection, now):
            known = _get(connection, model)
            return None if known is None else _write(connection, machine.reset(known, now))

    def _move(self, model: str, step: Callable[[Breaker, datetime], Breaker]) -> Breaker:
        with self._writing() as (connection, now):
            known = _get(connection, model)
            if known is None:
                _open_row(connection, machine.closed(model, now))
                # Read again: on Postgres another process may have been faster.
                known = _get(connection, model) or machine.closed(model, now)
            moved = step(known, now)
            return known if moved is known else _write(connection, moved)


def _breaker_from(row: RowMapping) -> Breaker:
    values: dict[str, Any] = {name: row[name] for name in _FIELDS}
    values["state"] = BreakerState(row["state"])
    return Breaker(**values)


def _all(connection: Connection) -> dict[str, Breaker]:
    rows = connection.execute(_ALL).mappings()
    return {row["model"]: _breaker_from(row) for row in rows}


def _get(connection: Connection, model: str) -> Breaker | None:
    row = connection.execute(_LOCK, {"of_model": model}).mappings().one_or_none()
    return None if row is None else _breaker_from(row)


def _open_row(connection: Connection, breaker: Breaker) -> None:
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    row = as_columns({name: getattr(breaker, name) for name in _FIELDS})
    connection.execute(dialect.insert(breakers).values(row).on_conflict_do_nothing())


def _write(connection: Connection, breaker: Breaker) -> Breaker:
    row = as_columns({name: getattr(breaker, name) for name in _FIELDS if name != "model"})
    connection.execute(_UPDATE, row | {"of_model": breaker.model})
    return breaker


# Statements are built once: building one costs as much as SQLite needs to run it.
_ALL = select(breakers).order_by(breakers.c.model)
# Postgres' writers wait for each other here; SQLite's take turns anyway, and it ignores the words.
_LOCK = select(breakers).where(breakers.c.model == bindparam("of_model")).with_for_update()
_UPDATE = (
    update(breakers)
    .where(breakers.c.model == bindparam("of_model"))
    .values({name: bindparam(name) for name in _FIELDS if name != "model"})
)
