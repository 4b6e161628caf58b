"""The fsck and retention jobs and the published assets, on a real sandbox and instance."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from urllib.parse import unquote, urlsplit

import dagster as dg
import pytest
import yaml
from sqlalchemy import update

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.clock import SystemClock
from asset_pipeline.defs.resources.ledger import LedgerResource
from asset_pipeline.ledger.custody import CustodyRepository
from asset_pipeline.ledger.records import Clip
from asset_pipeline.ledger.schema import intents
from asset_pipeline_tests.support.clocks import NOON
from asset_pipeline_tests.support.project import Project
from asset_pipeline_tests.support.settled_files import write_settled


def clips_of(prompt_id: str) -> list[Clip]:
    with LedgerResource().open() as ledger:
        return ledger.current_clips_of(Kind.IMAGE, prompt_id)


def path_of(clip: Clip) -> Path:
    return Path(unquote(urlsplit(clip.object_uri).path))


def run_job(project: Project, name: str, **config: object) -> dg.ExecuteInProcessResult:
    return project.defs.resolve_job_def(name).execute_in_process(
        instance=project.instance, run_config=dict(config), raise_on_error=False
    )


@pytest.fixture
def landed(project: Project) -> Project:
    """A project with two landed pictures."""
    project.write(Kind.IMAGE, {"id": "ash", "text": "An ash tree"}, {"id": "elm", "text": "An elm"})
    project.sync()
    assert project.run(Kind.IMAGE, span=("ash", "elm")).success
    return project


def test_a_lost_clip_shows_as_a_failed_partition(landed: Project) -> None:
    """The job fails by name, the partition turns red until it is made again, killed or not."""
    assert run_job(landed, "fsck").success
    (clip,) = clips_of("elm")
    path_of(clip).unlink()
    with LedgerResource().open() as ledger, ledger.engine.begin() as connection:
        connection.execute(update(intents).values(completed_at=NOON - timedelta(days=30)))
    result = run_job(landed, "fsck")
    assert not result.success
    assert landed.statuses(Kind.IMAGE) == {"ash": "MATERIALIZED", "elm": "FAILED"}
    assert clips_of("elm") == []
    assert run_job(landed, "fsck").success, "a loss is told of once"

    charged = landed.charged()
    assert landed.run(Kind.IMAGE, "elm").success
    assert landed.charged() == charged + charged // 2
    assert landed.statuses(Kind.IMAGE) == {"ash": "MATERIALIZED", "elm": "MATERIALIZED"}

    # A check that was killed once the ledger knew, before Dagster did.
    (other,) = clips_of("ash")
    path_of(other).unlink()
    with LedgerResource().open() as ledger:
        book = CustodyRepository(ledger.engine, SystemClock())
        assert len(book.lose(other.object_key, actor="killed", reason="missing")) == 1
    assert landed.statuses(Kind.IMAGE)["ash"] == "MATERIALIZED"
    assert not run_job(landed, "fsck").success
    assert landed.statuses(Kind.IMAGE)["ash"] == "FAILED"


def test_the_retention_job_deletes_only_when_told(landed: Project) -> None:
    """A run of it is a dry run; its metadata says what would go."""
    former = path_of(clips_of("ash")[0])
    landed.run(Kind.IMAGE, "ash", force=True)
    (landed.root / "config").mkdir(exist_ok=True)
    write_settled(
        landed.root / "config" / "retention.yaml",
        yaml.safe_dump({"rules": [{"name": "former", "superseded_beyond": 0}]}),
    )
    assert run_job(landed, "retention").success
    assert former.exists()
    config = {"apply_retention": {"config": {"delete": True}}}
    assert run_job(landed, "retention", ops=config).success
    assert not former.exists()
    assert path_of(clips_of("ash")[0]).exists()


def test_published_clips_are_where_people_take_them(
    landed: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One partition or a range; each tells its files, and a prompt without a clip fails by name."""
    place = landed.root / "public"
    monkeypatch.setenv("ASSET_PIPELINE_PUBLISH_URL", str(place))
    landed.write(
        Kind.IMAGE,
        {"id": "ash", "text": "An ash tree"},
        {"id": "elm", "text": "An elm"},
        {"id": "fir", "text": "A fir"},
    )
    landed.sync()
    job = dg.define_asset_job("show", dg.AssetSelection.assets(["published", "image"]))
    defs = dg.Definitions.merge(landed.defs, dg.Definitions(jobs=[job]))
    show = defs.resolve_job_def("show")
    alone = show.execute_in_process(instance=landed.instance, partition_key="ash")
    (event,) = alone.asset_materializations_for_node("published__image")
    assert "images/ash-1.webp" in str(event.metadata["files"].value)
    span = {
        "dagster/asset_partition_range_start": "elm",
        "dagster/asset_partition_range_end": "fir",
    }
    many = show.execute_in_process(instance=landed.instance, tags=span, raise_on_error=False)
    assert not many.success
    assert (place / "images" / "elm-1.webp").is_file()
    assert len((place / "SHA256SUMS").read_text().splitlines()) == 2
