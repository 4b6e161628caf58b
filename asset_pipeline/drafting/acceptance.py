"""A person's yes: proposals become prompts of a collection, with their descent in the ledger."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path

from pydantic import JsonValue

from asset_pipeline.catalog.reader import Catalog
from asset_pipeline.drafting.proposals import (
    Decision,
    Proposal,
    ProposalFile,
    read_proposals,
    write_proposals,
)
from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.files import write_atomically
from asset_pipeline.ledger.llm_calls import LlmCallRepository
from asset_pipeline.ledger.records import Parent
from asset_pipeline.prompts.collection_edit import with_entries
from asset_pipeline.prompts.library import FOLDERS, load_library
from asset_pipeline.prompts.resolver import Collection, Resolver
from asset_pipeline.prompts.spec import CollectionDefaults, Prompt, PromptEntry
from asset_pipeline.prompts.text import clean, is_id
from asset_pipeline.prompts.yaml_writer import collection_yaml


@dataclass(frozen=True, slots=True)
class AcceptanceReport:
    """What was accepted, and why the others were not.

    Attributes:
        path: The collection file.
        accepted: The prompts that are in it now.
        problems: Why each of the others was left, by id.
    """

    path: Path
    accepted: tuple[str, ...]
    problems: Mapping[str, str]


def accept(
    proposals_path: Path,
    prompts_dir: Path,
    catalog: Catalog,
    calls: LlmCallRepository,
    *,
    ids: Sequence[str] | None = None,
    edits: Mapping[str, str] | None = None,
    on: date | None = None,
) -> AcceptanceReport:
    """Turn proposals into prompts: all that are open and have no problem, or the named ones.

    What a person edited is judged anew, so that an edit mends a problem. The prompts are written
    before the decision is noted: doing it over changes nothing.

    Args:
        proposals_path: The proposals.
        prompts_dir: The prompts folder.
        catalog: Judges models and inputs.
        calls: Where the descent is written.
        ids: Only these; they may have been decided before.
        edits: Other texts, by id.
        on: The day whose prices must be known; today (UTC) if not given.

    Raises:
        AssetPipelineError: The proposals can't be read, or the collection not be written.
    """
    file = read_proposals(proposals_path)
    edited = _edited(file, edits or {})
    chosen = _chosen(edited, ids, edits or {})
    library = load_library(prompts_dir, catalog, on=on)
    taken = {
        prompt_id: prompt.collection for prompt_id, prompt in library.of_kind(file.kind).items()
    }
    resolver = Resolver(prompts_dir, catalog, on=on or datetime.now(UTC).date())
    target = _target(prompts_dir, library.of_kind(file.kind).values(), file)
    collection = _collection(file, target.relative_to(prompts_dir).as_posix())
    entries: list[PromptEntry] = []
    prompts: dict[str, Prompt] = {}
    problems: dict[str, str] = {}
    for proposal in chosen:
        wrong = _objection(proposal, file, taken) or _objection_of_sweep(
            library.of_kind(file.kind).get(proposal.id)
        )
        entry = None if wrong else _entry(proposal, file, library.of_kind(file.kind))
        resolved = None if entry is None else resolver.resolve(entry, collection)
        if isinstance(resolved, list):
            wrong = f"{resolved[0].message} {resolved[0].hint}".strip()
        if wrong or entry is None or not isinstance(resolved, Prompt):
            problems[proposal.id] = wrong or "it can't be read."
            continue
        entries.append(entry)
        prompts[proposal.id] = resolved
    if entries:
        _write(target, collection, entries)
        _note_descent(calls, edited, chosen, prompts)
    write_proposals(proposals_path, _decided(edited, set(prompts)))
    return AcceptanceReport(target, tuple(prompts), problems)


def reject(proposals_path: Path, ids: Sequence[str]) -> list[str]:
    """Note that proposals are not wanted; return their ids.

    Raises:
        AssetPipelineError: One is unknown.
    """
    file = read_proposals(proposals_path)
    _check_known(file, ids)
    write_proposals(
        proposals_path,
        file.with_proposals(
            [
                replace(each, decision=Decision.REJECTED) if each.id in ids else each
                for each in file.proposals
            ]
        ),
    )
    return list(ids)


def _edited(file: ProposalFile, edits: Mapping[str, str]) -> ProposalFile:
    _check_known(file, list(edits))
    return file.with_proposals(
        [
            replace(each, text=clean(edits[each.id])) if each.id in edits else each
            for each in file.proposals
        ]
    )


def _chosen(
    file: ProposalFile, ids: Sequence[str] | None, edits: Mapping[str, str]
) -> list[Proposal]:
    if ids is None and not edits:
        return [each for each in file.proposals if each.decision is Decision.OPEN]
    named = [*(ids or []), *edits]
    _check_known(file, named)
    return [each for each in file.proposals if each.id in named]


def _check_known(file: ProposalFile, ids: Sequence[str]) -> None:
    known = {each.id for each in file.proposals}
    for name in ids:
        if name not in known:
            raise AssetPipelineError(
                f"There is no proposal {name!r}.", hint=f"There are: {', '.join(sorted(known))}."
            )


def _objection(proposal: Proposal, file: ProposalFile, taken: Mapping[str, str]) -> str:
    """Return why a proposal can't be accepted; the problems of an edited one are judged anew."""
    if not is_id(proposal.id):
        return f"{proposal.id!r} is not an id."
    if proposal.problems and not proposal.is_edited:
        return proposal.problems[0]
    owner = taken.get(proposal.id)
    if owner is not None and owner != file.collection:
        return f"the id is taken by the collection {owner}; give it another one."
    return ""


