"""What a collection lets its files say of where they come from."""

from __future__ import annotations

import hashlib
import json
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from asset_pipeline.config.error_messages import complaint
from asset_pipeline.config.yaml_source import FieldPath

Redactable = Literal["prompt", "cost", "ids"]

# Raise it when the same policy would mark a file otherwise: renditions and exports are then made
# anew.
_VERSION = 1


class ProvenancePolicy(BaseModel):
    """A collection's ``provenance``.

    Attributes:
        mark: Write into each rendition and export that a model made it.
        sign: Sign them too, where there is a key.
        redact: What they don't tell: the prompt's text (its hash stays), what it cost, and the
            numbers under which provider and ledger know it.
    """

    # Strict, as all of a collection file.
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    mark: bool = True
    sign: bool = True
    redact: list[Redactable] = Field(default_factory=lambda: ["prompt"])

    def shows(self, what: Redactable) -> bool:
        """Tell whether a fact may be told."""
        return what not in self.redact

    @property
    def name(self) -> str:
        """Return it as one line, for tables."""
        if not self.mark:
            return "none"
        done = "mark, sign" if self.sign else "mark"
        return f"{done}; redact {', '.join(sorted(set(self.redact)))}" if self.redact else done

    @property
    def recipe(self) -> str:
        """Return what decides how a file is marked, as one short word; empty for nothing."""
        if not self.mark:
            return ""
        decisive = json.dumps([_VERSION, self.sign, sorted(set(self.redact))])
        return hashlib.sha256(decisive.encode()).hexdigest()[:8]


DEFAULT: Final = ProvenancePolicy()
"""That of a collection which says nothing: marked, signed where there is a key, without prompt."""

NONE: Final = ProvenancePolicy(mark=False, sign=False)
"""That of a collection which says ``none``."""


def read_policy(written: JsonValue) -> tuple[ProvenancePolicy, list[tuple[FieldPath, str, str]]]:
    """Return a collection's policy, and what is wrong with it.

    Args:
        written: The file's ``provenance``; None for the usual one, ``none`` for no marks.

    Returns:
        The policy; and place, message and hint of each thing wrong.
    """
    if written is None:
        return DEFAULT, []
    if written == "none":
        return NONE, []
    if not isinstance(written, dict):
        hint = "Write none, or a mapping of mark, sign and redact."
        return DEFAULT, [((), f"{written!r} is no policy.", hint)]
    try:
        policy = ProvenancePolicy.model_validate(written)
    except ValidationError as error:
        fields = ProvenancePolicy.model_fields
        return DEFAULT, [
            (tuple(issue["loc"]), *complaint(issue, fields))
            for issue in error.errors(include_url=False)
        ]
    if policy.sign and not policy.mark:
        if "sign" in written:
            return DEFAULT, [
                (("sign",), "A file is signed with its marks.", "Set mark: true, or sign: false.")
            ]
        policy = policy.model_copy(update={"sign": False})
    return policy, []
