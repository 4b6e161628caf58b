"""What `prompts draft|accept|revise` do."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asset_pipeline.catalog.reader import load_catalog
from asset_pipeline.cli._output import say, show_table, stderr, stdout, write_json
from asset_pipeline.defs.resources.drafting import DraftingResource, OpenDrafting, open_calls
from asset_pipeline.defs.resources.openrouter import OpenRouterResource
from asset_pipeline.defs.resources.prompt_library import PromptLibraryResource
from asset_pipeline.drafting.acceptance import AcceptanceReport, accept, reject
from asset_pipeline.drafting.brief import MODELS, Brief, briefs_dir, load_brief
from asset_pipeline.drafting.drafter import DraftReport, OperationRequest, difference
from asset_pipeline.drafting.operations import Operation
from asset_pipeline.drafting.proposals import Decision, Proposal, Standing
from asset_pipeline.errors import AssetPipelineError, ExitCode
from asset_pipeline.files import resolve_inside
from asset_pipeline.money import MicroUsd, format_usd, micro_usd, to_decimal
from asset_pipeline.prompts.library import BRIEFS_FOLDER
from asset_pipeline.prompts.text import is_id
from asset_pipeline.settings import ProviderName, load_settings

_TEXT_SHOWN = 100


@dataclass(frozen=True, slots=True)
class RevisionOptions:
    """The flags of `prompts revise`."""

    collection: str
    operation: Operation
    prompt_ids: Sequence[str] | None
    language: str | None
    candidates: int
    style: str | None
    max_characters: int
    models: Sequence[str] | None
    max_usd: MicroUsd | None
    again: bool


def show_draft(
    name: str, *, count: int | None, max_usd: MicroUsd | None, again: bool, as_json: bool
) -> ExitCode:
    """Draft a brief, print the proposals and return the exit code.

    Raises:
        AssetPipelineError: The brief can't be used, or the call brought nothing.
    """
    settings = load_settings()
    brief = load_brief(settings.prompts_dir, name, load_catalog(settings.config_dir))
    bounds = [cap for cap in (max_usd, _cap_of(brief)) if cap is not None]

    async def draft() -> DraftReport:
        run_id = f"draft-{uuid.uuid4().hex}"
        cap = min(bounds) if bounds else None
        async with _drafting().open(run_id, max_usd=cap, again=again) as opened:
            existing = opened.prompts.library.of_kind(brief.kind)
            return await opened.drafter.draft(brief, existing, opened.payment, count=count)

    report = asyncio.run(draft())
    accepted = None
    if brief.file.auto:
        with open_calls(settings) as calls:
            accepted = accept(
                report.path, settings.prompts_dir, load_catalog(settings.config_dir), calls
            )
    return _show(report, accepted, as_json=as_json)


def show_revision(options: RevisionOptions, *, as_json: bool) -> ExitCode:
    """Rework a collection's prompts, print the proposals and return the exit code.

    Raises:
        AssetPipelineError: There is no such collection, or a call brought nothing.
    """

    async def revise() -> DraftReport:
        run_id = f"revise-{uuid.uuid4().hex}"
        drafting = _drafting().open(run_id, max_usd=options.max_usd, again=options.again)
        async with drafting as opened:
            request = _request(options, opened)
            models = options.models or MODELS
            return await opened.drafter.operate(request, opened.payment, models=models)

    return _show(asyncio.run(revise()), None, as_json=as_json)


def show_acceptance(
    name: str,
    ids: Sequence[str] | None,
    edits: Mapping[str, str],
    rejected: Sequence[str],
    *,
    as_json: bool,
) -> ExitCode:
    """Accept or reject proposals, print what became of them and return the exit code.

    Raises:
        AssetPipelineError: There are none, or the collection can't be written.
    """
    settings = load_settings()
    path = _proposals_path(settings.prompts_dir, name)
    if rejected:
        reject(path, rejected)
    if rejected and not ids and not edits:
        if as_json:
            write_json({"accepted": [], "rejected": list(rejected), "problems": {}})
        else:
            say(stdout(), f"Noted as not wanted: {', '.join(rejected)}.")
        return ExitCode.DONE
    with open_calls(settings) as calls:
        report = accept(
            path,
            settings.prompts_dir,
            load_catalog(settings.config_dir),
            calls,
            ids=ids,
            edits=edits,
        )
    if as_json:
        write_json(
            {
                "collection_file": report.path,
                "accepted": report.accepted,
                "rejected": list(rejected),
                "problems": dict(report.problems),
            }
        )
    else:
        _show_accepted(report)
    return ExitCode.SOME_FAILED if report.problems else ExitCode.DONE


def _drafting() -> DraftingResource:
    return DraftingResource(openrouter=OpenRouterResource(), prompt_library=PromptLibraryResource())


def _cap_of(brief: Brief) -> MicroUsd | None:
    written = brief.file.max_usd
    if written is None:
        return None
    try:
        amount = micro_usd(written.removeprefix("$"))
    except ValueError:
        amount = MicroUsd(-1)
    if amount < 0:
        raise AssetPipelineError(
            f"Brief {brief.name}: max_usd: {written!r} is not an amount in US dollars.",
            hint='Write it as "0.05".',
        )
    return amount


def _request(options: RevisionOptions, opened: OpenDrafting) -> OperationRequest:
    prompts = [
        prompt
        for prompt in opened.prompts.library.prompts.values()
        if prompt.collection == options.collection
    ]
    if not prompts:
        known = sorted({each.collection for each in opened.prompts.library.prompts.values()})
        raise AssetPipelineError(
            f"There is no collection {options.collection!r}.",
            hint=f"There are: {', '.join(known)}.",
        )
    for name in options.prompt_ids or ():
        if name not in {prompt.prompt_id for prompt in prompts}:
            raise AssetPipelineError(f"{options.collection} has no prompt {name!r}.")
    kinds = {prompt.kind for prompt in prompts}
    if len(kinds) > 1:
        raise AssetPipelineError(
            f"{options.collection} is a collection of both kinds.", hint="Rename one of the two."
        )
    chosen = [
        each for each in prompts if not options.prompt_ids or each.prompt_id in options.prompt_ids
    ]
    return OperationRequest(
        options.operation,
        options.collection,
        chosen,
        language=options.language,
        candidates=options.candidates,
        style=options.style,
        max_characters=options.max_characters,
    )


def _proposals_path(prompts_dir: Path, name: str) -> Path:
    stem = Path(name).name.removesuffix(".yaml").removesuffix(".proposals")
    if not is_id(stem):
        raise AssetPipelineError(
            f"{name!r} names no proposals.", hint=f"They are in {briefs_dir(prompts_dir)}."
        )
    return resolve_inside(prompts_dir, f"{BRIEFS_FOLDER}/{stem}.proposals.yaml")


def _show(report: DraftReport, accepted: AcceptanceReport | None, *, as_json: bool) -> ExitCode:
    file = report.file
    flawed = [each for each in file.proposals if each.problems]
    if as_json:
        write_json(
            {
                "subject": file.subject,
                "operation": file.operation,
                "path": report.path,
                "collection": file.collection,
                "llm": file.llm,
                "call": file.call,
                "charged_usd": to_decimal(report.charged),
                "cached": report.is_cached,
                "proposals": [_object(each) for each in file.proposals],
                "accepted": None if accepted is None else accepted.accepted,
            }
        )
        return ExitCode.SOME_FAILED if flawed else ExitCode.DONE
    show_table(
        stdout(),
        f"{len(file.proposals):,} proposals for {file.collection}",
        ["prompt", "standing", "text"],
        [(each.id, _standing(each), _text(each)) for each in file.proposals],
    )
    for each in flawed:
        say(stderr(), f"{each.id}: {' '.join(each.problems)}", "yellow")
    if report.surplus:
        say(stderr(), f"{report.surplus:,} more than asked for were dropped.", "yellow")
    paid = "an answer that was paid for before" if report.is_cached else file.llm
    said = f"They are in {report.path}, by {paid}; charged {format_usd(report.charged)}."
    say(stdout(), said, "bold green")
    if load_settings().provider is ProviderName.SANDBOX:
        say(stdout(), "Written by the sandbox, by rules and for play money.")
    if accepted is None:
        name = report.path.name.removesuffix(".proposals.yaml")
        say(stdout(), f"`asset-pipeline prompts accept {name}` turns them into prompts.")
    else:
        _show_accepted(accepted)
    return ExitCode.SOME_FAILED if flawed else ExitCode.DONE


def _show_accepted(report: AcceptanceReport) -> None:
    for name, why in report.problems.items():
        say(stderr(), f"{name}: {why}", "yellow")
    if report.accepted:
        say(stdout(), f"{len(report.accepted):,} prompts are in {report.path}.", "bold green")
        return
    say(stdout(), "No proposal was accepted.", "yellow")


def _standing(proposal: Proposal) -> str:
    if proposal.decision is not Decision.OPEN:
        return f"{proposal.standing}, {proposal.decision}"
    return proposal.standing.value


def _text(proposal: Proposal) -> str:
    if proposal.standing is Standing.CHANGED:
        return difference(proposal.before, proposal.text)
    text = proposal.text
    return text if len(text) <= _TEXT_SHOWN else f"{text[: _TEXT_SHOWN - 1]}…"


def _object(proposal: Proposal) -> dict[str, Any]:
    return {
        "id": proposal.id,
        "text": proposal.text,
        "inputs": dict(proposal.inputs),
        "why": proposal.why,
        "standing": proposal.standing,
        "before": proposal.before,
        "problems": proposal.problems,
        "decision": proposal.decision,
        "source_id": proposal.source_id,
    }
