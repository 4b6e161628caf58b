"""The Dagster instance that commands and the UI share.

It imports Dagster, which takes a second and a half: commands import this module when they need it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator

import dagster as dg
from dagster import DagsterInstance
from dagster._core.instance.config import DAGSTER_CONFIG_YAML_FILENAME

from asset_pipeline.cli.home import dagster_home
from asset_pipeline.errors import ConfigurationError
from asset_pipeline.files import write_atomically

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
