"""The prompts that came over HTTP, and the takes of all prompts, as the ledger keeps them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.ledger.access import LedgerAccess
from asset_pipeline.ledger.service_schema import submitted_prompts, uploads
from asset_pipeline.ledger.takes import all_takes


@dataclass(frozen=True, slots=True)
class SubmittedPrompt:
    """A prompt that came over HTTP.

    Attributes:
        entry_json: It as a collection file would write it, complete by itself.
    """

    kind: Kind
    prompt_id: str
    collection: str
    owner: str
    entry_json: str
    revision: int

    @property
    def entry(self) -> Mapping[str, Any]:
        """The fields of a collection file."""
        return json.loads(self.entry_json)


@dataclass(frozen=True, slots=True)
class Submitted:
    """All that the ledger adds to the prompt files.

    Attributes:
        prompts: Prompts of the ledger's own collections, the oldest first.
        takes: By prompt, how many takes beyond the first are wanted of which variant.
        files: The names of uploaded files by their ids, as they lie in the folder of uploads.
    """

    prompts: tuple[SubmittedPrompt, ...]
    takes: Mapping[tuple[Kind, str], Mapping[int, int]]
    files: Mapping[str, str]


class SubmittedPrompts(LedgerAccess):
    """Reads what came over HTTP."""

    def all(self) -> Submitted:
        """Return everything, as of one instant."""
        query = select(submitted_prompts).order_by(
            submitted_prompts.c.created_at, submitted_prompts.c.kind, submitted_prompts.c.prompt_id
        )
        stored = select(uploads.c.file_id, uploads.c.extension).where(
            uploads.c.removed_at.is_(None)
        )
        with self._reading() as connection:
            rows = connection.execute(query).mappings().all()
            files = {
                file_id: f"{file_id}.{extension}"
                for file_id, extension in connection.execute(stored)
            }
            taken = all_takes(connection)
        return Submitted(tuple(map(_from_row, rows)), taken, files)

    def find(self, kind: Kind, prompt_id: str) -> SubmittedPrompt | None:
        """Return one prompt; None if none came over HTTP by this id."""
        query = select(submitted_prompts).where(
            submitted_prompts.c.kind == kind.value, submitted_prompts.c.prompt_id == prompt_id
        )
        with self._reading() as connection:
            row = connection.execute(query).mappings().one_or_none()
        return None if row is None else _from_row(row)


def _from_row(row: Mapping[str, Any] | Any) -> SubmittedPrompt:  # noqa: ANN401 -- SQLAlchemy's row
    return SubmittedPrompt(
        Kind(row["kind"]),
        row["prompt_id"],
        row["collection"],
        row["owner"],
        row["entry_json"],
        row["revision"],
    )
