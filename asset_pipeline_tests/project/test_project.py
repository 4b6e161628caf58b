"""The Python API: data frames, clips, plan and generate."""

from __future__ import annotations

import asyncio
import doctest
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from asset_pipeline import Project
from asset_pipeline.errors import AssetPipelineError, ConfigurationError
from asset_pipeline.project import clip as clip_module
from asset_pipeline.project import project as project_module
from asset_pipeline.project.command import CommandFailedError
from asset_pipeline.project.frames import data_frame
from asset_pipeline.stores.protocol import StoreError
from asset_pipeline.warehouse.query import QueryResult


@pytest.mark.slow
@pytest.mark.parametrize("module", [project_module, clip_module])
def test_every_example_in_the_docstrings_is_true(project: Project, module: object) -> None:
    """What the docstrings show is what comes of it."""
    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    finder, runner = doctest.DocTestFinder(), doctest.DocTestRunner(optionflags=options)
    for each in finder.find(module, globs={"Project": Project, "project": project}):
        runner.run(each)
    assert runner.tries >= 3
    assert runner.failures == 0


def test_every_public_method_has_an_example() -> None:
    """Nothing is offered without showing how it is used."""
    for each in (Project, clip_module.ProjectClip):
        methods = [
            value
            for name, value in vars(each).items()
            if not name.startswith("_") and (callable(value) or isinstance(value, classmethod))
        ]
        assert methods
        for method in methods:
            assert ">>>" in (method.__doc__ or ""), method


def test_importing_the_package_imports_nothing_else() -> None:
    """`import asset_pipeline` costs next to nothing, and `Project` loads no pandas or Dagster."""
    program = (
        "import sys, asset_pipeline; before = set(sys.modules); "
        "assert not [m for m in before if m.startswith('asset_pipeline.')]; "
        "asset_pipeline.Project; "
        "print([m for m in ('pandas', 'dagster', 'duckdb', 'sqlalchemy', 'PIL', 'numpy')"
        " if m in sys.modules])"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert ended.stdout.strip() == "[]"


def test_all_of_it_works_while_an_event_loop_runs(project: Project) -> None:
    """A notebook's cell runs inside the kernel's event loop."""

    async def cell() -> None:
        assert len(project.clips()) == 4
        report = project.generate(prompt="red-house", max_usd="0.10")
        assert (report.done, report.clips_cached, report.paid_usd) == (1, 1, 0)

    asyncio.run(cell())


def test_money_is_exact_and_times_are_aware(project: Project) -> None:
    """The declared types hold, in the tables and in what people ask in SQL."""
    frame = project.predictions()
    assert frame["charged_usd"].sum() == sum(project.costs()["charged_usd"])
    assert all(isinstance(each, Decimal) for each in frame["charged_usd"])
    assert str(frame["completed_at"].dt.tz) == "UTC"
    assert str(frame["attempt"].dtype) == "Int64"
    assert str(frame["prompt_text"].dtype) == "string"
    assert str(project.costs(by="day")["day"].dtype) == "datetime64[s]"


def test_an_empty_frame_has_its_columns_and_types(project: Project) -> None:
    """A filter that finds nothing changes no type."""
    some, none = project.clips(), project.sql("FROM clips WHERE kind = 'video'")
    assert len(none) == 0
    assert none.dtypes.to_dict() == some.dtypes.to_dict()


def test_odd_results_become_frames(project: Project) -> None:
    """Names that stand twice, whole numbers beyond 64 bits, lists, and nothing at all."""
    frame = project.sql("SELECT 1 AS a, 2 AS a, 2::HUGEINT ** 80 AS big, ['x'] AS tags, NULL AS n")
    assert list(frame.columns) == ["a", "a", "big", "tags", "n"]
    assert frame.iloc[0, 3] == ["x"]
    assert data_frame(QueryResult(["sum"], ["HUGEINT"], [(2**80,)])).iloc[0, 0] == 2**80
    assert project.sql("-- nothing").empty


def test_wrong_sql_and_wrong_names_are_told(project: Project) -> None:
    """Errors are the sentences of the commands."""
    with pytest.raises(AssetPipelineError, match="The query failed"):
        project.sql("SELEC")
    with pytest.raises(AssetPipelineError, match="added up by 'week'"):
        project.costs(by="week")  # pyright: ignore[reportArgumentType]
    with pytest.raises(AssetPipelineError, match="has 2 clips"):
        project.clip("blue-boat")
    with pytest.raises(CommandFailedError, match="no-such-prompt") as told:
        project.plan(prompt=["red-house", "no-such-prompt"])
    assert told.value.exit_code == 2


def test_a_clip_opens_as_what_it_is(project: Project) -> None:
    """A picture is Pillow's, a sound its samples and rate."""
    picture = project.clip("red-house").open()
    assert isinstance(picture, Image.Image)
    samples, rate = project.clip("hello").open()
    assert isinstance(samples, np.ndarray)
    assert np.abs(samples).max() > 0.01
    assert rate >= 8000


def test_a_clip_whose_file_has_changed_is_not_opened(project: Project) -> None:
    """What is handed out is what was paid for."""
    clip = project.clip("red-house")
    file = Path(clip.object_uri.removeprefix("file://"))
    good = file.read_bytes()
    file.chmod(0o600)
    try:
        file.write_bytes(good[:-1] + b"x")
        with pytest.raises(StoreError, match="not what was stored"):
            clip.open()
    finally:
        file.write_bytes(good)


def test_prompts_are_those_of_the_files_now(project: Project) -> None:
    """A prompt that was written a moment ago is among them, though nothing was published since."""
    file = project.settings.prompts_dir / "images" / "new.yaml"
    text = "defaults: {model: black-forest-labs/flux-schnell}\nprompts: [{id: new, text: New}]\n"
    file.write_text(text)
    try:
        frame = project.prompts()
    finally:
        file.unlink()
    assert set(frame["prompt_id"]) == {"red-house", "blue-boat", "hello", "new"}
    assert frame.set_index("prompt_id").loc["red-house", "tags"] == ["outside"]


def test_a_path_wins_over_the_environment(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who names a folder means it, whatever the shell has exported for another project."""
    monkeypatch.setenv("ASSET_PIPELINE_DATA_DIR", str(tmp_path / "other"))
    root = project.settings.prompts_dir.parent
    assert len(Project.open(root).clips()) == 4
    assert Project.open().settings.data_dir == tmp_path / "other"
    monkeypatch.delenv("ASSET_PIPELINE_DATA_DIR")
    assert Project.open().settings.data_dir == root / "data"
    with pytest.raises(ConfigurationError, match="no project folder"):
        Project.open(tmp_path / "nowhere")
