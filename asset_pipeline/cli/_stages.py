"""`generate --stages`: run the prompts stage by stage, and look before each next one."""

from __future__ import annotations

from collections.abc import Sequence

from asset_pipeline.cli._runs import CommandRunOptions, Runner
from asset_pipeline.cli._summary import Tally
from asset_pipeline.errors import AssetPipelineError, ExitCode
from asset_pipeline.generation.planning.stages import Rollout, StageResult, cut, obstacle
from asset_pipeline.money import MicroUsd
from asset_pipeline.prompts.spec import Prompt


class StageStoppedError(AssetPipelineError):
    """A stage passed one of its bounds, so the next one did not begin."""

    exit_code = ExitCode.SOME_FAILED


def generate_in_stages(
    runner: Runner,
    tally: Tally,
    prompts: Sequence[Prompt],
    options: CommandRunOptions,
    rollout: Rollout | None,
) -> StageStoppedError | None:
    """Run the prompts, in stages if there is a roll-out; return what stopped it before its end.

    Args:
        runner: Runs each stage.
        tally: Counts what became of its prompts.
        prompts: In the order in which they are run.
        options: For all stages together.
        rollout: Where stages end, and what they may not pass; None runs all at once.

    Raises:
        KeyboardInterrupt: A signal came.
        AssetPipelineError: A run broke as a whole.
    """
    if rollout is None:
        runner.generate(prompts, options)
        return None
    stages = cut(prompts, rollout.ends)
    for number, stage in enumerate(stages, start=1):
        result = _run_stage(runner, tally, stage, options)
        why = obstacle(result, rollout.bounds)
        if why is not None and number < len(stages):
            return StageStoppedError(
                f"Stopped after stage {number} of {len(stages)}: {why}",
                hint="What landed is kept. Look at it, correct the prompts, and run it again.",
            )
    return None


def _run_stage(
    runner: Runner, tally: Tally, stage: Sequence[Prompt], options: CommandRunOptions
) -> StageResult:
    charged, generated = runner.charged(), tally.generated
    runner.generate(stage, options)
    return StageResult(
        prompts=len(stage),
        failed=sum((prompt.kind, prompt.prompt_id) in tally.failures for prompt in stage),
        clips=tally.generated - generated,
        charged=MicroUsd(runner.charged() - charged),
    )
