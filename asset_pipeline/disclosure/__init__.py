"""Redaction: secrets masked, addresses shortened, control sequences removed from output.

What keeps a secret from a file, a log or a screen belongs here. It imports nothing of ours.
"""
