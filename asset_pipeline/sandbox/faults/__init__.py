"""Rehearsing failure: rules for what goes wrong, when, and how often."""
