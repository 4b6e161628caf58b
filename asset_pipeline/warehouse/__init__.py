"""The published picture of the ledger: DuckDB tables, views and the gallery."""
