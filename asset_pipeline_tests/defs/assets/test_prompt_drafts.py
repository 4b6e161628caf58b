"""Briefs in Dagster: drafts are partitions, and an edited brief shows its own as stale."""

from __future__ import annotations

import dagster as dg
from dagster._core.definitions.data_version import CachingStaleStatusResolver
from dagster._core.definitions.observe import observe
from dagster._core.loader import LoadingContextForTest

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.defs.assets.prompt_drafts import brief, sync_briefs
from asset_pipeline.defs.resources.drafting import open_calls
from asset_pipeline.generation.failures import ErrorClass
from asset_pipeline.settings import load_settings
from asset_pipeline_tests.support.project import Project
from asset_pipeline_tests.support.retry_rules import rules_without_waits, write_rules

DRAFTS = dg.AssetKey("prompt_drafts")


def _brief(project: Project, name: str, goal: str) -> None:
    folder = project.prompts_dir / "briefs"
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.yaml").write_text(f"goal: {goal}\ncount: 2\n")


def _observe(project: Project) -> None:
    sync_briefs(project.instance)
    assert observe([brief], instance=project.instance).success


def _draft(project: Project, name: str) -> dg.ExecuteInProcessResult:
    job = project.defs.resolve_implicit_global_asset_job_def()
    return job.execute_in_process(
        instance=project.instance,
        asset_selection=[DRAFTS],
        partition_key=name,
        raise_on_error=False,
    )


def _stale(project: Project, *names: str) -> set[str]:
    resolver = CachingStaleStatusResolver(
        project.instance,
        project.defs.resolve_asset_graph(),
        LoadingContextForTest(project.instance),
    )
    return {name for name in names if resolver.get_status(DRAFTS, name).value == "STALE"}


def test_an_edited_brief_shows_its_drafts_stale_and_only_those(project: Project) -> None:
    """Drafted, edited, drafted anew: stale in between; the unchanged brief never is."""
    _brief(project, "teas", "Labels for teas")
    _brief(project, "soaps", "Labels for soaps")
    _observe(project)
    for name in ("teas", "soaps"):
        assert _draft(project, name).success
    assert _stale(project, "teas", "soaps") == set()
    _brief(project, "teas", "Labels for herbal teas")
    _observe(project)
    assert _stale(project, "teas", "soaps") == {"teas"}
    assert _draft(project, "teas").success
    assert _stale(project, "teas", "soaps") == set()


def test_a_lost_reply_fails_the_step_for_good(project: Project) -> None:
    """Nothing repeats it by itself: a second try could be a second payment."""
    _brief(project, "teas", "Labels for teas")
    _observe(project)
    project.fault({"fault": "lost_reply_after", "match": {"route": "chat"}})
    for said in ("The reply was lost", "is not sent again by itself"):
        result = _draft(project, "teas")
        (failed,) = [event for event in result.all_events if event.is_step_failure]
        assert said in str(failed.step_failure_data.error)
    with open_calls(load_settings()) as calls, calls.engine.connect() as connection:
        sent = connection.exec_driver_sql("SELECT charged_microusd FROM intents").all()
    assert len(sent) == 1
    assert sent[0][0] > 0


def test_a_run_rewrites_a_refused_prompt(project: Project) -> None:
    """The batch's own way to a language model: opened by the first refusal, closed with the run."""
    rewriting = {"strategies": ["rewritten_prompt", "fail"]}
    classes = {ErrorClass.CONTENT_POLICY.value: rewriting}
    write_rules(project.root / "config", rules_without_waits(**classes))
    project.write(
        Kind.IMAGE,
        {"id": "field", "text": "A bloody field"},
        {"id": "fort", "text": "A bloody fort"},
        {"id": "lake", "text": "A lake"},
    )
    project.sync()
    refused = {"error": "NSFW content detected."}
    project.fault({"fault": "failed", "match": {"prompt": "bloody"}, "params": refused})
    assert project.run(Kind.IMAGE, span=("field", "lake")).success
    with open_calls(load_settings()) as calls, calls.engine.connect() as connection:
        rows = connection.exec_driver_sql(
            "SELECT prompt_id, strategy, cost_microusd FROM clips ORDER BY prompt_id"
        ).all()
        paid = connection.exec_driver_sql(
            "SELECT count(*), min(charged_microusd) FROM intents WHERE kind = 'text'"
        ).one()
    assert [(row[0], row[1]) for row in rows] == [
        ("field", "rewritten_prompt"),
        ("fort", "rewritten_prompt"),
        ("lake", None),
    ]
    assert paid[0] == 2
    assert paid[1] > 0
