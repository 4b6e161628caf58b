"""The paid call: from a request to a stored clip.

Every step at which money is reserved, sent, charged or delivered belongs here. Whether a failed
attempt is repeated does not (``generation.retry``).
"""
