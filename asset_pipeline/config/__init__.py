"""YAML files that people write: read with line numbers, and reloaded when they change.

How a file is read belongs here. What it means belongs to the room that uses it.
"""
