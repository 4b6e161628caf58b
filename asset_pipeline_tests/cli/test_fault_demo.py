"""`demo --faults`: a rehearsal that shows what came of each failure and leaves all else alone."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest

from asset_pipeline_tests.cli.conftest import Done, Workspace

pytestmark = pytest.mark.servers

PLAN = """
faults:
  - {fault: failed, match: {prompt: blue boat}, params: {code: NSFW}}
  - {fault: failed, match: {prompt: house}, per_prompt: 1, params: {code: PA}}
  - {fault: error_5xx_before, match: {route: file, nth: 1}}
"""


def test_a_rehearsal(workspace: Workspace) -> None:
    """Failures are named by class, retries counted, books agree; nothing else is touched."""
    plan = workspace.root / "plan.yaml"
    plan.write_text(PLAN)
    elsewhere = {
        "REPLICATE_API_TOKEN": "r8_wrong_token",
        "REPLICATE_BASE_URL": "http://127.0.0.1:1",
        "ASSET_PIPELINE_LEDGER_URL": "postgresql://me:pw@127.0.0.1:1/real",
        "ASSET_PIPELINE_STORE_URL": str(workspace.root / "real"),
    }
    try:
        done = workspace.run("demo", "--faults", str(plan), env=elsewhere)
        assert done.code == 1, done.err
        assert "1 prompts failed" in done.out
        assert "content_policy" in done.out
        assert "image/red-house" in done.out
        assert "server_error" in done.out
        assert "Ledger and account agree" in done.out
        assert "red-house" not in done.out.partition("Rehearsed")[0]
        left = {path.name for path in workspace.root.iterdir()}
        assert left == {"prompts", "plan.yaml", "data"}
        assert [path.name for path in (workspace.root / "data").iterdir()] == ["demo-faults"]
    finally:
        # Its sandbox ends when its folder is gone.
        shutil.rmtree(workspace.root / "data", ignore_errors=True)


def test_a_bad_plan_starts_nothing(workspace: Workspace, cli: Callable[..., Done]) -> None:
    """A plan that cannot be used is a sentence and 2, before anything is made or removed."""
    plan = workspace.root / "plan.yaml"
    plan.write_text("faults: [{fault: nonsense}]")
    done = cli("demo", "--faults", str(plan))
    assert done.code == 2
    assert "plan.yaml" in done.err
    assert not (workspace.root / "data").exists()
