"""Logs: JSON lines in a rotating file, sentences on the console, secrets in neither.

Dagster's event log does not belong here (``defs``).
"""
