"""`status`: how the prompts, the open predictions and the budgets stand."""

from __future__ import annotations

from asset_pipeline.cli._options import AsJson


def status(*, as_json: AsJson = False) -> None:
    """Show how the prompts stand by collection, what is open, and what the budgets have left."""
    # Prompts, ledger and, if it was ever used, Dagster: `--help` does not wait for them.
    from asset_pipeline.cli.status_view import show_status  # noqa: PLC0415

    show_status(as_json=as_json)
