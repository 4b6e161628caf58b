from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
import yaml

from asset_pipeline.definitions import build_defs

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
heavy = {"pandas", "pyarrow", "duckdb", "onnxruntime", "soundfile", "hibari"} & set(sys.modules)
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
