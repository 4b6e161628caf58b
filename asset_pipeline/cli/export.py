"""`export`: choose, name, copy, and say what became of each clip."""

from __future__ import annotations

import tempfile
import uuid
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from asset_pipeline.cli import _resources as resources
from asset_pipeline.cli._context import open_context, show_problems, states_of
from asset_pipeline.cli._count import counting
from asset_pipeline.cli._options import (
    AsJson,
    Collections,
    Everything,
    Failed,
    Kinds,
    Limit,
    Missing,
    PromptIds,
    Stale,
    Tags,
)
from asset_pipeline.cli._output import say, show_table, stdout, write_json
from asset_pipeline.cli._selection import PromptSelection
from asset_pipeline.clock import SystemClock
from asset_pipeline.custody.export_names import DEFAULT_TEMPLATE, NamedClip, Template, named
from asset_pipeline.custody.export_targets import Target, open_target
from asset_pipeline.custody.exporter import Copied, ExportResult
from asset_pipeline.errors import AssetPipelineError, ExitCode
from asset_pipeline.files import sha256_of
from asset_pipeline.ledger.records import Clip
from asset_pipeline.ledger.reports import LedgerReader
from asset_pipeline.prompts.spec import Prompt
from asset_pipeline.settings import load_settings
from asset_pipeline.stores.environment import settings_for
from asset_pipeline.warehouse.parquet import write_parquet

if TYPE_CHECKING:
    from asset_pipeline.defs.resources.custody import CustodyResource


def export(
    *,
    to: Annotated[
        str, typer.Option("--to", metavar="PLACE", help="A folder, s3://bucket/… or gs://bucket/….")
    ],
    template: Annotated[
        str | None,
        typer.Option(
            "--template", help="Names of the files; {collection}/{prompt_id}-{variant}.{ext}."
        ),
    ] = None,
    require_marks: Annotated[
        bool,
        typer.Option(
            "--require-marks", help="Write no file that does not say that a model made it."
        ),
    ] = False,
    tables: Annotated[
        str | None,
        typer.Option(
            "--tables",
            metavar="FORMAT",
            help="Write the published tables instead of clips: parquet.",
        ),
    ] = None,
    kind: Kinds = None,
    collection: Collections = None,
    prompt: PromptIds = None,
    tag: Tags = None,
    missing: Missing = False,
    failed: Failed = False,
    stale: Stale = False,
    everything: Everything = False,
    limit: Limit = None,
    as_json: AsJson = False,
) -> None:
    """Copy current clips under human names, with manifest.json, manifest.csv and SHA256SUMS.

    The copies are marked as made by a model, and signed where there is a key, unless their
    collection asks for something else; the clips' own files in the store stay as they are.

    All prompts are taken if none are named. A second export writes only what has changed. No file
    is replaced that something else put there, or that somebody has worked on since it was exported.
    Exit code 1 if a clip could not be copied.

    With --tables parquet it is the tables of `asset-pipeline sql` that are written, a file each.
    """
    if tables is not None:
        chosen = (kind, collection, prompt, tag, limit, template)
        if any(chosen) or missing or failed or stale or everything or require_marks:
            raise AssetPipelineError(
                "--tables writes whole tables: it takes --to and --json alone.",
                hint="Choose rows with asset-pipeline sql --csv.",
            )
        export_tables(tables, to, as_json=as_json)
        return
    choice = PromptSelection(
        kinds=kind,
        collections=collection,
        prompt_ids=prompt,
        tags=tag,
        missing=missing,
        failed=failed,
        stale=stale,
        everything=everything or not (missing or failed or stale),
        limit=limit,
    )
    raise typer.Exit(run_export(choice, to, template, require_marks=require_marks, as_json=as_json))


_PARQUET = "application/vnd.apache.parquet"
_SHOWN = 50
_KEPT_NAMED = 5


