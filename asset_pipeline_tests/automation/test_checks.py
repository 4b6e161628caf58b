from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import dagster as dg

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.resources.ledger import LedgerResource
from asset_pipeline_tests.project import Project


def _check(project: Project) -> dg.AssetCheckEvaluation:
    check = dg.AssetSelection.checks(
        dg.AssetCheckKey(dg.AssetKey("image"), "stored_files_are_whole")
    )
    job = dg.define_asset_job("check", check)
    defs = dg.Definitions.merge(project.defs, dg.Definitions(jobs=[job]))
    result = defs.resolve_job_def("check").execute_in_process(instance=project.instance)
    (evaluation,) = result.get_asset_check_evaluations()
    return evaluation


def test_the_check_reads_the_stored_file_back(project: Project) -> None:
    """Whole files pass; one flipped byte in the store fails by the prompt's name."""
    project.write(Kind.IMAGE, {"id": "ash", "text": "An ash tree"}, {"id": "elm", "text": "An elm"})
    project.sync()
    project.run(Kind.IMAGE, span=("ash", "elm"))
    assert _check(project).passed

    with LedgerResource().open() as ledger:
        (clip,) = ledger.current_clips_of(Kind.IMAGE, "elm")
    path = Path(urlsplit(clip.object_uri).path)
    path.chmod(0o644)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(bytes(content))
    evaluation = _check(project)
    assert not evaluation.passed
    assert "elm" in str(evaluation.metadata["flaws"].value)
    assert "ash" not in str(evaluation.metadata["flaws"].value)
