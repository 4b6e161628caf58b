"""`render`, `check` and `generate --render --check`: no daemon is needed for either."""

from __future__ import annotations

from collections.abc import Callable

import dagster as dg

from asset_pipeline_tests.cli.conftest import Done, Sandbox, Workspace


def test_renditions_and_checks_without_the_daemon(
    workspace: Workspace, sandbox: Sandbox, cli: Callable[..., Done]
) -> None:
    """One command generates, renders and checks; the runs stand under their jobs in Dagster."""
    workspace.environment["REPLICATE_BASE_URL"] = sandbox.url
    workspace.environment["ASSET_PIPELINE_PROVIDER"] = "sandbox"
    made = cli("generate", "--collection", "houses", "--render", "--check", "--json")
    assert made.code == 0, made.err
    assert made.json["clips_generated"] == 3
    again = cli("render", "--collection", "houses", "--json")
    assert again.json["rendered"] == 2
    assert cli("render", "--prompt", "hello", "--json").json["without_clips"] == 1
    checked = cli("check", "--kind", "image", "--json")
    assert checked.code == 0, checked.out
    assert {row["passed"] for row in checked.json["checks"]} == {True}
    with dg.DagsterInstance.from_config(str(workspace.root / "dagster_home")) as instance:
        runs = instance.get_runs()
    jobs = {run.job_name: run for run in runs}
    assert {"image_clips", "render_image_clips", "check_image_clips"} <= set(jobs)
    assert jobs["image_clips"].tags["asset_pipeline/prompts"] == "2"
    label = "__repository__@asset_pipeline"
    assert {run.tags[".dagster/repository"] for run in runs} == {label}
