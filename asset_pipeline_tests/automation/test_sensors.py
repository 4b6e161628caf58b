from __future__ import annotations

import dagster as dg

from asset_pipeline.automation.sensors import prompt_files_sensor
from asset_pipeline.catalog.kind import Kind
from asset_pipeline.resources.library import PromptLibraryResource
from asset_pipeline_tests.project import Project


def _tick(project: Project, cursor: str | None) -> tuple[str, str | None]:
    context = dg.build_sensor_context(
        instance=project.instance,
        cursor=cursor,
        resources={"prompt_library": PromptLibraryResource()},
    )
    reason = prompt_files_sensor(context)
    assert isinstance(reason, dg.SkipReason)
    return reason.skip_message or "", context.cursor


def test_new_and_edited_prompts_are_noticed_once(project: Project) -> None:
    """A tick adds partitions and observes edits; the next one has nothing to do."""
    project.write(Kind.IMAGE, {"id": "ash", "text": "An ash tree"})
    message, cursor = _tick(project, None)
    assert "image: 1 new, 1 new or edited" in message
    assert project.instance.get_dynamic_partitions("image_prompts") == ["ash"]
    message, cursor = _tick(project, cursor)
    assert message == "No prompt file changed."
    project.write(Kind.IMAGE, {"id": "ash", "text": "An ash tree, at dusk"})
    message, _ = _tick(project, cursor)
    assert "image: 0 new, 1 new or edited" in message


def test_a_broken_file_is_reported_and_blocks_no_other(project: Project) -> None:
    """The good prompts get their partitions; the tick names the bad file."""
    project.write(Kind.IMAGE, {"id": "ash", "text": "An ash tree"})
    (project.prompts_dir / "images" / "broken.yaml").write_text("prompts: [")
    message, _ = _tick(project, None)
    assert "broken.yaml" in message
    assert project.instance.get_dynamic_partitions("image_prompts") == ["ash"]
