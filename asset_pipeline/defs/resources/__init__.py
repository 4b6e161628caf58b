"""Dagster resources around the rooms below."""
