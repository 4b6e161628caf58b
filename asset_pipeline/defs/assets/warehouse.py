"""The published picture of the ledger: DuckDB tables in one file."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import dagster as dg
from dagster import MetadataValue
from dagster_duckdb import DuckDBResource

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.clock import SystemClock
from asset_pipeline.defs.resources.ledger import LedgerResource
from asset_pipeline.defs.resources.prompt_library import PromptLibraryResource
from asset_pipeline.settings import load_settings
from asset_pipeline.warehouse.publication import publish_own

TABLES = {
    "predictions": "One row an attempt: what was asked of which model, and what came of it.",
    "ledger_entries": "Every movement of money: reserve, charge, release, adjust.",
    "llm_calls": "One row a call to a language model: what for, which tokens, what it cost.",
    "clips": "Every stored clip: where it is, what it cost and what made it.",
    "renditions": "Every file derived from a clip: size, format, loudness, where it is.",
    "provenance": "What files say of where they come from: marks, source type, who signed them.",
    "lineage": "Child and parent: which prompt, reference, clip and model made a file.",
    "budgets": "Every budget: cap, charged, reserved, headroom.",
    "prompts": "The prompts as they stand in the files.",
    "custody": "Every approval, loss and deletion of a stored clip: who, when, why, how much.",
    "exports": "Every exported file: where it is, and which clip it shows.",
    "fsck_passes": "Every check of the store: how much was read, and when.",
    "fsck_report": "Every difference that a check found between ledger and store.",
}

_CLIPS = [dg.AssetKey(kind.value) for kind in Kind]

# Once after a batch, not once a clip: something landed and nothing more is on its way.
AFTER_A_BATCH = (
    dg.AutomationCondition.any_deps_updated().since_last_handled()
    & ~dg.AutomationCondition.any_deps_in_progress()
    & ~dg.AutomationCondition.in_progress()
)


@dg.multi_asset(
    name="warehouse",
    specs=[
        dg.AssetSpec(
            dg.AssetKey(["warehouse", table]),
            deps=_CLIPS,
            group_name="warehouse",
            kinds={"duckdb", "table"},
            description=description,
            automation_condition=AFTER_A_BATCH,
        )
        for table, description in TABLES.items()
    ],
)
def warehouse(
    ledger: LedgerResource, prompt_library: PromptLibraryResource, duckdb: DuckDBResource
) -> Iterator[dg.MaterializeResult[Any]]:
    """Build `warehouse.duckdb` beside the published one and rename it in."""
    settings = load_settings()
    prompts = prompt_library.load().library.prompts.values()
    with ledger.open() as book:
        report = publish_own(book.engine, prompts, settings, clock=SystemClock())
    columns = _columns(duckdb)
    for table in TABLES:
        yield dg.MaterializeResult(
            asset_key=dg.AssetKey(["warehouse", table]),
            metadata={
                "dagster/row_count": MetadataValue.int(report.rows[table]),
                "dagster/column_schema": dg.TableSchema(columns=columns[table]),
                "file": MetadataValue.path(settings.warehouse_path),
                "seconds": MetadataValue.float(round(report.seconds, 3)),
            },
        )


def _columns(duckdb: DuckDBResource) -> dict[str, list[dg.TableColumn]]:
    """Return the columns of the published tables as readers find them."""
    query = (
        "SELECT table_name, column_name, data_type, comment FROM duckdb_columns() "
        "WHERE schema_name = 'main' ORDER BY column_index"
    )
    found: dict[str, list[dg.TableColumn]] = defaultdict(list)
    with duckdb.get_connection() as connection:
        for table, name, type_, comment in connection.execute(query).fetchall():
            found[table].append(dg.TableColumn(name, type_.lower(), description=comment))
    return found
