"""Sensors for prompt files, follow-ups, dead processes and alerts.

When something runs belongs here. What runs belongs in ``defs.assets`` and ``defs.jobs``.
"""
