"""What can be done to the prompts of a collection, and what the model is told of it."""

from __future__ import annotations

from enum import StrEnum


class Operation(StrEnum):
    """What can be done to the prompts of a collection."""

    EXPAND = "expand"
    VARY = "vary"
    TRANSLATE = "translate"
    UNIFY = "unify"
    SHORTEN = "shorten"
    REWRITE = "rewrite"


RULES = {
    Operation.EXPAND: "Write each of the prompts out in more detail; its subject stays.",
    Operation.VARY: 'Write "candidates" different versions of each of the prompts.',
    Operation.TRANSLATE: 'Translate each of the prompts into the language "language".',
    Operation.UNIFY: "Rewrite each of the prompts so that all share one look, as told by "
    '"style"; the subjects stay.',
    Operation.SHORTEN: 'Shorten each of the prompts to "max_characters" characters or less; what '
    "matters most stays.",
    Operation.REWRITE: "Each of the prompts was refused for its content. Rewrite it harmlessly; "
    "what it is for stays.",
}

KEEP_IDS = "The id of each answer is the id of the prompt that it was made of."
