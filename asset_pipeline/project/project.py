"""`Project`: the commands and tables of one project, from a notebook or a program."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from asset_pipeline.errors import AssetPipelineError, ConfigurationError
from asset_pipeline.settings import Settings, load_settings

if TYPE_CHECKING:
    import pandas as pd
    from sqlalchemy import Engine

    from asset_pipeline.project.clip import ProjectClip
    from asset_pipeline.project.reports import GenerationReport, PlanReport
    from asset_pipeline.prompts.spec import Prompt

_FOLDERS = {
    "prompts_dir": ("ASSET_PIPELINE_PROMPTS_DIR", "prompts"),
    "data_dir": ("ASSET_PIPELINE_DATA_DIR", "data"),
    "config_dir": ("ASSET_PIPELINE_CONFIG_DIR", "config"),
}
_WORKSPACE = "workspace.yaml"
_HOME = "DAGSTER_HOME"
_COST_VIEWS = {
    "day": "spend_by_day",
    "model": "spend_by_model",
    "collection": "spend_by_collection",
    "clip": "cost_per_clip",
}

Names = str | Sequence[str] | None
"""One name, or several."""

Amount = Decimal | str | float | None
"""US dollars, such as ``"2.50"``."""


@dataclass(frozen=True)
class Project:
    """A project: its tables as data frames, its clips as pictures and sound, its commands.

    Open it with :meth:`open`. Reading happens in this process, also while a notebook's event loop
    runs; what pays runs in a process of its own, and stops in order when it is interrupted.

    Attributes:
        settings: What the environment and the project's folder decide.

    Examples:
        >>> from asset_pipeline import Project
        >>> project = Project.open()
        >>> sorted(project.clips()["prompt_id"])
        ['blue-boat', 'blue-boat', 'hello', 'red-house']
    """

    settings: Settings
    _home: Path

    @classmethod
    def open(cls, path: str | os.PathLike[str] | None = None) -> Project:
        """Open a project; nothing is written, asked or paid.

        Args:
            path: The project's folder, with ``prompts``, ``data``, ``config`` and ``dagster_home``
                in it, whatever the environment says of these four. If it is not given, the
                environment decides as for the commands, and folders that it does not name are
                those of the nearest folder upwards that holds ``workspace.yaml``, else of this one.

        Raises:
            ConfigurationError: There is no such folder, or the environment is wrong.

        Examples:
            >>> Project.open("no/such/folder")
            Traceback (most recent call last):
            ...
            asset_pipeline.errors.ConfigurationError: There is no project folder no/such/folder. ...
        """
        settings = load_settings()
        if path is None:
            here = Path.cwd()
            root = next((at for at in (here, *here.parents) if (at / _WORKSPACE).is_file()), here)
            chosen = {field for field, (name, _) in _FOLDERS.items() if os.environ.get(name)}
            named = os.environ.get(_HOME)
            home = Path(named).expanduser().absolute() if named else root / "dagster_home"
        else:
            root = Path(path).expanduser().absolute()
            if not root.is_dir():
                raise ConfigurationError(
                    f"There is no project folder {os.fspath(path)}.",
                    hint="Give the folder that holds prompts, data and config.",
                )
            chosen, home = set[str](), root / "dagster_home"
        folders = {
            field: root / folder for field, (_, folder) in _FOLDERS.items() if field not in chosen
        }
        return cls(settings.model_copy(update=folders), home)

    def prompts(self) -> pd.DataFrame:
        """Return the usable prompts as the files say now; columns as in the table ``prompts``.

        Examples:
            >>> project.prompts()[["prompt_id", "variants"]].values.tolist()
            [['red-house', 1], ['blue-boat', 2], ['hello', 1]]
        """
        from asset_pipeline.project.frames import data_frame  # noqa: PLC0415
        from asset_pipeline.warehouse.query import QueryResult, typed_query  # noqa: PLC0415
        from asset_pipeline.warehouse.tables import prompt_rows  # noqa: PLC0415

        described = typed_query(self._published(), "DESCRIBE prompts").rows
        columns, types = [str(row[0]) for row in described], [str(row[1]) for row in described]
        rows = [tuple(row.get(name) for name in columns) for row in prompt_rows(self._prompts())]
        return data_frame(QueryResult(columns, types, rows))

    def clips(self) -> pd.DataFrame:
        """Return the table ``clips``: every stored clip, also those that newer ones replaced.

        Those that stand for their prompts now have no ``superseded_at`` and no ``removed_at``.

        Examples:
            >>> clips = project.clips()
            >>> clips.groupby("model")["cost_usd"].sum()["black-forest-labs/flux-schnell"]
            Decimal('0.009000')
            >>> str(clips["created_at"].dtype)
            'datetime64[us, UTC]'
        """
        return self.sql("FROM clips ORDER BY created_at, clip_id")

    def predictions(self) -> pd.DataFrame:
        """Return the table ``predictions``: every attempt, paid for or not.

        Examples:
            >>> project.predictions()["state"].value_counts().to_dict()
            {'delivered': 4}
        """
        return self.sql("FROM predictions ORDER BY created_at, intent_id")

    def costs(self, by: Literal["day", "model", "collection", "clip"] = "model") -> pd.DataFrame:
        """Return what was charged, added up as `asset-pipeline costs --by` does.

        Args:
            by: What to add up by.

        Raises:
            AssetPipelineError: It is none of these.

        Examples:
            >>> project.costs(by="collection")[["collection", "charged_usd"]].values.tolist()[0]
            ['houses', Decimal('0.009000')]
        """
        if by not in _COST_VIEWS:
            raise AssetPipelineError(
                f"Costs can't be added up by {by!r}.", hint=f"Give one of {', '.join(_COST_VIEWS)}."
            )
        return self.sql(f"FROM {_COST_VIEWS[by]}")

    def sql(self, query: str) -> pd.DataFrame:
        """Return what SQL finds in the published tables, which are published first if behind.

        Args:
            query: DuckDB's SQL; it can read the tables and nothing else, and change nothing.

        Raises:
            WarehouseError: The SQL is wrong.

        Examples:
            >>> project.sql("SELECT count(*) AS clips FROM clips").to_dict("list")
            {'clips': [4]}
        """
        from asset_pipeline.project.frames import data_frame  # noqa: PLC0415
        from asset_pipeline.warehouse.query import typed_query  # noqa: PLC0415

        return data_frame(typed_query(self._published(), query))

    def clip(self, name: str) -> ProjectClip:
        """Return a stored clip.

        Args:
            name: Its clip id, or at least six characters of it; or a prompt id, also as
                ``image/prompt-id``, if the prompt has one clip.

        Raises:
            LedgerError: There is none, or there are several.

        Examples:
            >>> project.clip("image/red-house").variant
            1
        """
        from asset_pipeline.clock import SystemClock  # noqa: PLC0415
        from asset_pipeline.ledger.clip_finder import ClipFinder  # noqa: PLC0415
        from asset_pipeline.ledger.engine import LedgerError  # noqa: PLC0415
        from asset_pipeline.project.clip import ProjectClip  # noqa: PLC0415
        from asset_pipeline.stores.environment import bucket_settings  # noqa: PLC0415
        from asset_pipeline.stores.factory import open_store  # noqa: PLC0415

        with self._engine() as engine:
            found = ClipFinder(engine, SystemClock()).find(name)
        if len(found) > 1:
            listed = ", ".join(
                f"{each.clip_id} ({each.kind}, variant {each.variant})" for each in found
            )
            raise LedgerError(
                f"{name!r} has {len(found)} clips: {listed}.", hint="Give one of these ids."
            )
        store = open_store(self.settings.store_url, bucket_settings(self.settings))
        return ProjectClip(found[0], store)

    def plan(
        self,
        *,
        kind: Names = None,
        collection: Names = None,
        prompt: Names = None,
        tag: Names = None,
        missing: bool = False,
        failed: bool = False,
        stale: bool = False,
        all: bool = False,  # noqa: A002 -- named as the command's flag
        limit: int | None = None,
        max_usd: Amount = None,
    ) -> PlanReport:
        """Return what :meth:`generate` with the same selection would make; nothing is sent.

        Args:
            kind: Only ``image`` or ``audio``.
            collection: Only these collections.
            prompt: Only these prompt ids, whatever their state.
            tag: Only prompts with one of these tags.
            missing: Prompts that wait to be made; what is taken without any of these four.
            failed: Prompts whose last run failed.
            stale: Prompts edited since their clips landed.
            all: Whatever their state; stored clips cost nothing.
            limit: At most so many prompts.
            max_usd: Reserve at most so many US dollars in all.

        Raises:
            CommandFailedError: Prompts, configuration or ledger can't be used.

        Examples:
            >>> plan = project.plan(all=True)
            >>> plan.clips, plan.cached, plan.worst_case_usd
            (4, 4, Decimal('0.000000'))
        """
        from asset_pipeline.project.command import run_command  # noqa: PLC0415
        from asset_pipeline.project.reports import plan_report  # noqa: PLC0415

        flags = {"missing": missing, "failed": failed, "stale": stale, "all": all}
        named = {"kind": kind, "collection": collection, "prompt": prompt, "tag": tag}
        bounds = {"limit": limit, "max-usd": max_usd}
        arguments = ["plan", "--json", *_arguments(flags, named, bounds)]
        return plan_report(run_command(arguments, self._environment())[0])

    def generate(
        self,
        *,
        kind: Names = None,
        collection: Names = None,
        prompt: Names = None,
        tag: Names = None,
        missing: bool = False,
        failed: bool = False,
        stale: bool = False,
        all: bool = False,  # noqa: A002 -- named as the command's flag
        limit: int | None = None,
        max_usd: Amount = None,
        max_in_flight: int | None = None,
        force: bool = False,
    ) -> GenerationReport:
        """Generate the clips of the chosen prompts, as `asset-pipeline generate` does.

        Stored clips are reused and open predictions continued; neither is paid again. Prompts that
        fail raise nothing: the report names them.

        Args:
            kind: As for :meth:`plan`, and so are the others down to ``max_usd``.
            collection: See there.
            prompt: See there.
            tag: See there.
            missing: See there.
            failed: See there.
            stale: See there.
            all: See there.
            limit: See there.
            max_usd: See there.
            max_in_flight: Clips at a time.
            force: Pay again for clips that are stored already; nobody is asked first.

        Raises:
            CommandFailedError: Nothing could be run.
            KeyboardInterrupt: It was interrupted. What landed is kept; the next one goes on.

        Examples:
            >>> report = project.generate()
            >>> report.clips_generated, report.paid_usd, report.failed
            (0, Decimal('0.000000'), 0)
        """
        from asset_pipeline.project.command import run_command  # noqa: PLC0415
        from asset_pipeline.project.reports import generation_report  # noqa: PLC0415

        flags = {"missing": missing, "failed": failed, "stale": stale, "all": all, "force": force}
        named = {"kind": kind, "collection": collection, "prompt": prompt, "tag": tag}
        bounds = {"limit": limit, "max-usd": max_usd, "max-in-flight": max_in_flight}
        arguments = ["generate", "--json", "--yes", *_arguments(flags, named, bounds)]
        return generation_report(*run_command(arguments, self._environment()))

    def _environment(self) -> dict[str, str]:
        """Return the environment in which the commands see this project, wherever they run."""
        folders: dict[str, str] = {
            name: os.fspath(getattr(self.settings, field)) for field, (name, _) in _FOLDERS.items()
        }
        return {**os.environ, **folders, _HOME: os.fspath(self._home)}

    def _published(self) -> Path:
        """Return the warehouse, published anew if it is behind the ledger."""
        from asset_pipeline.clock import SystemClock  # noqa: PLC0415
        from asset_pipeline.warehouse.publication import publish_if_older  # noqa: PLC0415

        with self._engine() as engine:
            publish_if_older(engine, self._prompts, self.settings, clock=SystemClock())
        return self.settings.own_warehouse_path

    def _prompts(self) -> Iterable[Prompt]:
        """Return the usable prompts, those that came over HTTP among them."""
        from asset_pipeline.catalog.reader import load_catalog  # noqa: PLC0415
        from asset_pipeline.defs.resources.submitted import with_ledgers  # noqa: PLC0415
        from asset_pipeline.prompts.library import load_library  # noqa: PLC0415

        catalog = load_catalog(self.settings.config_dir)
        files = load_library(self.settings.prompts_dir, catalog)
        return with_ledgers(files, catalog, self.settings).prompts.values()

    @contextmanager
    def _engine(self) -> Generator[Engine]:
        from asset_pipeline.ledger.provider_ledger import open_own_engine  # noqa: PLC0415

        engine = open_own_engine(self.settings)
        try:
            yield engine
        finally:
            engine.dispose()


def _arguments(
    flags: Mapping[str, bool],
    named: Mapping[str, Names],
    bounds: Mapping[str, Amount | int],
) -> Iterable[str]:
    """Yield the flags of a command line; values stand behind ``=`` and are never read as flags."""
    for flag, is_given in flags.items():
        if is_given:
            yield f"--{flag}"
    for flag, names in named.items():
        for name in [names] if isinstance(names, str) else names or ():
            yield f"--{flag}={name}"
    for flag, bound in bounds.items():
        if bound is not None:
            yield f"--{flag}={bound}"
