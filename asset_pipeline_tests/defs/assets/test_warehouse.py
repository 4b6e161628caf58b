"""The published tables as Dagster shows them."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from asset_pipeline.definitions import default_resources
from asset_pipeline.defs.assets.warehouse import TABLES, warehouse


def test_every_table_shows_its_rows_and_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names and types are those that a reader of the file finds, for each table."""
    (tmp_path / "prompts" / "images").mkdir(parents=True)
    monkeypatch.setenv("ASSET_PIPELINE_PROMPTS_DIR", str(tmp_path / "prompts"))
    monkeypatch.setenv("ASSET_PIPELINE_DATA_DIR", str(tmp_path / "data"))
    result = dg.materialize([warehouse], resources=default_resources())
    shown = {
        event.asset_key: event.materialization.metadata
        for event in result.get_asset_materialization_events()
        if event.asset_key is not None
    }
    assert {key.path[-1] for key in shown} == set(TABLES)
    for key, metadata in shown.items():
        assert metadata["dagster/row_count"].value == 0, key
        schema = metadata["dagster/column_schema"].value
        assert isinstance(schema, dg.TableSchema)
        assert schema.columns, key
    clips = shown[dg.AssetKey(["warehouse", "clips"])]["dagster/column_schema"].value
    assert isinstance(clips, dg.TableSchema)
    types = {column.name: column.type for column in clips.columns}
    assert types["cost_usd"] == "decimal(18,6)"
    assert types["created_at"] == "timestamp with time zone"
