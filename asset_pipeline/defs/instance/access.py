"""The Dagster instance that commands and the UI share.

It imports Dagster, which takes a second and a half: commands import this module when they need it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator

import dagster as dg
from alembic.util import CommandError
from dagster import DagsterInstance
from sqlalchemy.exc import SQLAlchemyError

from asset_pipeline.defs._dagster_private import DAGSTER_CONFIG_YAML_FILENAME
from asset_pipeline.defs.instance.folder import mend, sole_opening
from asset_pipeline.defs.instance.home import dagster_home
from asset_pipeline.errors import ConfigurationError
from asset_pipeline.files import write_atomically

_BEGINNING = """\
# Written by asset-pipeline because there was none; yours to change.
telemetry: {enabled: false}
nux: {enabled: false}
run_retries: {enabled: true, max_retries: 2, retry_on_asset_or_op_failure: false}
"""

_STORAGE = """\
storage:
  custom:
    module: {module}
    class: SqliteStorageByProvider
    config: {{home: {{env: DAGSTER_HOME}}}}
"""

# What a new instance starts with. Without a file Dagster collects usage statistics and says so.
_FIRST_CONFIG = _BEGINNING + _STORAGE.format(module="asset_pipeline.defs.instance.storage")

# What earlier releases wrote, and nobody changed. In the oldest, the runs and schedules of sandbox
# and real work were together. Files that people changed go on with the names that they hold.
_EARLIER_ROOM = "asset_pipeline" + ".resources"
_EARLIER_CONFIGS = (
    _BEGINNING + _STORAGE.format(module=f"{_EARLIER_ROOM}.instance_storage"),
    f"""\
{_BEGINNING}\
event_log_storage:
  module: {_EARLIER_ROOM}.event_log
  class: PooledSqliteEventLogStorage
  config: {{home: {{env: DAGSTER_HOME}}}}
""",
)


@contextlib.contextmanager
def open_instance() -> Generator[DagsterInstance]:
    """Yield the instance, making its folder and its configuration when they are missing.

    Raises:
        ConfigurationError: The folder cannot be made, or its ``dagster.yaml`` is wrong.
    """
    home = dagster_home()
    try:
        # Whatever storage the file names, also the stock one: it is made once.
        with sole_opening(home):
            config = home / DAGSTER_CONFIG_YAML_FILENAME
            if not config.exists() or config.read_text(encoding="utf-8") in _EARLIER_CONFIGS:
                write_atomically(config, _FIRST_CONFIG)
            # dagster.yaml refers to the variable, also when it is the default folder that is used.
            os.environ["DAGSTER_HOME"] = str(home)
            mend(home)
            instance = dg.DagsterInstance.from_config(str(home))
    except OSError as error:
        raise ConfigurationError(
            f"The Dagster folder {home} cannot be used: {error.strerror}.",
            hint="Set DAGSTER_HOME to a folder that you may write to.",
        ) from None
    except (SQLAlchemyError, CommandError) as error:
        raise ConfigurationError(
            f"The Dagster instance in {home} can't be opened: {error}",
            hint="Restore its databases, or move them away: the ledger knows what was paid.",
        ) from None
    except dg.DagsterError as error:
        raise ConfigurationError(
            f"{home / 'dagster.yaml'} is wrong: {error}", hint="Correct it, or DAGSTER_HOME."
        ) from None
    with instance:
        yield instance


def look_into_instance() -> None:
    """Read from each of the instance's databases.

    Raises:
        ConfigurationError: One of them can't be read.
    """
    with open_instance() as instance:
        try:
            instance.get_runs_count()
            instance.get_dynamic_partitions("")
            instance.all_instigator_state()
        except (SQLAlchemyError, dg.DagsterError) as error:
            raise ConfigurationError(
                f"The Dagster instance in {dagster_home()} can't be read: {error}",
                hint="Restore its databases, or move them away: the ledger knows what was paid.",
            ) from None
