"""Prompts to images and audio on Replicate, as Dagster partitions, never paid twice.

The rooms and the direction of imports between them are drawn in ``docs/architecture.md``.
"""
