"""Generation: from a prompt to a stored clip, and what is done when that fails.

Batches, sessions, requests and failure classes stand here; payment, retry, reconciliation and
planning have packages of their own. Nothing here imports Dagster.
"""
