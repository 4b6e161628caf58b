"""The models on offer: the catalog's, read again when a user's file changes, and a few more.

Those that no catalog has stand in ``more_models.yaml``: people add them as any other model.
"""

from __future__ import annotations

import time
from pathlib import Path

from asset_pipeline.catalog.reader import load_catalog, load_models
from asset_pipeline.catalog.spec import Model
from asset_pipeline.errors import AssetPipelineError

_CHECK_SECONDS = 1.0
_MORE_MODELS = Path(__file__).with_name("more_models.yaml")


class OfferedModels:
    """Finds models by name and by version.

    A ``models.yaml`` that has become unreadable keeps the models read before it: the server goes
    on, and the command that the user runs reports the file.
    """

    def __init__(self, config_dir: Path | None) -> None:
        self._config_dir = config_dir
        self._checked = 0.0
        self._stamp: tuple[int, int] | None = None
        self._by_name: dict[str, Model] = {}
        self._by_version: dict[str, Model] = {}
        self._load()

    def named(self, name: str) -> Model | None:
        """Return the model ``owner/name``, if there is one."""
        self._refresh()
        return self._by_name.get(name)

    def versioned(self, version: str) -> Model | None:
        """Return the model that a create's ``version`` names.

        Args:
            version: 64 hex digits, ``owner/name:version``, or ``owner/name`` of an official model.
        """
        self._refresh()
        name, _, digits = version.rpartition(":")
        found = self._by_version.get(digits)
        if found is not None and name in ("", found.name):
            return found
        official = self._by_name.get(version)
        return official if official is not None and official.official else None

    def _refresh(self) -> None:
        now = time.monotonic()
        if now - self._checked < _CHECK_SECONDS:
            return
        self._checked = now
        if self._file_stamp() != self._stamp:
            try:
                self._load()
            except AssetPipelineError:
                self._stamp = self._file_stamp()

    def _load(self) -> None:
        self._stamp = self._file_stamp()
        models = {**load_models(_MORE_MODELS), **load_catalog(self._config_dir).models}
        self._by_name = dict(models)
        self._by_version = {
            model.version: model for model in models.values() if model.version is not None
        }

    def _file_stamp(self) -> tuple[int, int] | None:
        if self._config_dir is None:
            return None
        try:
            found = (self._config_dir / "models.yaml").stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size
