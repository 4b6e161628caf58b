"""Where the Dagster instance is, found without importing Dagster."""

from __future__ import annotations

import os
from pathlib import Path

_WORKSPACE = "workspace.yaml"


def dagster_home() -> Path:
    """Return ``DAGSTER_HOME``; if it is not set, ``dagster_home`` beside the workspace file.

    The workspace is the nearest folder upwards that holds ``workspace.yaml``, else this one.
    """
    if chosen := os.environ.get("DAGSTER_HOME"):
        return Path(chosen).expanduser().absolute()
    here = Path.cwd()
    workspace = next((at for at in (here, *here.parents) if (at / _WORKSPACE).is_file()), here)
    return workspace / "dagster_home"
