"""The documented instance that keeps its compute logs in S3."""

from __future__ import annotations

import time
from pathlib import Path

import dagster as dg
import pytest
import yaml

from asset_pipeline_tests.support.servers.fixtures import seaweed, seaweed_server
from asset_pipeline_tests.support.servers.seaweed import BUCKET, SECRET_KEY, SeaweedFS

__all__ = ["seaweed", "seaweed_server"]

_ROOT = Path(__file__).parents[3]
_FILES = (_ROOT / "dagster_home" / "dagster.yaml", _ROOT / "docs" / "examples" / "dagster.s3.yaml")


def test_logs_go_to_s3(seaweed: SeaweedFS, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Appended as documented, the file is valid, and what a run prints is in the bucket."""
    monkeypatch.setenv("ASSET_PIPELINE_LOGS_BUCKET", BUCKET)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    parts = [path.read_text() for path in _FILES]
    (tmp_path / "dagster.yaml").write_text("".join(parts))
    assert yaml.safe_load("".join(parts))["compute_logs"]["class"] == "S3ComputeLogManager"

    @dg.op
    def speak() -> None:
        print("a line that was printed")  # noqa: T201 -- this is what is looked for

    @dg.job
    def speaking() -> None:
        speak()

    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        assert speaking.execute_in_process(instance=instance).success
    client = seaweed.client()
    found: list[bytes] = []
    for _ in range(100):
        listed = client.list_objects_v2(Bucket=BUCKET, Prefix="dagster-logs/").get("Contents", [])
        names = [each["Key"] for each in listed]
        found = [client.get_object(Bucket=BUCKET, Key=name)["Body"].read() for name in names]
        if found:
            break
        time.sleep(0.1)
    assert any(b"a line that was printed" in content for content in found)
    assert SECRET_KEY.encode() not in b"".join(found)
