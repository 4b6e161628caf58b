"""Renditions: what is derived from clips, for nothing."""
