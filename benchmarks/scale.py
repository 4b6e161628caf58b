"""100,000 prompts in 200 files: what planning, syncing, the sensors and the UI's page take.

Everything is measured on one Dagster instance on SQLite, as `dagster_home/dagster.yaml` configures
it, in a folder of its own; nothing is generated and nothing is sent. Each figure comes with its
goal. The sensors are evaluated in one process, as the code server evaluates them.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import dagster as dg
from dagster._core.events import StepMaterializationData

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.definitions import build_defs
from asset_pipeline.defs.materializations import CODE_VERSION
from asset_pipeline.defs.prompt_states import read_states
from asset_pipeline.defs.resources.ledger import LedgerResource
from asset_pipeline.defs.resources.prompt_library import PromptLibraryResource
from asset_pipeline.defs.sensors.follow_up import FOLLOW_UP_SENSOR
from asset_pipeline.defs.sensors.prompt_files import prompt_files_sensor

_ROOT = Path(__file__).parent.parent
_IMAGE = dg.AssetKey("image")
_MEMORY_GOAL = 600


def main(arguments: Sequence[str]) -> int:
    """Print each figure beside its goal; 0 when all are met."""
    parser = argparse.ArgumentParser(prog="scale", description=__doc__)
    parser.add_argument("--prompts", type=int, default=100_000)
    parser.add_argument("--files", type=int, default=200)
    parser.add_argument("--landed", type=int, default=1000, help="clips that land in one batch")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="scale-") as name:
        folder = Path(name)
        write_prompts(folder / "prompts" / "images", given.prompts, given.files)
        environment = {
            "DAGSTER_HOME": str(folder / "dagster_home"),
            "ASSET_PIPELINE_PROVIDER": "sandbox",
            "ASSET_PIPELINE_PROMPTS_DIR": str(folder / "prompts"),
            "ASSET_PIPELINE_DATA_DIR": str(folder / "data"),
            "ASSET_PIPELINE_CONFIG_DIR": str(folder / "config"),
        }
        os.environ.update(environment)
        (folder / "dagster_home").mkdir()
        shutil.copy(_ROOT / "dagster_home" / "dagster.yaml", folder / "dagster_home")
        print(f"{given.prompts:,} prompts in {given.files} files")
        figures = Figures()
        _plan(figures)
        with dg.DagsterInstance.get() as instance:
            _follow_files(figures, instance, folder)
            _follow_clips(figures, instance, given.landed)
        figures.say("memory, at its highest", _megabytes(resource.RUSAGE_SELF), _MEMORY_GOAL, "MB")
    return 0 if figures.met else 1


class Figures:
    """Figures as they are measured, each printed at once."""

    def __init__(self) -> None:
        self.met = True

    def say(self, what: str, figure: float, goal: float | None = None, unit: str = "s") -> None:
        """Print a figure, and whether it meets its goal."""
        aim = "" if goal is None else f"goal {goal:g} {unit}"
        missed = goal is not None and figure > goal
        self.met &= not missed
        print(f"  {what:52} {figure:8.2f} {unit:3} {aim}{'  MISSED' if missed else ''}", flush=True)

    def time(self, what: str, goal: float | None, task: Callable[[], object]) -> None:
        """Do a task and print how long it took."""
        started = time.monotonic()
        task()
        self.say(what, time.monotonic() - started, goal)


def write_prompts(folder: Path, prompts: int, files: int) -> None:
    """Write collections of equal size, long ago as most files are."""
    folder.mkdir(parents=True)
    each = prompts // files
    for file in range(files):
        lines = [
            f"collection: garden-{file:03}",
            "defaults: {model: black-forest-labs/flux-schnell, inputs: {megapixels: '0.25'}}",
            "prompts:",
        ]
        for number in range(file * each, (file + 1) * each):
            lines += [
                f"  - id: plant-{number:06}",
                f"    text: Plant number {number} of the garden, in the morning light",
                f"    tags: [bed-{number % 7}]",
            ]
        path = folder / f"garden-{file:03}.yaml"
        path.write_text("\n".join(lines) + "\n")
        _age(path)


def _plan(figures: Figures) -> None:
    command = [str(Path(sys.executable).with_name("asset-pipeline")), "plan", "--all"]
    figures.time(
        "`asset-pipeline plan --all`, the whole command",
        15,
        lambda: subprocess.run(command, check=True, capture_output=True),
    )
    figures.say("  its memory", _megabytes(resource.RUSAGE_CHILDREN), _MEMORY_GOAL, "MB")


def _follow_files(figures: Figures, instance: dg.DagsterInstance, folder: Path) -> None:
    cursor: str | None = None

    def tick() -> dg.SensorResult:
        nonlocal cursor
        context = dg.build_sensor_context(
            instance=instance,
            cursor=cursor,
            resources={"prompt_library": PromptLibraryResource(), "ledger": LedgerResource()},
        )
        result = prompt_files_sensor(context)
        assert isinstance(result, dg.SensorResult)
        cursor = result.cursor
        return result

    def sync() -> None:
        while "there is more" in str(tick().skip_reason):
            pass

    figures.time("sync from empty, in as many ticks as it takes", 60, sync)
    figures.time("idle tick of the prompt sensor", 1, tick)
    path = folder / "prompts" / "images" / "garden-007.yaml"
    path.write_text(path.read_text().replace("morning", "evening", 1))
    figures.time("tick with one changed file of 500 prompts", 3, tick)
    _age(path)
    figures.say("the cursor", len(cursor or "") / 1000, None, "kB")


def _follow_clips(figures: Figures, instance: dg.DagsterInstance, landed: int) -> None:
    repository = build_defs().get_repository_def()
    cursor: str | None = None

    def tick() -> None:
        nonlocal cursor
        context = dg.build_sensor_context(
            instance=instance,
            cursor=cursor,
            repository_def=repository,
            sensor_name=FOLLOW_UP_SENSOR.name,
        )
        cursor = FOLLOW_UP_SENSOR.evaluate_tick(context).cursor

    figures.time("first evaluation of the automation conditions", None, tick)
    partitions = instance.get_dynamic_partitions("image_prompts")
    _land(instance, partitions[:landed])
    figures.time(f"evaluation after a batch of {landed:,}", None, tick)
    figures.time("idle tick of the follow-up sensor", 1, tick)
    prompts = PromptLibraryResource().load().library.of_kind(Kind.IMAGE).values()
    figures.time(
        "statuses and staleness of all prompts", None, lambda: read_states(instance, prompts)
    )


def _land(instance: dg.DagsterInstance, partitions: Sequence[str]) -> None:
    """Store what a batch stores when its clips land, without making any."""
    now = time.time()
    entries = [
        dg.EventLogEntry(
            error_info=None,
            user_message="",
            level=20,
            run_id="",
            job_name="",
            timestamp=now,
            dagster_event=dg.DagsterEvent(
                event_type_value=dg.DagsterEventType.ASSET_MATERIALIZATION.value,
                job_name="",
                event_specific_data=StepMaterializationData(
                    dg.AssetMaterialization(
                        _IMAGE,
                        partition=partition,
                        tags={
                            "dagster/code_version": CODE_VERSION,
                            "dagster/data_version": partition,
                        },
                    )
                ),
            ),
        )
        for partition in partitions
    ]
    instance.event_log_storage.store_event_batch(entries)


def _age(path: Path) -> None:
    then = time.time() - 60
    os.utime(path, (then, then))


def _megabytes(who: int) -> float:
    return resource.getrusage(who).ru_maxrss / 1024