def _objection_of_sweep(old: Prompt | None) -> str:
    if old is None or not old.axes:
        return ""
    return f"it is of the matrix in {old.path}, whose text makes all its prompts; change that."


def _entry(proposal: Proposal, file: ProposalFile, existing: Mapping[str, Prompt]) -> PromptEntry:
    """Return the entry; of a prompt that is revised all but the text stays."""
    old = existing.get(proposal.source_id or proposal.id)
    text = clean(proposal.text)
    if old is None or old.collection != file.collection:
        return PromptEntry(id=proposal.id, text=text, inputs=dict(proposal.inputs))
    return PromptEntry(
        id=proposal.id,
        text=text,
        model=old.model if old.model != file.model else None,
        inputs={**_own_inputs(old, file), **proposal.inputs},
        tags=list(old.tags),
        reference=old.reference,
    )


def _own_inputs(old: Prompt, file: ProposalFile) -> dict[str, JsonValue]:
    return {name: value for name, value in old.inputs.items() if file.inputs.get(name) != value}


def _target(prompts_dir: Path, prompts: Iterable[Prompt], file: ProposalFile) -> Path:
    for prompt in prompts:
        if prompt.collection == file.collection:
            return prompts_dir / prompt.path
    return prompts_dir / FOLDERS[file.kind] / f"{file.collection}.yaml"


def _collection(file: ProposalFile, path: str) -> Collection:
    defaults = CollectionDefaults(
        model=file.model, variants=file.variants, style=file.style, inputs=dict(file.inputs)
    )
    return Collection(file.kind, file.collection, path, defaults)


def _write(target: Path, collection: Collection, entries: Sequence[PromptEntry]) -> None:
    if target.is_file():
        text = with_entries(target.read_text(encoding="utf-8"), entries)
    else:
        text = collection_yaml(collection, entries)
    write_atomically(target, text)


def _decided(file: ProposalFile, accepted: set[str]) -> ProposalFile:
    return file.with_proposals(
        [
            replace(each, decision=Decision.ACCEPTED) if each.id in accepted else each
            for each in file.proposals
        ]
    )


def _note_descent(
    calls: LlmCallRepository,
    file: ProposalFile,
    chosen: Sequence[Proposal],
    prompts: Mapping[str, Prompt],
) -> None:
    for proposal in chosen:
        prompt = prompts.get(proposal.id)
        if prompt is None:
            continue
        relation = "edited" if proposal.is_edited else "accepted"
        is_of_file = proposal.call in {"", file.call}
        digest = file.response_sha256 if is_of_file else None
        parents = [Parent("draft", proposal.call or file.call, digest, relation)]
        if proposal.source_id:
            source = f"{file.kind}/{proposal.source_id}"
            parents.append(Parent("prompt", source, None, file.operation))
        child = f"{prompt.kind}/{prompt.prompt_id}"
        calls.add_lineage(child, prompt.prompt_hash, parents, run_id=file.call)
