"""Logs: one JSON line a record in a rotating file, sentences on the console, secrets in neither."""
