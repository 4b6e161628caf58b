"""`render` and `check`: renditions and checks of clips without Dagster's daemon."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

import typer

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.cli._imports import without_gc
from asset_pipeline.cli._options import (
    AsJson,
    Collections,
    Kinds,
    Limit,
    PromptIds,
    Tags,
)
from asset_pipeline.cli._output import say, show_table, stderr, stdout, write_json
from asset_pipeline.cli._selection import PromptSelection
from asset_pipeline.errors import ExitCode


def render(
    *,
    kind: Kinds = None,
    collection: Collections = None,
    prompt: PromptIds = None,
    tag: Tags = None,
    limit: Limit = None,
    as_json: AsJson = False,
) -> None:
    """Make the renditions of the chosen prompts' clips; what is there already is kept.

    Nothing is paid: thumbnails, web pictures, print files and masters are made from stored clips.
    """
    choice = PromptSelection(
        kinds=kind,
        collections=collection,
        prompt_ids=prompt,
        tags=tag,
        everything=True,
        limit=limit,
    )
    raise typer.Exit(render_and_show(choice, as_json=as_json))


def check(
    *,
    kind: Kinds = None,
    everything: Annotated[
        bool,
        typer.Option("--all", help="Read all current clips, not only those that landed since."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Read clips back and check them: whole, decodable, not blank, of the size asked for."""
    raise typer.Exit(check_and_show(kind, everything=everything, as_json=as_json))


def render_and_show(choice: PromptSelection, *, as_json: bool) -> ExitCode:
    """Render, say what came of it, and return the exit code.

    Raises:
        AssetPipelineError: Nothing could be run.
    """
    # Dagster, three seconds of imports: `--help` does not wait for them; the same below.
    with without_gc():
        from asset_pipeline.cli import _follow_up as follow_up  # noqa: PLC0415

    report = follow_up.render_clips(choice)
    if as_json:
        write_json(report)
    else:
        _show_rendered(report)
    return ExitCode.SOME_FAILED if report["problems"] else ExitCode.DONE


def check_and_show(kinds: list[Kind] | None, *, everything: bool, as_json: bool) -> ExitCode:
    """Check, say what came of it, and return the exit code: 1 when a check found an error.

    Raises:
        AssetPipelineError: Nothing could be run.
    """
    with without_gc():
        from asset_pipeline.cli import _follow_up as follow_up  # noqa: PLC0415

    report = follow_up.check_clips(kinds or list(Kind), everything=everything)
    if as_json:
        write_json(report)
    else:
        _show_checked(report)
    wrong = any(row["severity"] == "error" and not row["passed"] for row in report["checks"])
    return ExitCode.SOME_FAILED if wrong or report["problems"] else ExitCode.DONE


def follow_generation(choice: PromptSelection, *, render: bool, check: bool) -> ExitCode:
    """Do what `generate --render --check` adds, and say it on stderr's side of the summary.

    Raises:
        AssetPipelineError: Nothing could be run.
    """
    with without_gc():
        from asset_pipeline.cli import _follow_up as follow_up  # noqa: PLC0415

    problems = list[str]()
    if render:
        # By now what was missing has landed: the states that chose it hold no more.
        of_all = replace(choice, missing=False, failed=False, stale=False, everything=True)
        problems += follow_up.render_clips(of_all)["problems"]
    if check:
        report = follow_up.check_clips(list(choice.kinds or Kind), everything=False)
        problems += report["problems"]
        problems += [
            f"{row['check']}: {row['told']}"
            for row in report["checks"]
            if row["severity"] == "error" and not row["passed"]
        ]
    for problem in problems:
        say(stderr(), problem, "bold red")
    return ExitCode.SOME_FAILED if problems else ExitCode.DONE


def _show_rendered(report: dict[str, Any]) -> None:
    console = stdout()
    if report["problems"]:
        for problem in report["problems"]:
            say(console, problem, "bold red")
        return
    say(console, f"{report['rendered']:,} prompts have their renditions.", "bold green")
    if report["without_clips"]:
        say(
            console,
            f"{report['without_clips']:,} have no clips yet: `asset-pipeline generate` makes them.",
        )


def _show_checked(report: dict[str, Any]) -> None:
    console = stdout()
    show_table(
        console,
        "Checks",
        ["kind", "check", "", "what was found"],
        [
            (
                row["kind"],
                row["check"],
                "passed" if row["passed"] else row["severity"].upper(),
                row["told"],
            )
            for row in report["checks"]
        ],
    )
    for problem in report["problems"]:
        say(console, problem, "bold red")
