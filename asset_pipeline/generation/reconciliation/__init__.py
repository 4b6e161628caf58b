"""Reconciliation: lost replies, late finds, orphan predictions, and resuming.

What compares the provider's listing with the ledger belongs here. It never sends a create.
"""
