"""`prompts validate|list|import`: the flags; the rest is in `prompts_view`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.cli import drafts
from asset_pipeline.cli._options import AsJson, Collections, Kinds, Limit, PromptIds, Tags
from asset_pipeline.cli._selection import PromptSelection

app = typer.Typer(help="Check, list, import and draft prompts.", no_args_is_help=True)
app.command("draft")(drafts.draft)
app.command("accept")(drafts.accept)
app.command("revise")(drafts.revise)


@app.command()
def validate(*, as_json: AsJson = False) -> None:
    """Check every prompt file and name what is wrong by file, line and field."""
    # Prompts and catalog: `--help` does not wait for them.
    from asset_pipeline.cli.prompts_view import show_validation  # noqa: PLC0415

    raise typer.Exit(show_validation(as_json=as_json))


@app.command("list")
def list_prompts(
    *,
    kind: Kinds = None,
    collection: Collections = None,
    prompt: PromptIds = None,
    tag: Tags = None,
    limit: Limit = None,
    as_json: AsJson = False,
) -> None:
    """List the usable prompts."""
    from asset_pipeline.cli.prompts_view import show_prompts  # noqa: PLC0415 -- as above

    choice = PromptSelection(kind, collection, prompt, tag, everything=True, limit=limit)
    show_prompts(choice, as_json=as_json)


@app.command("import")
def import_table(
    *,
    source: Annotated[Path, typer.Argument(help="A .csv, .tsv or .jsonl file.")],
    kind: Annotated[Kind, typer.Option("--kind", help="What to make of the prompts.")] = Kind.IMAGE,
    model: Annotated[
        str | None,
        typer.Option("--model", help="owner/name; if not given, a cheap one of the kind."),
    ] = None,
    variants: Annotated[int, typer.Option("--variants", min=1, help="Clips of each prompt.")] = 1,
    text_column: Annotated[str, typer.Option("--text-column", help="Where the text is.")] = "text",
    id_column: Annotated[
        str | None,
        typer.Option("--id-column", help="Where the id is; else ids are made of the texts."),
    ] = None,
    collection: Annotated[
        str | None,
        typer.Option("--collection", help="The collection's name; else the file's."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a collection of that name.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Import a table into a collection file; bad rows are reported and the others imported."""
    from asset_pipeline.cli.prompts_view import show_import  # noqa: PLC0415 -- as above
    from asset_pipeline.prompts.importers import ImportRequest  # noqa: PLC0415 -- as above

    request = ImportRequest(
        source=source,
        kind=kind,
        model=model or _MODELS[kind],
        variants=variants,
        text_column=text_column,
        id_column=id_column,
        collection=collection,
        overwrite=overwrite,
    )
    raise typer.Exit(show_import(request, as_json=as_json))


_MODELS = {Kind.IMAGE: "black-forest-labs/flux-schnell", Kind.AUDIO: "jaaari/kokoro-82m"}
