"""The daily cost report: what a day cost, what of it was wasted, and what the budgets have left."""

from collections.abc import Sequence
from datetime import date
from typing import Any

import dagster as dg
from dagster import MetadataValue

from asset_pipeline.defs.markdown import shown, table
from asset_pipeline.defs.resources.ledger import LedgerResource
from asset_pipeline.files import write_atomically
from asset_pipeline.ledger.records import BudgetBalance
from asset_pipeline.ledger.reports import Spent, spent_on
from asset_pipeline.money import MicroUsd, format_usd, to_decimal
from asset_pipeline.settings import load_settings

# Days are UTC, as the budgets' are; an older ledger's days can be reported as well.
DAYS = dg.DailyPartitionsDefinition(start_date="2026-01-01", timezone="UTC")


@dg.asset(
    key=dg.AssetKey("cost_report"),
    partitions_def=DAYS,
    group_name="warehouse",
    kinds={"markdown"},
    description="What one UTC day cost by collection and model, what of it was wasted, and the "
    "budgets' headroom when it was written. It is kept as data/reports/cost-DAY.md too.",
)
def cost_report(
    context: dg.AssetExecutionContext, ledger: LedgerResource
) -> dg.MaterializeResult[Any]:
    """Write one day's report from the ledger."""
    day = date.fromisoformat(context.partition_key)
    with ledger.open() as book:
        rows = spent_on(book.engine, day)
        budgets = book.balances()
    report = write_report(day, rows, budgets)
    target = load_settings().data_dir / "reports" / f"cost-{day}.md"
    write_atomically(target, report)
    total = MicroUsd(sum(row.charged for row in rows))
    wasted = MicroUsd(sum(row.wasted for row in rows))
    return dg.MaterializeResult(
        metadata={
            "report": MetadataValue.md(report),
            "rows": MetadataValue.table([_record(row) for row in rows], schema=_SCHEMA),
            # Floats because Dagster plots nothing else; the ledger holds the exact amounts.
            "charged_usd": MetadataValue.float(float(to_decimal(total))),
            "wasted_usd": MetadataValue.float(float(to_decimal(wasted))),
            "predictions": MetadataValue.int(sum(row.predictions for row in rows)),
            "file": MetadataValue.path(target),
        }
    )


def write_report(day: date, rows: Sequence[Spent], budgets: Sequence[BudgetBalance]) -> str:
    """Return a day's report in Markdown."""
    total = MicroUsd(sum(row.charged for row in rows))
    wasted = MicroUsd(sum(row.wasted for row in rows))
    clips, predictions = (sum(row.delivered for row in rows), sum(row.predictions for row in rows))
    summary = (
        f"{format_usd(total)} for {clips:,} clips in {predictions:,} paid predictions; "
        f"{format_usd(wasted)} of it brought no clip."
    )
    lines = [f"# Costs of {day}", "", summary]
    if rows:
        lines += ["", table(_BY_MODEL, map(_cells, rows), right=4)]
    cells = [
        (
            shown(line.budget),
            *map(format_usd, (line.cap, line.charged, line.reserved, line.headroom)),
        )
        for line in budgets
        if not line.budget.startswith("run:")
    ]
    lines += ["", table(("budget", "cap", "charged", "reserved", "left"), cells, right=4)]
    return "\n".join(lines) + "\n"


_BY_MODEL = ("collection", "kind", "model", "predictions", "clips", "charged", "wasted")


def _cells(row: Spent) -> tuple[str, ...]:
    named = (shown(row.collection), shown(row.kind), shown(row.model))
    counted = (f"{row.predictions:,}", f"{row.delivered:,}")
    return (*named, *counted, format_usd(row.charged), format_usd(row.wasted))


_SCHEMA = dg.TableSchema(
    columns=[
        *(dg.TableColumn(name) for name in ("collection", "kind", "model")),
        dg.TableColumn("predictions", "int"),
        dg.TableColumn("clips", "int"),
        *(dg.TableColumn(name) for name in ("charged_usd", "wasted_usd")),
    ]
)


def _record(row: Spent) -> dg.TableRecord:
    return dg.TableRecord(
        {
            "collection": row.collection,
            "kind": row.kind,
            "model": row.model,
            "predictions": row.predictions,
            "clips": row.delivered,
            "charged_usd": str(to_decimal(row.charged)),
            "wasted_usd": str(to_decimal(row.wasted)),
        }
    )
