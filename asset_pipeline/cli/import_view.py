"""What `prompts import` and `prompts export` do: the preview, the question and the report."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import typer

from asset_pipeline.catalog.reader import load_catalog
from asset_pipeline.cli._context import open_context, show_problems
from asset_pipeline.cli._output import say, show_table, stderr, stdout, write_json
from asset_pipeline.cli._selection import PromptSelection
from asset_pipeline.errors import AssetPipelineError, ExitCode
from asset_pipeline.files import write_atomically
from asset_pipeline.prompts.importers import ImportReport, ImportRequest, prepare
from asset_pipeline.prompts.sheet_export import as_csv, as_xlsx, prompt_rows
from asset_pipeline.prompts.spec import Problem
from asset_pipeline.prompts.states import PromptStates
from asset_pipeline.prompts.update import Update
from asset_pipeline.settings import load_settings

_EXAMPLES = 5
_EXAMPLE_LENGTH = 30


def asked_mapping(
    written: Iterable[str], text_column: str | None, id_column: str | None
) -> dict[str, str]:
    """Return field by column, of what --map and its two short forms say.

    Raises:
        AssetPipelineError: One of them is not COLUMN=FIELD.
    """
    found: dict[str, str] = {}
    for pair in written:
        column, sign, field = pair.rpartition("=")
        if not sign or not column.strip() or not field.strip():
            raise AssetPipelineError(
                f"--map {pair!r} is not COLUMN=FIELD.", hint="Such as --map Headline=text."
            )
        found[column] = field
    if text_column is not None:
        found[text_column] = "text"
    if id_column is not None:
        found[id_column] = "id"
    return found


def show_import(request: ImportRequest, *, dry_run: bool, sure: bool, as_json: bool) -> ExitCode:
    """Import, or say what an import would do, and return the exit code.

    On a terminal what each column becomes is shown and asked about first.

    Raises:
        AssetPipelineError: Nothing can be imported.
    """
    settings = load_settings()
    ready = prepare(request, settings.prompts_dir, load_catalog(settings.config_dir))
    report = ready.report
    if not as_json:
        _show_mapping(report)
        _show_groups(report.problems)
    asks = sys.stdin.isatty() and sys.stdout.isatty() and not (sure or as_json or dry_run)
    question = f"Import {_prompts(report.imported)} into {report.path}?"
    if asks and report.imported and not typer.confirm(question, default=True):
        say(stderr(), "Nothing was written. Say what a column is with --map COLUMN=FIELD.")
        return ExitCode.DONE
    if not dry_run:
        ready.write()
    if as_json:
        write_json(_object(report, dry_run=dry_run))
    else:
        _show_outcome(report, dry_run=dry_run)
    if not report.imported:
        return ExitCode.BAD_INPUT
    return ExitCode.SOME_FAILED if report.problems else ExitCode.DONE


def export_prompts(choice: PromptSelection, target: Path, *, overwrite: bool) -> None:
    """Write the chosen prompts as a table.

    Raises:
        AssetPipelineError: The file exists, or its name ends in no form of table.
    """
    form = target.suffix.lower()
    if form not in {".csv", ".xlsx"}:
        raise AssetPipelineError(
            f"{target} ends in neither .csv nor .xlsx.", hint="The ending chooses the form."
        )
    if target.exists() and not overwrite:
        raise AssetPipelineError(f"{target} exists already.", hint="Replace it with --overwrite.")
    library = open_context().library
    show_problems(library)
    prompts = choice.take(library, PromptStates)
    columns, rows = prompt_rows(prompts)
    write_atomically(target, as_csv(columns, rows) if form == ".csv" else as_xlsx(columns, rows))
    say(stdout(), f"{len(rows):,} prompts are in {target}.", "bold green")


def _show_mapping(report: ImportReport) -> None:
    for note in report.notes:
        say(stderr(), f"- {note}")
    show_table(
        stdout(),
        "",
        ["column", "becomes", "such as"],
        [
            (column, field, _shortened(report.examples.get(column, "")))
            for column, field in report.columns.items()
        ],
    )


def _shortened(cell: str) -> str:
    line = " ".join(cell.split())
    return line if len(line) <= _EXAMPLE_LENGTH else f"{line[: _EXAMPLE_LENGTH - 1]}…"


def _show_groups(problems: Sequence[Problem]) -> None:
    """Print equal problems once, with their number and the first few lines."""
    console = stderr()
    groups: dict[tuple[str | None, str], list[Problem]] = {}
    for problem in problems:
        groups.setdefault((problem.field, _kind_of(problem.message)), []).append(problem)
    for group in groups.values():
        if len(group) <= _EXAMPLES:
            for problem in group:
                say(console, problem, "yellow")
            continue
        lines = ", ".join(str(problem.line) for problem in group[:_EXAMPLES])
        say(console, f"{group[0]} So it is in {len(group):,} rows: lines {lines}, …", "yellow")


def _kind_of(message: str) -> str:
    """Return a message without what differs from row to row: quoted values and numbers."""
    kind: list[str] = []
    quoted = False
    for part in message.split("'"):
        kind.append("" if quoted else "".join("#" if it.isdigit() else it for it in part))
        quoted = not quoted
    words = "'".join(kind).split()
    # An id that is taken, a model that is unknown: the name stands between spaces.
    return " ".join(word for word in words if not any(it in word for it in "#-/"))


def _prompts(count: int) -> str:
    return f"{count:,} prompt{'' if count == 1 else 's'}"


def _show_outcome(report: ImportReport, *, dry_run: bool) -> None:
    prompts = _prompts(report.imported)
    if report.imported and dry_run:
        say(stdout(), f"{prompts} would be in {report.path}; nothing was written.", "bold")
    elif report.imported:
        is_are = "are" if report.imported != 1 else "is"
        say(stdout(), f"{prompts} {is_are} in {report.path}.", "bold green")
        if report.update is None:
            say(stderr(), f"Next: asset-pipeline generate --collection {report.path.stem}")
    if report.update is not None:
        _show_update(report.update)
    if report.problems:
        many = f"{len(report.problems):,} problem{'s' if len(report.problems) != 1 else ''}"
        were = "would not be" if dry_run else "were not"
        say(stderr(), f"{many}; bad rows {were} imported.", "red")


def _show_update(update: Update) -> None:
    for word, ids in (
        ("added", update.added),
        ("changed", update.changed),
        ("removed", update.removed),
        ("only in the collection, kept", update.kept),
    ):
        some = f": {', '.join(ids[:_EXAMPLES])}{', …' if len(ids) > _EXAMPLES else ''}"
        say(stdout(), f"{len(ids):,} {word}{some if ids else ''}")


def _object(report: ImportReport, *, dry_run: bool) -> dict[str, object]:
    found: dict[str, object] = {
        "imported": report.imported,
        "path": report.path,
        "kind": report.kind,
        "model": report.model,
        "columns": dict(report.columns),
        "notes": report.notes,
        "problems": report.problems,
        "dry_run": dry_run,
    }
    if report.update is not None:
        found["update"] = report.update
    return found
