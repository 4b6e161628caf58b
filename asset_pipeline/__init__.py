"""Prompts to images and audio on Replicate, as Dagster partitions, never paid twice.

Each package is a room; what belongs in it, and what does not, stands at its top. The rooms and the
direction of imports between them are drawn in ``docs/architecture.md``.
"""