def run_export(
    choice: PromptSelection, to: str, template: str | None, *, require_marks: bool, as_json: bool
) -> ExitCode:
    """Export the current clips of the chosen prompts and return the exit code.

    Raises:
        AssetPipelineError: Prompts, template, ledger, store or target can't be used.
    """
    pattern = Template.parse(DEFAULT_TEMPLATE if template is None else template)
    target = open_target(to, settings_for(to, load_settings()))
    workshop = open_context()
    show_problems(workshop.library)
    custody = resources.custody()
    with custody.ledger.open() as ledger:
        all_prompts, reader = workshop.library.prompts.values(), LedgerReader(ledger.engine)
        prompts = choice.take(workshop.library, lambda: states_of(all_prompts, reader))
        clips = _clips_of(prompts, ledger.current_clips())
    wanted = named(clips, pattern)
    results = _copy(custody, target, wanted, require_marks=require_marks)
    bare = len(prompts) - len({(clip.kind, clip.prompt_id) for clip in clips})
    if as_json:
        _write(target, results, bare)
    else:
        _show(target, results, bare)
    return ExitCode.DONE if all(each.is_there for each in results) else ExitCode.SOME_FAILED


def export_tables(form: str, to: str, *, as_json: bool) -> None:
    """Publish the ledger and write its tables and views as Parquet files.

    Raises:
        AssetPipelineError: The form is another, or the target can't be written.
    """
    if form.casefold() != "parquet":
        raise AssetPipelineError(
            f"--tables {form} is no form of tables.", hint="Give --tables parquet."
        )
    settings = load_settings()
    target = open_target(to, settings_for(to, settings))
    resources.custody().publish()

    def put(name: str, file: Path) -> None:
        target.write(name, file, sha256=sha256_of(file), content_type=_PARQUET)

    with tempfile.TemporaryDirectory(prefix="asset-pipeline-") as scratch:
        names = write_parquet(settings.own_warehouse_path, Path(scratch), put)
    if as_json:
        write_json({"target": target.name, "files": names})
    else:
        say(stdout(), f"{target.name}: {len(names)} tables as Parquet.", "bold green")


def _clips_of(prompts: Sequence[Prompt], current: Sequence[Clip]) -> list[Clip]:
    wanted = {(prompt.kind, prompt.prompt_id) for prompt in prompts}
    return [clip for clip in current if (clip.kind, clip.prompt_id) in wanted]


def _copy(
    custody: CustodyResource,
    target: Target,
    wanted: Sequence[NamedClip],
    *,
    require_marks: bool,
) -> list[ExportResult]:
    counts: Counter[Copied] = Counter()
    with (
        counting("clips", SystemClock()) as update,
        custody.exporting(
            target, run_id=f"export-{uuid.uuid4().hex}", require_marks=require_marks
        ) as exporter,
    ):

        def report(each: ExportResult) -> None:
            counts[each.result] += 1
            update(counts.total(), len(wanted), f"{counts[Copied.COPIED]:,} copied")

        return exporter.export(wanted, report)


def _show(target: Target, results: Sequence[ExportResult], bare: int) -> None:
    console = stdout()
    flawed = [each for each in results if not each.is_there]
    if flawed:
        show_table(
            console,
            f"{len(flawed):,} clips are not there",
            ["path", "clip of", "why"],
            [
                (
                    each.named.path,
                    f"{each.named.clip.kind}/{each.named.clip.prompt_id}",
                    each.reason,
                )
                for each in flawed[:_SHOWN]
            ],
        )
    counts = Counter(each.result for each in results)
    kept = [each for each in results if each.result is Copied.KEPT]
    if kept:
        named = ", ".join(each.named.path for each in kept[:_KEPT_NAMED])
        more = f" and {len(kept) - _KEPT_NAMED:,} more" if len(kept) > _KEPT_NAMED else ""
        say(console, f"Changed since they were exported, and kept: {named}{more}.", "yellow")
    for note, count in Counter(each.note for each in results if each.note).items():
        say(console, f"{count:,} files: {note}.", "yellow")
    say(
        console,
        f"{target.name}: {counts[Copied.COPIED]:,} clips copied, {counts[Copied.UNCHANGED]:,} "
        f"there already, {len(flawed):,} not. {bare:,} prompts have no stored clip.",
        "bold red" if flawed else "bold green",
    )


def _write(target: Target, results: Sequence[ExportResult], bare: int) -> None:
    counts = Counter(each.result for each in results)
    write_json(
        {
            "target": target.name,
            **{result.value: counts[result] for result in Copied},
            "prompts_without_clips": bare,
            "clips": [
                {
                    "path": each.named.path,
                    "clip_id": each.named.clip.clip_id,
                    "sha256": each.named.clip.sha256 if each.file is None else each.file.sha256,
                    "original_sha256": each.named.clip.sha256,
                    "result": each.result,
                    "reason": each.reason,
                    "note": each.note,
                }
                for each in results
            ],
        }
    )
