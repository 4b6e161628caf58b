"""Custody of stored clips: integrity checks, retention, links and exports.

What happens to a clip after it was stored belongs here. Nothing that pays may depend on it.
"""
