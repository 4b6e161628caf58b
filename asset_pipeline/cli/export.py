"""What `export` does: choose, name, copy, and say what became of each clip."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Sequence
from typing import cast

from asset_pipeline.cli._context import open_context, show_problems, states_of
from asset_pipeline.cli._count import counting
from asset_pipeline.cli._output import say, show_table, stdout, write_json
from asset_pipeline.cli._selection import PromptSelection
from asset_pipeline.clock import SystemClock
from asset_pipeline.custody.export_names import DEFAULT_TEMPLATE, NamedClip, Template, named
from asset_pipeline.custody.export_targets import Target, open_target
from asset_pipeline.custody.exporter import Copied, ExportResult
from asset_pipeline.definitions import default_resources
from asset_pipeline.defs.resources.custody import CustodyResource
from asset_pipeline.errors import ExitCode
from asset_pipeline.ledger.records import Clip
from asset_pipeline.ledger.reports import LedgerReader
from asset_pipeline.prompts.spec import Prompt
from asset_pipeline.settings import load_settings
from asset_pipeline.stores.environment import settings_for

_SHOWN = 50
_KEPT_NAMED = 5


def run_export(
    choice: PromptSelection, to: str, template: str | None, *, as_json: bool
) -> ExitCode:
    """Export the current clips of the chosen prompts and return the exit code.

    Raises:
        AssetPipelineError: Prompts, template, ledger, store or target can't be used.
    """
    pattern = Template.parse(DEFAULT_TEMPLATE if template is None else template)
    target = open_target(to, settings_for(to, load_settings()))
    workshop = open_context()
    show_problems(workshop.library)
    custody = cast("CustodyResource", default_resources()["custody"])
    with custody.ledger.open() as ledger:
        all_prompts, reader = workshop.library.prompts.values(), LedgerReader(ledger.engine)
        prompts = choice.take(workshop.library, lambda: states_of(all_prompts, reader))
        clips = _clips_of(prompts, ledger.current_clips())
    wanted = named(clips, pattern)
    results = _copy(custody, target, wanted)
    bare = len(prompts) - len({(clip.kind, clip.prompt_id) for clip in clips})
    if as_json:
        _write(target, results, bare)
    else:
        _show(target, results, bare)
    return ExitCode.DONE if all(each.is_there for each in results) else ExitCode.SOME_FAILED


def _clips_of(prompts: Sequence[Prompt], current: Sequence[Clip]) -> list[Clip]:
    wanted = {(prompt.kind, prompt.prompt_id) for prompt in prompts}
    return [clip for clip in current if (clip.kind, clip.prompt_id) in wanted]


def _copy(
    custody: CustodyResource, target: Target, wanted: Sequence[NamedClip]
) -> list[ExportResult]:
    counts: Counter[Copied] = Counter()
    with (
        counting("clips", SystemClock()) as update,
        custody.exporting(target, run_id=f"export-{uuid.uuid4().hex}") as exporter,
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
                    "sha256": each.named.clip.sha256,
                    "result": each.result,
                    "reason": each.reason,
                }
                for each in results
            ],
        }
    )
