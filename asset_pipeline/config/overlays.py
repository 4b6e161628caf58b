"""Files of users laid over the packaged ones: what they don't say stays as it is."""

from __future__ import annotations

from pydantic import JsonValue


def overlaid(below: JsonValue, above: JsonValue) -> JsonValue:
    """Lay one value over another: mappings merge key by key, anything else replaces."""
    if not isinstance(below, dict) or not isinstance(above, dict):
        return above
    merged = dict(below)
    for key, value in above.items():
        merged[key] = overlaid(below[key], value) if key in below else value
    return merged
