"""The form that a language model's answer must have, as a strict JSON schema and for Pydantic."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, JsonValue

FORM_NAME = "prompt_drafts"


class InputValue(BaseModel):
    """One input of the generation model that a draft sets."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: str
    value: str


class DraftedPrompt(BaseModel):
    """One draft as it was written; nothing of it is trusted."""

    model_config = ConfigDict(extra="forbid", strict=True)

    id: str
    text: str
    inputs: list[InputValue]
    why: str


class DraftedPrompts(BaseModel):
    """A whole answer."""

    model_config = ConfigDict(extra="forbid", strict=True)

    prompts: list[DraftedPrompt]


def answer_schema() -> dict[str, JsonValue]:
    """Return the schema in the subset that strict mode takes: all is required, nothing is added."""
    text: JsonValue = {"type": "string"}
    return _object(
        prompts={
            "type": "array",
            "items": _object(
                id=text,
                text=text,
                inputs={"type": "array", "items": _object(name=text, value=text)},
                why=text,
            ),
        }
    )


def _object(**fields: JsonValue) -> dict[str, JsonValue]:
    return {
        "type": "object",
        "properties": dict(fields),
        "required": list(fields),
        "additionalProperties": False,
    }
