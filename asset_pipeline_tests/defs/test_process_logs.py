"""What a real run leaves in the logs, and what it leaves out of Dagster's."""

from __future__ import annotations

import json
from typing import Any

import pytest

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.logs.setup import stop_logging
from asset_pipeline_tests.support.project import Project, project, sandbox_url

__all__ = ["project", "sandbox_url"]

SECRET = "r8_5Tg7Yh2Jk9Lm4Np6Qr8St1Vw3Xz5Ab7Cd9Ef"


def _lines(found: Project) -> list[dict[str, Any]]:
    stop_logging()
    path = found.root / "data" / "logs" / "asset-pipeline.jsonl"
    text = path.read_text()
    assert SECRET not in text
    return [json.loads(line) for line in text.splitlines()]


def test_a_run_can_be_followed_by_its_ids(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Create, download and landing of a clip carry run, partition, intent, prediction and time."""
    monkeypatch.setenv("REPLICATE_API_TOKEN", SECRET)
    project.write(Kind.IMAGE, {"id": "a", "text": "A cup"}, {"id": "b", "text": "A house"})
    project.sync()
    result = project.run(Kind.IMAGE, "a", "b")
    assert result.success
    lines = [line for line in _lines(project) if line.get("partition") == "a"]
    by_call = {line.get("call", line["message"]): line for line in lines}
    create, download, landed = by_call["create"], by_call["download"], by_call["landed"]
    for line in (create, download, landed):
        assert line["run_id"] == result.run_id
        assert line["kind"] == "image"
        assert line["variant"] == 1
    assert create["intent_id"] == download["intent_id"]
    assert create["prediction_id"] == download["prediction_id"] == landed["prediction_id"]
    assert create["ms"] > 0
    assert download["bytes"] > 0
    assert landed["paid_microusd"] == 3000


def test_the_event_log_stays_readable(project: Project) -> None:
    """People read warnings as sentences there, and no line of JSON or of plain success."""
    project.write(Kind.IMAGE, {"id": "a", "text": "A cup"}, {"id": "b", "text": "A house"})
    project.sync()
    project.fault({"fault": "lost_reply_after", "match": {"prompt": "A cup"}, "per_prompt": 1})
    result = project.run(Kind.IMAGE, "a", "b")
    assert result.success
    told = [entry.user_message for entry in project.instance.all_logs(result.run_id)]
    lost = [text for text in told if "create failed" in text]
    assert lost == [text for text in told if text.startswith("image/a: ")]
    assert len(lost) == 1
    assert "answered" not in " ".join(told)
    assert not any(text.startswith("{") for text in told)
    lines = _lines(project)
    (failed,) = [line for line in lines if line["level"] == "WARNING"]
    (found,) = [line for line in lines if line["message"] == "accepted after all"]
    assert failed["call"] == "create"
    assert failed["intent_id"] == found["intent_id"]
    assert found["prediction_id"]
