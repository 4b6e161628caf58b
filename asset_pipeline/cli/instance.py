"""The Dagster instance that commands and the UI share: opening it, asking it.

It imports Dagster, which takes a second and a half: commands import this module when they need it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator, Iterable, Mapping

import dagster as dg
from dagster import DagsterInstance
from dagster._core.instance.config import DAGSTER_CONFIG_YAML_FILENAME
from dagster._core.storage.partition_status_cache import AssetPartitionStatus

from asset_pipeline.assets.partitions import PARTITIONS
from asset_pipeline.catalog.kind import Kind
from asset_pipeline.cli.choosing import PromptKey, PromptState, PromptStates
from asset_pipeline.cli.home import dagster_home
from asset_pipeline.cli.staleness import stale_prompts
from asset_pipeline.errors import ConfigurationError
from asset_pipeline.files import write_atomically
from asset_pipeline.prompts.spec import Prompt

_NAMES = {
    AssetPartitionStatus.MATERIALIZED: PromptState.LANDED,
    AssetPartitionStatus.FAILED: PromptState.FAILED,
    AssetPartitionStatus.IN_PROGRESS: PromptState.RUNNING,
}

# What a new instance starts with. Without a file Dagster collects usage statistics and says so.
_FIRST_CONFIG = """\
# Written by asset-pipeline because there was none; yours to change.
telemetry: {enabled: false}
nux: {enabled: false}
run_retries: {enabled: true, max_retries: 2, retry_on_asset_or_op_failure: false}
event_log_storage:
  module: asset_pipeline.resources.event_log
  class: PooledSqliteEventLogStorage
  config: {home: {env: DAGSTER_HOME}}
"""


@contextlib.contextmanager
def open_instance() -> Generator[DagsterInstance]:
    """Yield the instance, making its folder and its configuration when they are missing.

    Raises:
        ConfigurationError: The folder cannot be made, or its ``dagster.yaml`` is wrong.
    """
    home = dagster_home()
    try:
        home.mkdir(parents=True, exist_ok=True)
        if not (home / DAGSTER_CONFIG_YAML_FILENAME).exists():
            write_atomically(home / DAGSTER_CONFIG_YAML_FILENAME, _FIRST_CONFIG)
        # dagster.yaml refers to the variable, also when it is the default folder that is used.
        os.environ["DAGSTER_HOME"] = str(home)
        instance = dg.DagsterInstance.from_config(str(home))
    except OSError as error:
        raise ConfigurationError(
            f"The Dagster folder {home} cannot be used: {error.strerror}.",
            hint="Set DAGSTER_HOME to a folder that you may write to.",
        ) from None
    except dg.DagsterError as error:
        raise ConfigurationError(
            f"{home / 'dagster.yaml'} is wrong: {error}", hint="Correct it, or DAGSTER_HOME."
        ) from None
    with instance:
        yield instance


def read_states(instance: DagsterInstance, prompts: Iterable[Prompt]) -> PromptStates:
    """Return how prompts stand, in a handful of queries for all of them."""
    by_kind: dict[Kind, dict[str, Prompt]] = {kind: {} for kind in Kind}
    for prompt in prompts:
        by_kind[prompt.kind][prompt.prompt_id] = prompt
    known: dict[PromptKey, PromptState] = {}
    stale: set[PromptKey] = set()
    for kind, of_kind in by_kind.items():
        if of_kind:
            known.update(_statuses(instance, kind, of_kind))
            stale.update((kind, prompt_id) for prompt_id in stale_prompts(instance, kind, of_kind))
    return PromptStates(known, frozenset(stale))


def _statuses(
    instance: DagsterInstance, kind: Kind, prompts: Mapping[str, Prompt]
) -> dict[PromptKey, PromptState]:
    """Return the statuses of one kind's partitions, from the cache that the UI reads too."""
    found = instance.get_status_by_partition(
        dg.AssetKey(kind.value), list(prompts), PARTITIONS[kind]
    )
    return {
        (kind, prompt_id): _NAMES[status]
        for prompt_id, status in (found or {}).items()
        if status is not None
    }
