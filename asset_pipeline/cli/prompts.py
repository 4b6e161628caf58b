"""`prompts validate|list|import|export|prune`: the flags; the rest is in `prompts_view`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.cli import drafts
from asset_pipeline.cli._options import AsJson, Collections, Kinds, Limit, PromptIds, Tags
from asset_pipeline.cli._selection import PromptSelection

app = typer.Typer(help="Check, list, import, export and draft prompts.", no_args_is_help=True)
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
    source: Annotated[
        Path, typer.Argument(help="A .csv, .tsv, .xlsx, .json, .jsonl or .txt file.")
    ],
    kind: Annotated[
        Kind | None,
        typer.Option("--kind", help="What to make; else audio with a voice column, else images."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", help="For rows that name none; else a cheap one of the kind."),
    ] = None,
    variants: Annotated[
        int, typer.Option("--variants", min=1, help="Clips of each prompt, where a row says none.")
    ] = 1,
    mapping: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            metavar="COLUMN=FIELD",
            help="What a column is, by its name or number: id, text, model, variants, tags, "
            "style, seed, voice, reference, inputs.NAME or fields.NAME; may be repeated.",
        ),
    ] = None,
    text_column: Annotated[
        str | None, typer.Option("--text-column", help="The same as --map COLUMN=text.")
    ] = None,
    id_column: Annotated[
        str | None, typer.Option("--id-column", help="The same as --map COLUMN=id.")
    ] = None,
    sheet: Annotated[
        str | None, typer.Option("--sheet", help="Which sheet of a workbook, by name or number.")
    ] = None,
    delimiter: Annotated[
        str | None, typer.Option("--delimiter", help="What separates cells: one character, or tab.")
    ] = None,
    encoding: Annotated[
        str | None, typer.Option("--encoding", help="The file's encoding, such as mac-roman.")
    ] = None,
    header: Annotated[
        bool | None,
        typer.Option("--header/--no-header", help="Whether the first row names the columns."),
    ] = None,
    form: Annotated[
        str | None,
        typer.Option("--format", help="lines, csv, tsv, xlsx, json or jsonl; else by the name."),
    ] = None,
    collection: Annotated[
        str | None,
        typer.Option("--collection", help="The collection's name; else the file's."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a collection of that name.")
    ] = False,
    update: Annotated[
        bool,
        typer.Option(
            "--update", help="Change what changed in the table; what was edited by hand stays."
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what each column becomes, and write nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask on a terminal.")] = False,
    as_json: AsJson = False,
) -> None:
    """Import a table into a collection file; bad rows are reported and the others imported."""
    from asset_pipeline.cli.import_view import asked_mapping, show_import  # noqa: PLC0415 -- as above
    from asset_pipeline.prompts.importers import ImportRequest  # noqa: PLC0415 -- as above
    from asset_pipeline.prompts.tables import Form  # noqa: PLC0415 -- as above

    asked = asked_mapping(mapping or (), text_column, id_column)
    request = ImportRequest(
        source=source,
        kind=kind,
        model=model,
        variants=variants,
        mapping=asked,
        collection=collection,
        overwrite=overwrite,
        update=update,
        form=Form(form, sheet, delimiter, encoding, header, tuple(asked)),
    )
    raise typer.Exit(show_import(request, dry_run=dry_run, sure=yes, as_json=as_json))


@app.command("export")
def export_table(
    *,
    target: Annotated[Path, typer.Argument(help="The .csv or .xlsx file to write.")],
    kind: Kinds = None,
    collection: Collections = None,
    prompt: PromptIds = None,
    tag: Tags = None,
    limit: Limit = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a file of that name.")
    ] = False,
) -> None:
    """Write prompts as a table that a spreadsheet opens and that `prompts import` takes back."""
    from asset_pipeline.cli.import_view import export_prompts  # noqa: PLC0415 -- as above

    choice = PromptSelection(kind, collection, prompt, tag, everything=True, limit=limit)
    export_prompts(choice, target, overwrite=overwrite)


@app.command()
def prune(
    *,
    kind: Kinds = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show them, and delete nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask on a terminal.")] = False,
    as_json: AsJson = False,
) -> None:
    """Delete the partitions of prompts that are gone from the files; their clips stay."""
    from asset_pipeline.cli._prune import prune_prompts  # noqa: PLC0415 -- as above

    raise typer.Exit(prune_prompts(kind, dry_run=dry_run, sure=yes, as_json=as_json))
