"""The ledger's contract, on a SQLite file and on a real Postgres."""

from __future__ import annotations

import pytest

from asset_pipeline_tests.conftest import NewLedger
from asset_pipeline_tests.support.ledger_contract import LedgerContract


class TestSqlite(LedgerContract):
    """SQLite keeps the contract."""

    @pytest.fixture
    def new_ledger(self, new_sqlite: NewLedger) -> NewLedger:
        """Ledgers in files."""
        return new_sqlite


class TestPostgres(LedgerContract):
    """Postgres keeps the contract."""

    @pytest.fixture
    def new_ledger(self, new_postgres: NewLedger) -> NewLedger:
        """Ledgers on the session's server."""
        return new_postgres
