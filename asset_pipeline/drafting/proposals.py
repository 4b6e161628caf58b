"""Proposals: drafts that wait for a person, in a file that people may edit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.config.error_messages import complaint
from asset_pipeline.config.yaml_source import SourceError, lines_of, parse_yaml, read_utf8
from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.files import write_atomically
from asset_pipeline.prompts.text import ID_RULE, is_id
from asset_pipeline.prompts.yaml_writer import readable_yaml


class Standing(StrEnum):
    """How a proposal compares with the prompts that there are."""

    NEW = "new"
    CHANGED = "changed"  # the collection has a prompt of this id with another text
    SAME = "same"  # the collection has exactly this prompt


class Decision(StrEnum):
    """What a person has said of a proposal."""

    OPEN = "open"
    ACCEPTED = "accepted"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Proposal:
    """One draft.

    Attributes:
        why: What it serves, in the model's words.
        standing: How it compares with what there was when it was drafted.
        before: The text that it would replace; empty for a new prompt.
        problems: Why it can't be accepted as it is.
        drafted_text: The text as it was drafted: an edited one is told by it.
        source_id: The prompt that it was made of, for an operation on a collection.
        call: The intent of the call that wrote it, where that is not the file's.
    """

    id: str
    text: str
    inputs: Mapping[str, JsonValue]
    why: str
    standing: Standing = Standing.NEW
    before: str = ""
    problems: tuple[str, ...] = ()
    decision: Decision = Decision.OPEN
    drafted_text: str = ""
    source_id: str = ""
    call: str = ""

    @property
    def is_edited(self) -> bool:
        """Whether a person changed its text."""
        return bool(self.drafted_text) and self.text != self.drafted_text


@dataclass(frozen=True, slots=True)
class ProposalFile:
    """All proposals of one call.

    Attributes:
        subject: The brief's name, or the collection's for an operation.
        subject_sha256: What that said when it was drafted.
        operation: ``draft``, or what was done to a collection.
        call: The intent of the call, in the ledger.
        response_sha256: Of the answer.
        collection: Where accepted ones go.
        style: The collection's style, where it is made by accepting.
        model: The model that makes the clips.
        llm: The language model that wrote them.
        charged_usd: What the call was charged when it was made.
    """

    subject: str
    subject_sha256: str
    operation: str
    call: str
    response_sha256: str
    kind: Kind
    collection: str
    model: str
    llm: str
    charged_usd: str
    style: str = ""
    variants: int = 1
    inputs: Mapping[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    proposals: tuple[Proposal, ...] = ()

    def with_proposals(self, proposals: Sequence[Proposal]) -> ProposalFile:
        """Return it with other proposals."""
        return replace(self, proposals=tuple(proposals))


class _ProposalEntry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    text: str
    inputs: dict[str, JsonValue] = Field(default_factory=dict)
    why: str = ""
    standing: Standing = Standing.NEW
    before: str = ""
    problems: list[str] = Field(default_factory=list)
    decision: Decision = Decision.OPEN
    drafted_text: str = ""
    source_id: str = ""
    call: str = ""


class _Written(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    subject: str
    subject_sha256: str
    operation: str
    call: str
    response_sha256: str
    kind: Kind
    collection: str
    model: str
    llm: str
    charged_usd: str
    style: str = ""
    variants: Annotated[int, Field(ge=1, le=100)] = 1
    inputs: dict[str, JsonValue] = Field(default_factory=dict)
    proposals: list[_ProposalEntry]


_HEAD = """\
# Proposals of a language model. Edit texts as you like; `asset-pipeline prompts accept {name}`
# turns those that have no problem into prompts, and --prompt ID only the ones you name.
"""


def write_proposals(path: Path, file: ProposalFile) -> None:
    """Write the proposals, whole or not at all."""
    name = path.name.removesuffix(".proposals.yaml")
    document: dict[str, Any] = {
        "subject": file.subject,
        "subject_sha256": file.subject_sha256,
        "operation": file.operation,
        "call": file.call,
        "response_sha256": file.response_sha256,
        "kind": file.kind.value,
        "collection": file.collection,
        "model": file.model,
        "llm": file.llm,
        "charged_usd": file.charged_usd,
        "style": file.style,
        "variants": file.variants,
        "inputs": dict(file.inputs),
        "proposals": [_written(proposal) for proposal in file.proposals],
    }
    write_atomically(path, _HEAD.format(name=name) + readable_yaml(document))


def read_proposals(path: Path) -> ProposalFile:
    """Read the proposals as a person may have edited them.

    Raises:
        AssetPipelineError: There are none, or the file can't be used; the error names the line.
    """
    name = path.name.removesuffix(".proposals.yaml")
    if not path.is_file():
        raise AssetPipelineError(
            f"There are no proposals for {name!r}.",
            hint=f"`asset-pipeline prompts draft {name}` makes some.",
        )
    try:
        text = read_utf8(path)
        document = parse_yaml(text)
    except SourceError as error:
        raise AssetPipelineError(f"{path.name}:{error.line}: {error.message}") from None
    if document.flaws:
        flaw = document.flaws[0]
        raise AssetPipelineError(f"{path.name}:{flaw.line}: {flaw.message}", hint=flaw.hint)
    try:
        read = _Written.model_validate(document.value)
    except ValidationError as error:
        issue = error.errors(include_url=False)[0]
        message, hint = complaint(issue, _ProposalEntry.model_fields)
        line = lines_of(text, [issue["loc"]])[0]
        where = ".".join(str(part) for part in issue["loc"])
        raise AssetPipelineError(f"{path.name}:{line}: {where}: {message}", hint=hint) from None
    if not is_id(read.collection):
        # People edit the file, and the name becomes that of a file.
        line = lines_of(text, [("collection",)])[0]
        raise AssetPipelineError(
            f"{path.name}:{line}: collection: {read.collection[:100]!r} is no name.",
            hint=f"It is {ID_RULE}.",
        )
    fields = {name: getattr(read, name) for name in _Written.model_fields if name != "proposals"}
    return ProposalFile(**fields, proposals=tuple(_proposal(entry) for entry in read.proposals))


def _proposal(entry: _ProposalEntry) -> Proposal:
    fields: dict[str, Any] = {name: getattr(entry, name) for name in _ProposalEntry.model_fields}
    fields["problems"] = tuple(entry.problems)
    return Proposal(**fields)


def _written(proposal: Proposal) -> dict[str, Any]:
    said: dict[str, Any] = {
        "id": proposal.id,
        "text": proposal.text,
        "inputs": dict(proposal.inputs),
        "why": proposal.why,
        "standing": proposal.standing.value,
        "before": proposal.before,
        "problems": list(proposal.problems),
        "decision": proposal.decision.value,
        "drafted_text": proposal.drafted_text,
        "source_id": proposal.source_id,
        "call": proposal.call,
    }
    return {name: value for name, value in said.items() if value not in ("", [], {})}
