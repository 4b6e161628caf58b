"""`prompts draft|accept|revise`: the flags; the rest is in `drafts_view`."""

from __future__ import annotations

from typing import Annotated

import typer

from asset_pipeline.cli._options import AsJson, PromptIds, read_amount
from asset_pipeline.drafting.operations import Operation
from asset_pipeline.errors import AssetPipelineError

_Again = Annotated[
    bool,
    typer.Option("--again", help="Send a call whose reply was lost once more: it may pay twice."),
]
_MaxUsd = Annotated[
    str | None, typer.Option("--max-usd", help="Reserve at most so many US dollars.")
]


def draft(
    *,
    brief: Annotated[str, typer.Argument(help="The brief's name: briefs/NAME.yaml.")],
    count: Annotated[
        int | None, typer.Option("--count", min=1, max=100, help="How many; else as it says.")
    ] = None,
    max_usd: _MaxUsd = None,
    again: _Again = False,
    as_json: AsJson = False,
) -> None:
    """Have a language model draft prompts from a brief, as proposals beside it.

    The same brief drafted twice costs nothing the second time. Nothing is generated, and no prompt
    is changed, until `prompts accept`.
    """
    # Dagster's resources: `--help` does not wait for them.
    from asset_pipeline.cli.drafts_view import show_draft  # noqa: PLC0415

    amount = None if max_usd is None else read_amount("--max-usd", max_usd)
    raise typer.Exit(show_draft(brief, count=count, max_usd=amount, again=again, as_json=as_json))


def accept(
    *,
    name: Annotated[str, typer.Argument(help="The brief's name, or COLLECTION.OPERATION.")],
    everything: Annotated[
        bool, typer.Option("--all", help="All open ones without a problem; so it is anyway.")
    ] = False,
    prompt: Annotated[
        list[str] | None,
        typer.Option("--prompt", "--id", help="Only the proposal of this id; may be repeated."),
    ] = None,
    edit: Annotated[
        list[str] | None,
        typer.Option("--edit", metavar="ID=TEXT", help="Accept it with this text instead."),
    ] = None,
    reject: Annotated[
        list[str] | None, typer.Option("--reject", help="Note that it is not wanted.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Turn proposals into prompts of their collection: all open ones, or the ones you name.

    Exit code 1 says that some have a problem; edit them in the file, or with --edit.
    """
    from asset_pipeline.cli.drafts_view import show_acceptance  # noqa: PLC0415 -- as above

    if everything and (prompt or edit):
        raise AssetPipelineError("--all and --prompt exclude each other.", hint="Give one.")
    edits = dict(map(_read_edit, edit or ()))
    raise typer.Exit(show_acceptance(name, prompt, edits, reject or [], as_json=as_json))


def revise(
    *,
    collection: Annotated[str, typer.Argument(help="The collection to work on.")],
    operation: Annotated[Operation, typer.Argument(help="What to do with its prompts.")],
    prompt: PromptIds = None,
    language: Annotated[
        str | None, typer.Option("--language", help="translate: into which, such as de.")
    ] = None,
    candidates: Annotated[
        int, typer.Option("--candidates", min=1, max=20, help="vary: versions of each prompt.")
    ] = 3,
    style: Annotated[
        str | None, typer.Option("--style", help="unify: the look; else the collection's style.")
    ] = None,
    max_characters: Annotated[
        int, typer.Option("--max-characters", min=20, help="shorten: the longest text.")
    ] = 300,
    model: Annotated[
        list[str] | None,
        typer.Option("--model", help="The language model to ask; may be repeated."),
    ] = None,
    max_usd: _MaxUsd = None,
    again: _Again = False,
    as_json: AsJson = False,
) -> None:
    """Have a language model rework a collection's prompts, as proposals that you accept.

    Done once a prompt and kept: doing it again costs nothing as long as the texts are the same.
    """
    from asset_pipeline.cli.drafts_view import RevisionOptions, show_revision  # noqa: PLC0415

    options = RevisionOptions(
        collection=collection,
        operation=operation,
        prompt_ids=prompt,
        language=language,
        candidates=candidates,
        style=style,
        max_characters=max_characters,
        models=model,
        max_usd=None if max_usd is None else read_amount("--max-usd", max_usd),
        again=again,
    )
    raise typer.Exit(show_revision(options, as_json=as_json))


def _read_edit(written: str) -> tuple[str, str]:
    name, equals, text = written.partition("=")
    if not equals or not text.strip():
        raise AssetPipelineError(f"--edit: {written!r} is no edit.", hint="Write it as ID=TEXT.")
    return name.strip(), text.strip()
