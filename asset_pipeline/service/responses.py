"""The problems that any route may answer with, for the OpenAPI document."""

from __future__ import annotations

from typing import Any

from asset_pipeline.service.problems import MEDIA_TYPE, Problem

_WORDS = {
    400: "The request can't be read.",
    401: "Nobody, or nobody known, asks.",
    403: "The caller may not do this.",
    404: "There is no such thing.",
    409: "It is not as the request takes it to be any more.",
    413: "Too large.",
    415: "No JSON.",
    422: "Something in the request is wrong.",
    429: "Too often; Retry-After says when again.",
    503: "The ledger can't be used just now.",
}

PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {
        "description": words,
        "content": {MEDIA_TYPE: {"schema": {"$ref": f"#/components/schemas/{Problem.__name__}"}}},
    }
    for status, words in _WORDS.items()
}
