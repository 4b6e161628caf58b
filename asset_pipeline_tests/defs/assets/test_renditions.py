"""Renditions as Dagster assets: made once, stale with their clip, described by their events."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import dagster as dg
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver
from dagster._core.loader import LoadingContextForTest
from PIL import Image

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.clock import SystemClock
from asset_pipeline.defs.resources.ledger import LedgerResource
from asset_pipeline.ledger.renditions import Rendition, RenditionRepository
from asset_pipeline.media.loudness import measure
from asset_pipeline_tests.support.project import Project

RENDITIONS = dg.AssetKey("image_rendition")
SMALL = {"thumbnail": {"format": "webp", "max_side": 64}, "web": {"format": "jpg", "max_side": 300}}


def _prompts(*ids: str) -> list[dict[str, str]]:
    return [{"id": prompt_id, "text": f"A picture called {prompt_id}"} for prompt_id in ids]


def _render(
    project: Project, kind: Kind, key: str | None = None, span: tuple[str, str] | None = None
) -> dg.ExecuteInProcessResult:
    job = dg.define_asset_job("render", dg.AssetSelection.assets(f"{kind}_rendition"))
    defs = dg.Definitions.merge(project.defs, dg.Definitions(jobs=[job]))
    tags = None
    if span is not None:
        tags = {
            "dagster/asset_partition_range_start": span[0],
            "dagster/asset_partition_range_end": span[1],
        }
    return defs.resolve_job_def("render").execute_in_process(
        instance=project.instance, partition_key=key, tags=tags, raise_on_error=False
    )


def _rows(kind: Kind, prompt_id: str) -> dict[str, Rendition]:
    with LedgerResource().open() as ledger:
        clips = ledger.current_clips_of(kind, prompt_id)
        rows = RenditionRepository(ledger.engine, SystemClock()).made_from(clips)
    return {row.name: row for row in rows if row.superseded_at is None}


def _path(row: Rendition) -> Path:
    return Path(urlsplit(row.object_uri).path)


def _event(project: Project, key: dg.AssetKey, partition: str) -> dg.AssetMaterialization:
    records = project.instance.fetch_materializations(
        dg.AssetRecordsFilter(key, asset_partitions=[partition]), limit=1
    ).records
    assert records[0].asset_materialization is not None
    return records[0].asset_materialization


def _metadata(project: Project, key: dg.AssetKey, partition: str) -> dict[str, Any]:
    return {name: value.value for name, value in _event(project, key, partition).metadata.items()}


def _stale(project: Project, name: str) -> dict[str, str]:
    resolver = CachingStaleStatusResolver(
        project.instance,
        project.defs.resolve_asset_graph(),
        LoadingContextForTest(project.instance),
    )
    keys = project.instance.get_dynamic_partitions("image_prompts")
    return {key: resolver.get_status(dg.AssetKey(name), key).value for key in keys}


def test_a_batch_renders_what_the_collection_asks_for(project: Project) -> None:
    """Each partition has its files, its own event with a preview, and its descent in the ledger."""
    project.write(Kind.IMAGE, *_prompts("ash", "birch"), renditions=SMALL)
    project.sync()
    project.run(Kind.IMAGE, span=("ash", "birch"))
    assert _render(project, Kind.IMAGE, span=("ash", "birch")).success
    for prompt_id in ("ash", "birch"):
        rows = _rows(Kind.IMAGE, prompt_id)
        assert {name: row.mime for name, row in rows.items()} == {
            "thumbnail": "image/webp",
            "web": "image/jpeg",
        }
        with Image.open(_path(rows["web"])) as picture:
            assert max(picture.size) == 300
        assert "/renditions/image/" in rows["web"].object_uri
        shown = _metadata(project, RENDITIONS, prompt_id)
        assert "data:image/webp;base64," in shown["preview"]
        assert len(shown["thumbnail"]) < 1000
        assert (shown["files"], shown["made_in_this_run"]) == (2, 2)
        assert rows["web"].object_uri in shown["renditions"]


def test_one_partition_is_an_ordinary_result(project: Project) -> None:
    """A run of one key is rendered like any other, with the same tags."""
    project.write(Kind.IMAGE, *_prompts("ash"), renditions=SMALL)
    project.sync()
    project.run(Kind.IMAGE, "ash")
    assert _render(project, Kind.IMAGE, "ash").success
    assert _stale(project, "image_rendition") == {"ash": "FRESH"}
    clip, rendition = (_event(project, dg.AssetKey(n), "ash") for n in ("image", "image_rendition"))
    assert clip.tags is not None
    assert rendition.tags is not None
    assert rendition.tags["dagster/input_data_version/image"] == clip.tags["dagster/data_version"]


def test_nothing_is_made_twice(project: Project) -> None:
    """A second run writes no file; a new setting makes the new one alone; going back makes none."""
    project.write(Kind.IMAGE, *_prompts("ash"), renditions=SMALL)
    project.sync()
    project.run(Kind.IMAGE, "ash")
    _render(project, Kind.IMAGE, "ash")
    first = _rows(Kind.IMAGE, "ash")
    made_at = {name: _path(row).stat().st_mtime_ns for name, row in first.items()}
    _render(project, Kind.IMAGE, "ash")
    assert _metadata(project, RENDITIONS, "ash")["made_in_this_run"] == 0
    assert _rows(Kind.IMAGE, "ash") == first

    changed = {"thumbnail": SMALL["thumbnail"], "web": {"format": "avif", "max_side": 300}}
    project.write(Kind.IMAGE, *_prompts("ash"), renditions=changed)
    _render(project, Kind.IMAGE, "ash")
    assert _metadata(project, RENDITIONS, "ash")["made_in_this_run"] == 1
    assert _rows(Kind.IMAGE, "ash")["web"].mime == "image/avif"
    assert _rows(Kind.IMAGE, "ash")["thumbnail"] == first["thumbnail"]

    project.write(Kind.IMAGE, *_prompts("ash"), renditions={"web": SMALL["web"]})
    _render(project, Kind.IMAGE, "ash")
    assert _metadata(project, RENDITIONS, "ash")["made_in_this_run"] == 0
    back = _rows(Kind.IMAGE, "ash")
    assert list(back) == ["web"], "a name that left the setting is nobody's current rendition"
    assert back["web"].sha256 == first["web"].sha256
    assert {name: _path(row).stat().st_mtime_ns for name, row in first.items()} == made_at


def test_a_file_that_left_the_store_is_made_again(project: Project) -> None:
    """The event is a claim about the store, so the store is asked."""
    project.write(Kind.IMAGE, *_prompts("ash"), renditions=SMALL)
    project.sync()
    project.run(Kind.IMAGE, "ash")
    _render(project, Kind.IMAGE, "ash")
    lost = _path(_rows(Kind.IMAGE, "ash")["web"])
    lost.unlink()
    _render(project, Kind.IMAGE, "ash")
    assert _metadata(project, RENDITIONS, "ash")["made_in_this_run"] == 1
    assert lost.exists()


def test_an_edit_makes_its_clip_and_its_renditions_stale_and_no_others(project: Project) -> None:
    """One edited prompt: its clip and its rendition are stale until both are made again."""
    project.write(Kind.IMAGE, *_prompts("ash", "birch"), renditions=SMALL)
    project.sync()
    project.run(Kind.IMAGE, span=("ash", "birch"))
    _render(project, Kind.IMAGE, span=("ash", "birch"))
    assets = ("image", "image_rendition")
    for name in assets:
        assert _stale(project, name) == {"ash": "FRESH", "birch": "FRESH"}, name
    edited = _prompts("ash", "birch")
    edited[1]["text"] += ", at dusk"
    project.write(Kind.IMAGE, *edited, renditions=SMALL)
    project.sync()
    for name in assets:
        assert _stale(project, name) == {"ash": "FRESH", "birch": "STALE"}, name
    # Rendering the old clip again does not pass for what the edited prompt asks for.
    _render(project, Kind.IMAGE, "birch")
    assert _stale(project, "image_rendition") == {"ash": "FRESH", "birch": "STALE"}
    project.run(Kind.IMAGE, "birch")
    assert _stale(project, "image") == {"ash": "FRESH", "birch": "FRESH"}
    assert _stale(project, "image_rendition") == {"ash": "FRESH", "birch": "STALE"}
    _render(project, Kind.IMAGE, "birch")
    assert _stale(project, "image_rendition") == {"ash": "FRESH", "birch": "FRESH"}
    assert len(project.charges()) == 3


def test_what_cannot_be_rendered_fails_alone_and_by_name(project: Project) -> None:
    """A damaged clip and a missing one are named; the others are rendered all the same."""
    project.write(Kind.IMAGE, *_prompts("ash", "birch", "cedar"), renditions=SMALL)
    project.sync()
    project.run(Kind.IMAGE, "ash", "cedar")
    with LedgerResource().open() as ledger:
        (clip,) = ledger.current_clips_of(Kind.IMAGE, "cedar")
    damaged = Path(urlsplit(clip.object_uri).path)
    damaged.chmod(0o644)
    damaged.write_bytes(damaged.read_bytes()[:-10])
    result = _render(project, Kind.IMAGE, span=("ash", "cedar"))
    assert not result.success
    failure = result.get_step_failure_events()[0].step_failure_data.user_failure_data
    assert failure is not None
    assert failure.description is not None
    assert failure.description.startswith("2 prompts could not be rendered: birch (there is no")
    assert "cedar (" in failure.description
    assert "is not the file that was paid for" in failure.description
    assert not result.filter_events(lambda event: event.event_type_value == "STEP_RESTARTED")
    assert set(_rows(Kind.IMAGE, "ash")) == {"thumbnail", "web"}
    found = project.instance.get_materialized_partitions(RENDITIONS)
    assert found == {"ash"}


def test_speech_is_normalized_and_transcoded(project: Project) -> None:
    """Each sound is at its target, under its bound, in its format; the clip itself is as it was."""
    project.write(
        Kind.AUDIO,
        {"id": "hello", "text": "Hello and welcome to this test."},
        renditions={"web": {"format": "mp3"}, "radio": {"format": "wav", "loudness_lufs": -23}},
    )
    project.sync()
    project.run(Kind.AUDIO, "hello")
    assert _render(project, Kind.AUDIO, "hello").success
    rows = _rows(Kind.AUDIO, "hello")
    for name, target in (("web", -16), ("radio", -23)):
        found = measure(_path(rows[name]))
        assert found.true_peak_dbtp <= -1
        assert found.integrated_lufs == pytest.approx(target, abs=0.5) or rows[name].note
        assert rows[name].loudness_lufs == pytest.approx(found.integrated_lufs, abs=0.01)
    shown = _metadata(project, dg.AssetKey("audio_rendition"), "hello")
    assert shown["true_peak_dbtp"] <= -1
    assert "data:image/webp;base64," in shown["preview"]


def test_a_clip_asks_for_its_renditions_and_an_edit_alone_does_not(project: Project) -> None:
    """Automation renders what landed, at once for all of it; an edit has no clip to render yet."""
    project.write(Kind.IMAGE, *_prompts("ash", "birch"), renditions=SMALL)
    project.sync()

    def wanted(cursor: Any) -> tuple[set[str | None], Any]:  # noqa: ANN401 -- Dagster's cursor
        result = dg.evaluate_automation_conditions(
            project.defs,
            project.instance,
            asset_selection=dg.AssetSelection.assets("image_rendition"),
            cursor=cursor,
        )
        return set(result.get_requested_partitions(RENDITIONS)), result.cursor

    found, cursor = wanted(None)
    assert found == set()
    project.run(Kind.IMAGE, span=("ash", "birch"))
    found, cursor = wanted(cursor)
    assert found == {"ash", "birch"}
    _render(project, Kind.IMAGE, span=("ash", "birch"))
    found, cursor = wanted(cursor)
    assert found == set()
    edited = _prompts("ash", "birch")
    edited[0]["text"] += ", at dusk"
    project.write(Kind.IMAGE, *edited, renditions=SMALL)
    project.sync()
    found, _ = wanted(cursor)
    assert found == set()
