"""What the sandbox's language model writes: drafts by rules, in the form that was asked for.

It knows the tasks of this project by the JSON document that their last message is. Anything else
gets the plainest document that its schema allows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

from asset_pipeline.sandbox.chat.drafts import drafted, revised

_MOST_DEPTH = 12


def written_answer(asked: Mapping[str, Any]) -> str:
    """Return the content of the answer to a call."""
    task = _task_of(asked)
    schema = _schema_of(asked)
    if task is not None:
        if isinstance(task.get("brief"), dict):
            return json.dumps({"prompts": drafted(task)}, ensure_ascii=False)
        if isinstance(task.get("prompts"), list):
            return json.dumps({"prompts": revised(task)}, ensure_ascii=False)
    if schema is None:
        return "This is the sandbox: it writes drafts of prompts, and little else."
    return json.dumps(_plainest(schema, 0))


def _task_of(asked: Mapping[str, Any]) -> dict[str, Any] | None:
    last = asked["messages"][-1].get("content")
    if not isinstance(last, str):
        return None
    try:
        document: object = json.loads(last)
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, Any]", document) if isinstance(document, dict) else None


def _schema_of(asked: Mapping[str, Any]) -> Mapping[str, Any] | None:
    form = asked.get("response_format")
    if not isinstance(form, dict):
        return None
    named = cast("dict[str, Any]", form).get("json_schema")
    schema = cast("dict[str, Any]", named).get("schema") if isinstance(named, dict) else None
    return cast("Mapping[str, Any]", schema) if isinstance(schema, dict) else None


def _plainest(schema: Mapping[str, Any], depth: int) -> object:
    """Return a small document that a schema allows."""
    if depth > _MOST_DEPTH:
        return None
    choices = schema.get("enum")
    if isinstance(choices, list) and choices:
        return cast("list[object]", choices)[0]
    kind = schema.get("type")
    if kind == "object":
        fields = cast("Mapping[str, Mapping[str, Any]]", schema.get("properties") or {})
        return {name: _plainest(field, depth + 1) for name, field in fields.items()}
    if kind == "array":
        items = schema.get("items")
        return [_plainest(cast("Mapping[str, Any]", items), depth + 1)] if items else []
    return {"integer": 1, "number": 1, "boolean": False}.get(str(kind), "sandbox")
