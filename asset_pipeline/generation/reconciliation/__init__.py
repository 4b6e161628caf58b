"""Reconciliation: lost replies, late finds, orphan predictions, and resuming."""
