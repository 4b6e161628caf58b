"""Everything put together, and nothing else.

Loading it reads the retry rules, which a step's retry policy is made of, and opens no connection.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TypeVar, cast

import dagster as dg
from dagster_duckdb import DuckDBResource

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.defs.assets.clips import build_clip_asset
from asset_pipeline.defs.assets.cost_report import cost_report
from asset_pipeline.defs.assets.gallery import gallery
from asset_pipeline.defs.assets.prompt_drafts import brief, prompt_drafts
from asset_pipeline.defs.assets.prompts import build_prompt_asset
from asset_pipeline.defs.assets.published import build_published_asset
from asset_pipeline.defs.assets.renditions import build_rendition_asset
from asset_pipeline.defs.assets.warehouse import warehouse
from asset_pipeline.defs.checks.approvals import build_approval_check
from asset_pipeline.defs.checks.clips import build_clip_checks
from asset_pipeline.defs.checks.prompts import build_prompt_check
from asset_pipeline.defs.custody_jobs import fsck_job, retention_job
from asset_pipeline.defs.failure_events import retry_policy
from asset_pipeline.defs.jobs import (
    CHECK_JOBS,
    CLIP_JOBS,
    COST_REPORT_JOB,
    PUBLISH_JOB,
    PUBLISHED_JOBS,
    RENDER_JOBS,
    audit_job,
    reconcile_job,
)
from asset_pipeline.defs.resources.budget import BudgetResource
from asset_pipeline.defs.resources.custody import CustodyResource
from asset_pipeline.defs.resources.drafting import DraftingResource
from asset_pipeline.defs.resources.generation import GenerationResource
from asset_pipeline.defs.resources.ledger import LedgerResource
from asset_pipeline.defs.resources.maintenance import MaintenanceResource
from asset_pipeline.defs.resources.openrouter import OpenRouterResource
from asset_pipeline.defs.resources.prompt_library import PromptLibraryResource
from asset_pipeline.defs.resources.replicate import ReplicateResource
from asset_pipeline.defs.resources.store import StoreResource
from asset_pipeline.defs.reviews import reviews_sensor
from asset_pipeline.defs.schedules import build_schedules
from asset_pipeline.defs.schedules_file import read_schedules
from asset_pipeline.defs.sensors.alert_outbox import AlertOutbox
from asset_pipeline.defs.sensors.alerts import build_alert_sensor
from asset_pipeline.defs.sensors.dead_processes import (
    dead_runs_sensor,
    stale_intents_sensor,
)
from asset_pipeline.defs.sensors.follow_up import FOLLOW_UP_SENSOR
from asset_pipeline.defs.sensors.prompt_files import prompt_files_sensor
from asset_pipeline.defs.submissions import submissions_sensor
from asset_pipeline.generation.retry.rules_file import load_rules
from asset_pipeline.settings import load_settings

_Resource = TypeVar("_Resource")


def default_resources(
    given: Mapping[str, object] | None = None, *, by_name: bool = False
) -> dict[str, dg.ConfigurableResource[object]]:
    """Return fresh resources, all of them configured by the environment.

    Args:
        given: Take these in place of some, by name; those that use them get them too.
        by_name: Give fields that the environment decides as references to its variables: Dagster
            shows them by name, and reads them when a run starts. Whoever uses the resources
            without Dagster leaves them empty: they look into the environment themselves.
    """
    made: dict[str, object] = dict(given or {})

    def named(variable: str) -> str | None:
        return dg.EnvVar(variable) if by_name and os.environ.get(variable) else None

    def one(name: str, kind: type[_Resource], make: Callable[[], _Resource]) -> _Resource:
        if name not in made:
            made[name] = make()
        found = made[name]
        # Dagster nests resources of the declared class only.
        return found if isinstance(found, kind) else make()

    replicate = one(
        "replicate",
        ReplicateResource,
        lambda: ReplicateResource(base_url=named("REPLICATE_BASE_URL")),
    )
    store = one(
        "store", StoreResource, lambda: StoreResource(url=named("ASSET_PIPELINE_STORE_URL"))
    )
    budget = one(
        "budget",
        BudgetResource,
        lambda: BudgetResource(
            total_usd=named("ASSET_PIPELINE_BUDGET_TOTAL_USD"),
            daily_usd=named("ASSET_PIPELINE_BUDGET_DAILY_USD"),
            run_usd=named("ASSET_PIPELINE_BUDGET_RUN_USD"),
        ),
    )
    ledger = one("ledger", LedgerResource, LedgerResource)
    library = one("prompt_library", PromptLibraryResource, PromptLibraryResource)
    one("duckdb", DuckDBResource, _published_file)
    generation = one(
        "generation",
        GenerationResource,
        lambda: GenerationResource(replicate=replicate, ledger=ledger, store=store, budget=budget),
    )
    openrouter = one(
        "openrouter",
        OpenRouterResource,
        lambda: OpenRouterResource(base_url=named("OPENROUTER_BASE_URL")),
    )
    one(
        "drafting",
        DraftingResource,
        lambda: DraftingResource(openrouter=openrouter, prompt_library=library, budget=budget),
    )
    one(
        "custody",
        CustodyResource,
        lambda: CustodyResource(
            ledger=ledger, store=store, replicate=replicate, prompt_library=library
        ),
    )
    one(
        "maintenance",
        MaintenanceResource,
        lambda: MaintenanceResource(generation=generation, prompt_library=library),
    )
    return cast("dict[str, dg.ConfigurableResource[object]]", made)


def _published_file() -> DuckDBResource:
    """Return readers of the published file: they never block a publication, which replaces it."""
    return DuckDBResource(
        database=str(load_settings().own_warehouse_path),
        connection_config={"access_mode": "READ_ONLY"},
    )


def build_defs(
    resources: Mapping[str, object] | None = None, *, retries: dg.RetryPolicy | None = None
) -> dg.Definitions:
    """Return fresh definitions.

    Args:
        resources: Replace some of the default resources, by name: the seam for tests and for
            commands that watch a run.
        retries: How a step is retried; as the retry rules in force say, if not given.

    Raises:
        ConfigurationError: The environment, or ``retry_rules.yaml``, is wrong.
    """
    retries = retries or retry_policy(load_rules(load_settings().config_dir))
    return dg.Definitions(
        assets=[
            brief,
            prompt_drafts,
            *(build_prompt_asset(kind) for kind in Kind),
            *(build_clip_asset(kind, retries) for kind in Kind),
            *(build_rendition_asset(kind) for kind in Kind),
            *(build_published_asset(kind) for kind in Kind),
            warehouse,
            gallery,
            cost_report,
        ],
        asset_checks=[
            *(build_clip_checks(kind) for kind in Kind),
            *(build_approval_check(kind) for kind in Kind),
            *(build_prompt_check(kind) for kind in Kind),
        ],
        jobs=[
            *CLIP_JOBS.values(),
            *PUBLISHED_JOBS.values(),
            *RENDER_JOBS.values(),
            *CHECK_JOBS.values(),
            PUBLISH_JOB,
            COST_REPORT_JOB,
            reconcile_job,
            audit_job,
            fsck_job,
            retention_job,
        ],
        schedules=build_schedules(read_schedules(load_settings().config_dir)),
        sensors=[
            prompt_files_sensor,
            FOLLOW_UP_SENSOR,
            stale_intents_sensor,
            dead_runs_sensor,
            submissions_sensor,
            reviews_sensor,
            build_alert_sensor(AlertOutbox()),
        ],
        resources=default_resources(resources, by_name=True),
        # A run is one step that does its own concurrency; a process more would only cost start-up.
        executor=dg.in_process_executor,
    )


defs = build_defs()
