"""A project whose clips are made once for all tests of this folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from asset_pipeline import Project
from asset_pipeline_tests.cli.conftest import AUDIO, IMAGES
from asset_pipeline_tests.support.project import running_sandbox


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project of four clips, all of them made through the API itself."""
    root = tmp_path_factory.mktemp("notebook")
    for name, text in (("images/houses.yaml", IMAGES), ("audio/greetings.yaml", AUDIO)):
        file = root / "prompts" / name
        file.parent.mkdir(parents=True)
        file.write_text(text, encoding="utf-8")
    with running_sandbox(root / "sandbox") as url, pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("ASSET_", "REPLICATE_"))]:
            patch.delenv(name)
        patch.setenv("ASSET_PIPELINE_PROVIDER", "sandbox")
        patch.setenv("REPLICATE_BASE_URL", url)
        patch.delenv("DAGSTER_HOME", raising=False)
        project = Project.open(root)
        report = project.generate()
        assert (report.done, report.clips_generated, report.exit_code) == (3, 4, 0)
        yield project


@pytest.fixture
def project(made: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """That project, with its folder as the current one, as a notebook beside it has."""
    monkeypatch.chdir(Path(made.settings.prompts_dir).parent)
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    for name in [name for name in os.environ if name.startswith("ASSET_PIPELINE_")]:
        if name != "ASSET_PIPELINE_PROVIDER":
            monkeypatch.delenv(name)
    return made
