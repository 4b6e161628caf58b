"""Harnesses that kill workers, and what they check afterwards."""
