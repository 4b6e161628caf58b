"""Sensors: the prompt files are watched, and what follows a clip follows by itself."""

import hashlib
from pathlib import Path

import dagster as dg

from asset_pipeline.assets.syncing import sync_prompts
from asset_pipeline.catalog.kind import Kind
from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.resources.library import PromptLibraryResource
from asset_pipeline.settings import load_settings

_NAMED = 5


@dg.sensor(
    name="prompt_files",
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Adds a partition for each new prompt and observes edited ones, so that their "
    "clips show as stale. It starts no run and spends nothing.",
)
def prompt_files_sensor(
    context: dg.SensorEvaluationContext, prompt_library: PromptLibraryResource
) -> dg.SkipReason:
    """Look at times and sizes first, and read the files only when one of them moved."""
    stamp = _stamp(load_settings().prompts_dir)
    if stamp == context.cursor:
        return dg.SkipReason("No prompt file changed.")
    try:
        library = prompt_library.load().library
    except AssetPipelineError as error:
        return dg.SkipReason(str(error))
    told: list[str] = []
    for kind in Kind:
        synced = sync_prompts(context.instance, kind, library.of_kind(kind).values())
        told.append(f"{kind}: {len(synced.added)} new, {len(synced.observed)} new or edited")
    told.extend(str(problem) for problem in library.problems[:_NAMED])
    if len(library.problems) > _NAMED:
        told.append(f"... and {len(library.problems) - _NAMED} more problems")
    context.update_cursor(stamp)
    return dg.SkipReason("; ".join(told))


def _stamp(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            status = path.stat()
            digest.update(f"{path}\0{status.st_mtime_ns}\0{status.st_size}\n".encode())
    return digest.hexdigest()


FOLLOW_UP_SENSOR = dg.AutomationConditionSensorDefinition(
    "follow_up",
    target=dg.AssetSelection.all(),
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Renders and publishes what has landed. It never pays: clips have no condition.",
)
