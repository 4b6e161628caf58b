"""Decode, probe, verify and preview pictures and sound."""
