"""What follows generated clips, run in this process: renditions and checks, without the daemon.

They are runs of the project's own jobs, so that Dagster shows them as those that the daemon starts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dagster import DagsterInstance, ExecuteInProcessResult

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.chunks import chunks
from asset_pipeline.cli._context import open_context
from asset_pipeline.cli._ledger import open_ledger
from asset_pipeline.cli._output import say, stderr
from asset_pipeline.cli._runs import cause_of, process_tags, sync_library
from asset_pipeline.cli._selection import PromptSelection
from asset_pipeline.definitions import build_defs
from asset_pipeline.defs.assets.clips import PARTITIONS_A_RUN
from asset_pipeline.defs.instance.access import open_instance
from asset_pipeline.defs.jobs import CHECK_JOBS, RENDER_JOBS
from asset_pipeline.defs.prompt_states import standing_of
from asset_pipeline.defs.run_tags import IN_THE_UI, PROMPTS_TAG
from asset_pipeline.prompts.spec import Prompt
from asset_pipeline.prompts.states import PromptState

_QUIET = {"console": {"config": {"log_level": "CRITICAL"}}}


def render_clips(choice: PromptSelection) -> dict[str, Any]:
    """Derive the renditions of chosen prompts whose clips have landed; what is made is kept.

    Returns:
        How many prompts were rendered, how many could not be, and why.

    Raises:
        AssetPipelineError: Prompts, ledger or instance can't be opened.
    """
    context = open_context()
    with open_ledger(context.settings) as ledger, open_instance() as instance:
        sync_library(instance, context.library)
        states = standing_of(instance, context.library.prompts.values(), ledger.engine)
        chosen = choice.take(context.library, lambda: states)
        landed = [each for each in chosen if states.of(each) is PromptState.LANDED]
        problems = [said for kind in Kind for said in _render(instance, kind, landed)]
    return {
        "prompts": len(chosen),
        "rendered": len(landed) if not problems else None,
        "without_clips": len(chosen) - len(landed),
        "problems": problems,
    }


def check_clips(kinds: Sequence[Kind], *, everything: bool) -> dict[str, Any]:
    """Read clips back as Dagster's checks do; those that landed since the last checks.

    Args:
        kinds: Whose clips.
        everything: Read all current clips, not only the new ones.

    Returns:
        One row a check, and what could not be run.

    Raises:
        AssetPipelineError: The instance can't be opened.
    """
    rows, problems = list[dict[str, Any]](), list[str]()
    with open_instance() as instance:
        for kind in kinds:
            config = {"ops": {f"{kind}_clip_checks": {"config": {"everything": everything}}}}
            result = _execute(instance, CHECK_JOBS[kind].name, config)
            if not result.success:
                problems.append(f"The checks of the {kind} clips broke: {cause_of(result)}")
            rows.extend(
                {
                    "kind": kind,
                    "check": found.check_name,
                    "passed": found.passed,
                    "severity": found.severity.value.lower(),
                    "told": found.description or "",
                }
                for found in result.get_asset_check_evaluations()
            )
    return {"checks": rows, "problems": problems}


def _render(instance: DagsterInstance, kind: Kind, prompts: Sequence[Prompt]) -> list[str]:
    problems = list[str]()
    of_kind = [prompt.prompt_id for prompt in prompts if prompt.kind is kind]
    for prompt_ids in chunks(of_kind, PARTITIONS_A_RUN):
        say(stderr(), f"Rendering {len(prompt_ids):,} {kind} prompts.")
        config = {"ops": {f"{kind}_rendition": {"config": {"prompt_ids": prompt_ids}}}}
        tags = {PROMPTS_TAG: f"{len(prompt_ids):,}"}
        result = _execute(instance, RENDER_JOBS[kind].name, config, prompt_ids[0], tags)
        if not result.success:
            problems.append(cause_of(result))
    return problems


def _execute(
    instance: DagsterInstance,
    job: str,
    config: Mapping[str, Any],
    partition_key: str | None = None,
    tags: Mapping[str, str] | None = None,
) -> ExecuteInProcessResult:
    return (
        build_defs()
        .resolve_job_def(job)
        .execute_in_process(
            instance=instance,
            partition_key=partition_key,
            run_config={**config, "loggers": _QUIET},
            tags={**process_tags(), **IN_THE_UI, **(tags or {})},
            raise_on_error=False,
        )
    )
