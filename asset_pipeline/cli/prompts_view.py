"""What `prompts validate|list|import` do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from asset_pipeline.catalog.reader import load_catalog
from asset_pipeline.cli._context import open_context, show_problems
from asset_pipeline.cli._output import say, show_table, stderr, stdout, write_json
from asset_pipeline.cli._selection import PromptSelection
from asset_pipeline.errors import ExitCode
from asset_pipeline.prompts.importers import ImportRequest, import_prompts
from asset_pipeline.prompts.spec import Problem, Prompt
from asset_pipeline.prompts.states import PromptStates
from asset_pipeline.settings import load_settings

_TEXT_SHOWN = 80


def show_validation(*, as_json: bool) -> ExitCode:
    """Print all problems of the prompt files and return the exit code.

    Raises:
        AssetPipelineError: The folder or the catalog cannot be read.
    """
    library = open_context().library
    if as_json:
        write_json({"prompts": len(library.prompts), "problems": library.problems})
    else:
        for problem in library.problems:
            say(stderr(), problem, "yellow")
        collections = {(prompt.kind, prompt.collection) for prompt in library.prompts.values()}
        usable = f"{len(library.prompts):,} prompts in {len(collections):,} collections are usable"
        if library.problems:
            say(stdout(), f"{usable}, {len(library.problems):,} problems found.", "bold red")
        else:
            say(stdout(), f"{usable}, no problem found.", "bold green")
    return ExitCode.BAD_INPUT if library.problems else ExitCode.DONE


def show_prompts(choice: PromptSelection, *, as_json: bool) -> None:
    """Print the chosen prompts.

    Raises:
        AssetPipelineError: The folder cannot be read, or a name is not in it.
    """
    library = open_context().library
    show_problems(library)
    prompts = choice.take(library, PromptStates)
    if as_json:
        write_json([_object(prompt) for prompt in prompts])
        return
    show_table(
        stdout(),
        f"{len(prompts):,} prompts",
        ["kind", "collection", "prompt", "model", "variants", "tags", "text"],
        [
            (
                prompt.kind,
                prompt.collection,
                prompt.prompt_id,
                prompt.model,
                prompt.variants,
                ", ".join(prompt.tags),
                _shortened(prompt.text),
            )
            for prompt in prompts
        ],
        numbers=["variants"],
    )


def show_import(request: ImportRequest, *, as_json: bool) -> ExitCode:
    """Import, print the bad rows and return the exit code.

    Raises:
        AssetPipelineError: Nothing can be imported.
    """
    settings = load_settings()
    report = import_prompts(request, settings.prompts_dir, load_catalog(settings.config_dir))
    if as_json:
        write_json({"imported": report.imported, "path": report.path, "problems": report.problems})
    else:
        _show_problems(report.problems)
        if report.imported:
            say(stdout(), f"{report.imported:,} prompts are in {report.path}.", "bold green")
        if report.problems:
            say(stderr(), f"{len(report.problems):,} problems; bad rows were not imported.", "red")
    if not report.imported:
        return ExitCode.BAD_INPUT
    return ExitCode.SOME_FAILED if report.problems else ExitCode.DONE


def _show_problems(problems: Sequence[Problem]) -> None:
    console = stderr()
    for problem in problems:
        say(console, problem, "yellow")


def _object(prompt: Prompt) -> dict[str, Any]:
    return {
        "kind": prompt.kind,
        "prompt_id": prompt.prompt_id,
        "collection": prompt.collection,
        "text": prompt.text,
        "style": prompt.style,
        "model": prompt.model,
        "variants": prompt.variants,
        "inputs": dict(prompt.inputs),
        "tags": prompt.tags,
        "reference": prompt.reference,
        "fields": dict(prompt.fields),
        "path": prompt.path,
        "prompt_hash": prompt.prompt_hash,
    }


def _shortened(text: str) -> str:
    return text if len(text) <= _TEXT_SHOWN else f"{text[: _TEXT_SHOWN - 1]}…"
