"""The warehouse: the published DuckDB tables and views, and the gallery.

What people read belongs here. Nothing decides by it: the ledger is the truth.
"""
