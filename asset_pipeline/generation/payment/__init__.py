"""The paid call: from a request to a stored clip, and what it works with."""
