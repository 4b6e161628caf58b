"""What `prompts validate|list` do."""

from __future__ import annotations

from typing import Any

from asset_pipeline.cli._context import open_context, show_problems
from asset_pipeline.cli._output import say, show_table, stderr, stdout, write_json
from asset_pipeline.cli._selection import PromptSelection
from asset_pipeline.errors import ExitCode
from asset_pipeline.prompts.spec import Prompt
from asset_pipeline.prompts.states import PromptStates

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
