from __future__ import annotations

import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import cast

import dagster as dg
import pytest
import yaml

from asset_pipeline.clock import SystemClock
from asset_pipeline.definitions import build_defs, default_resources
from asset_pipeline.defs.resources.budget import BudgetResource
from asset_pipeline.defs.resources.custody import CustodyResource
from asset_pipeline.defs.resources.generation import GenerationResource
from asset_pipeline.defs.resources.ledger import LedgerResource
from asset_pipeline.defs.resources.replicate import ReplicateResource
from asset_pipeline.defs.resources.store import StoreResource
from asset_pipeline.errors import ConfigurationError
from asset_pipeline.ledger.configurations import Configurations
from asset_pipeline.settings import load_settings
from asset_pipeline_tests.support.settled_files import write_settled

ROOT = Path(__file__).parent.parent

_LOAD = """
import socket
def refuse(*args, **kwargs):
    raise AssertionError("network at import")
socket.socket.connect = refuse
socket.create_connection = refuse
import asset_pipeline.definitions as module
assert {job.name for job in module.defs.resolve_all_job_defs()} >= {"image_clips", "audio_clips"}
import sys
heavy = {"pandas", "pyarrow", "onnxruntime", "soundfile", "hibari"} & set(sys.modules)
assert not heavy, heavy
"""


@pytest.mark.servers
def test_definitions_load_in_a_fresh_interpreter(tmp_path: Path) -> None:
    """No network, token, service or file is needed, none is written, nothing heavy is imported."""
    done = subprocess.run(
        [sys.executable, "-c", _LOAD],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_workspace_names_the_definitions() -> None:
    """`dagster dev` and `dg dev` find the same module under the same name."""
    workspace = yaml.safe_load((ROOT / "workspace.yaml").read_text())
    module = workspace["load_from"][0]["python_module"]
    assert module == {
        "module_name": "asset_pipeline.definitions",
        "location_name": "asset_pipeline",
    }


def test_assets_that_follow_have_another_backfill_policy() -> None:
    """Renditions never share a run with clips: one failed clip would fail them all."""
    defs = build_defs()
    clips = defs.resolve_assets_def("image").backfill_policy
    renditions = defs.resolve_assets_def("image_rendition").backfill_policy
    assert clips is not None
    assert renditions is not None
    assert clips != renditions


def test_what_a_resource_is_replaced_by_is_used_by_the_others_too(tmp_path: Path) -> None:
    """Who replaces the store replaces it for whoever generates, keeps and renders."""
    store = StoreResource(url=str(tmp_path / "elsewhere"))
    found = default_resources({"store": store})
    assert found["store"] is store
    assert cast("GenerationResource", found["generation"]).store is store
    assert cast("CustodyResource", found["custody"]).store is store
    assert store.open().uri("image/a.webp").startswith((tmp_path / "elsewhere").as_uri())


def test_fields_name_the_variables_that_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dagster shows the name of a variable and never its value; one that is not set is no field."""
    monkeypatch.setenv("ASSET_PIPELINE_STORE_URL", "s3://bucket/clips")
    monkeypatch.delenv("REPLICATE_BASE_URL", raising=False)
    found = default_resources(by_name=True)
    store = cast("StoreResource", found["store"])
    assert isinstance(store.url, dg.EnvVar)
    assert store.url.env_var_name == "ASSET_PIPELINE_STORE_URL"
    assert cast("ReplicateResource", found["replicate"]).base_url is None
    assert cast("StoreResource", default_resources()["store"]).url is None
    for name, resource in found.items():
        own = {
            field_name: field.description
            for field_name, field in type(resource).model_fields.items()
            if not isinstance(getattr(resource, field_name), dg.ConfigurableResource)
        }
        assert name == "duckdb" or all(own.values()), (name, own)


def test_a_cap_of_the_resource_goes_over_file_and_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fields are the last word, exact to the micro-dollar; what is no amount is refused."""
    (tmp_path / "config").mkdir()
    write_settled(tmp_path / "config" / "budgets.yaml", "total_usd: 5\ndaily_usd: 4\n")
    monkeypatch.setenv("ASSET_PIPELINE_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("ASSET_PIPELINE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("ASSET_PIPELINE_BUDGET_DAILY_USD", "3")
    with LedgerResource().open() as ledger:
        memory = Configurations(ledger.engine, SystemClock())
        caps = BudgetResource(total_usd="1.000001").caps(load_settings(), memory).current()
    assert (caps.total_usd, caps.daily_usd) == (Decimal("1.000001"), Decimal(3))
    for text in ("much", "-1", "NaN", "inf"):
        with (
            pytest.raises(ConfigurationError, match="run_usd"),
            LedgerResource().open(BudgetResource(run_usd=text)),
        ):
            pass


def test_every_asset_and_job_is_described() -> None:
    """A person in the UI reads what each thing is."""
    defs = build_defs()
    for spec in defs.resolve_all_asset_specs():
        assert spec.description, spec.key
    for job in defs.resolve_all_job_defs():
        if not job.name.startswith("__"):
            assert job.description, job.name


def test_instance_config_is_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """dagster.yaml loads, keeps telemetry off and retries runs for dead processes alone."""
    content = (ROOT / "dagster_home" / "dagster.yaml").read_text()
    (tmp_path / "dagster.yaml").write_text(content)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    with dg.DagsterInstance.get() as instance:
        assert instance.telemetry_enabled is False
        assert instance.run_retries_enabled
        assert instance.run_monitoring_enabled
    assert yaml.safe_load(content)["run_retries"]["retry_on_asset_or_op_failure"] is False
