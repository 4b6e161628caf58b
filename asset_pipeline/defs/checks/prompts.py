"""The asset check that says which prompt files are broken."""

import dagster as dg
from dagster import MetadataValue

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.defs.assets.prompts import prompt_key
from asset_pipeline.defs.gone_prompts import GonePrompts, find_gone
from asset_pipeline.defs.markdown import bullets
from asset_pipeline.defs.resources.prompt_library import PromptLibraryResource
from asset_pipeline.prompts.library import FOLDERS, Library
from asset_pipeline.prompts.spec import Problem

_NAME = "prompt_files_are_sound"
_LISTED = 200


def build_prompt_check(kind: Kind) -> dg.AssetChecksDefinition:
    """Return the check of one kind's prompt files.

    The `prompt_files` sensor evaluates it whenever a file changed; it can be run by hand as well.
    """

    @dg.asset_check(
        asset=prompt_key(kind),
        name=_NAME,
        description=f"Every prompt of prompts/{FOLDERS[kind]} can be used. What is wrong is listed "
        "with its file, line and field; the good prompts go on without the bad ones.",
    )
    def prompt_files_are_sound(
        context: dg.AssetCheckExecutionContext, prompt_library: PromptLibraryResource
    ) -> dg.AssetCheckResult:
        library = prompt_library.load().library
        problems = _of_kind(library, kind)
        return dg.AssetCheckResult(
            passed=not problems,
            description=_summary(problems),
            metadata=_metadata(problems, find_gone(context.instance, kind, library)),
        )

    return prompt_files_are_sound


def evaluation_of(
    instance: dg.DagsterInstance, library: Library, kind: Kind
) -> dg.AssetCheckEvaluation:
    """Return how the check ends for a library that was read already."""
    problems = _of_kind(library, kind)
    return dg.AssetCheckEvaluation(
        asset_key=prompt_key(kind),
        check_name=_NAME,
        passed=not problems,
        description=_summary(problems),
        metadata=_metadata(problems, find_gone(instance, kind, library)),
    )


def _of_kind(library: Library, kind: Kind) -> list[Problem]:
    """Return a kind's problems, and those of files that are in no kind's folder."""
    others = [f"/{folder}/" for other, folder in FOLDERS.items() if other is not kind]
    return [problem for problem in library.problems if not any(at in problem.path for at in others)]


def _summary(problems: list[Problem]) -> str:
    if not problems:
        return "All prompts can be used."
    files = len({problem.path for problem in problems})
    return f"{len(problems)} problems in {files} file{'s' if files != 1 else ''}."


def _metadata(problems: list[Problem], gone: GonePrompts) -> dict[str, MetadataValue]:
    """Return what is wrong, and which partitions are of prompts that are gone."""
    told: dict[str, MetadataValue] = {
        "problems": MetadataValue.int(len(problems)),
        "what": MetadataValue.md(bullets(problems[:_LISTED])),
        "gone": MetadataValue.int(len(gone.ids)),
    }
    if gone.ids:
        lines = [
            f"{prompt_id}, renamed to {gone.renamed[prompt_id]}"
            if prompt_id in gone.renamed
            else prompt_id
            for prompt_id in gone.ids[:_LISTED]
        ]
        told["gone_partitions"] = MetadataValue.md(bullets(lines))
        told["to_prune"] = MetadataValue.text("asset-pipeline prompts prune")
    return told
