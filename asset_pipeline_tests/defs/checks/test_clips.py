"""The asset checks of clips, on real files in a real store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import dagster as dg
import pytest
from sqlalchemy import update

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.defs.checks.clips import build_clip_checks
from asset_pipeline.defs.resources.ledger import LedgerResource
from asset_pipeline.ledger.records import Clip
from asset_pipeline.ledger.schema import clips
from asset_pipeline.stores.local import LocalStore
from asset_pipeline_tests.support.project import Project

ERROR, WARN = dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN
TREES = ({"id": "ash", "text": "An ash tree"}, {"id": "elm", "text": "An elm"})


def _evaluate(
    project: Project,
    kind: Kind = Kind.IMAGE,
    only: str | None = None,
    **config: Any,  # noqa: ANN401 -- run config
) -> Mapping[str, dg.AssetCheckEvaluation]:
    """Run a kind's checks as the follow-up sensor does: in a run of their own."""
    keys = {key for key in build_clip_checks(kind).check_keys if only in {None, key.name}}
    job = dg.define_asset_job("check", dg.AssetSelection.checks(*keys))
    defs = dg.Definitions.merge(project.defs, dg.Definitions(jobs=[job]))
    result = defs.resolve_job_def("check").execute_in_process(
        instance=project.instance,
        run_config={"ops": {f"{kind}_clip_checks": {"config": config}}},
    )
    return {each.check_name: each for each in result.get_asset_check_evaluations()}


def _clip(prompt_id: str, kind: Kind = Kind.IMAGE) -> Clip:
    with LedgerResource().open() as ledger:
        return ledger.current_clips_of(kind, prompt_id)[0]


def _path(clip: Clip) -> Path:
    return Path(urlsplit(clip.object_uri).path)


def _damage(clip: Clip) -> None:
    path = _path(clip)
    path.chmod(0o644)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(bytes(content))


def _rewrite(of_prompt: str, **columns: Any) -> None:  # noqa: ANN401 -- columns of the ledger
    """Make the ledger say something else of a clip than is so."""
    with LedgerResource().open() as ledger, ledger.engine.begin() as connection:
        connection.execute(update(clips).where(clips.c.prompt_id == of_prompt).values(**columns))


def _flaws(evaluation: dg.AssetCheckEvaluation) -> str:
    return str(evaluation.metadata["flaws"].value)


@pytest.fixture
def read_keys(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The keys that are read from the store, in order."""
    read: list[str] = []
    original = LocalStore.read

    def counted(self: LocalStore, key: str) -> Iterator[bytes]:
        read.append(key)
        return original(self, key)

    monkeypatch.setattr(LocalStore, "read", counted)
    return read


@pytest.fixture
def trees(project: Project) -> Project:
    """Two pictures, landed."""
    project.write(Kind.IMAGE, *TREES)
    project.sync()
    project.run(Kind.IMAGE, span=("ash", "elm"))
    return project


def test_what_is_as_it_should_be_passes(trees: Project, read_keys: list[str]) -> None:
    """All seven checks pass, and fed all of them by reading each file once."""
    found = _evaluate(trees)
    assert {name for name, each in found.items() if each.passed} == {
        "stored_files_are_whole",
        "clips_decode",
        "clips_show_or_sound",
        "size_is_as_asked",
        "cost_is_in_band",
        "variants_differ",
        "ledger_and_event_log_agree",
    }
    assert sorted(read_keys) == sorted(_clip(tree).object_key for tree in ("ash", "elm"))


def test_sound_is_checked_too(project: Project) -> None:
    """Audio has all checks but the one that compares pictures."""
    project.write(Kind.AUDIO, {"id": "hello", "text": "Hello and welcome."})
    project.sync()
    project.run(Kind.AUDIO, "hello")
    found = _evaluate(project, Kind.AUDIO)
    assert len(found) == 6
    assert all(each.passed for each in found.values())
    assert found["clips_decode"].metadata["looked_at"].value == 1


def test_damage_and_loss_are_errors_by_name(trees: Project) -> None:
    """A flipped byte and a missing file are named, and no other check speaks of them."""
    _damage(_clip("ash"))
    _path(_clip("elm")).unlink()
    found = _evaluate(trees)
    whole = found["stored_files_are_whole"]
    assert (whole.passed, whole.severity) == (False, ERROR)
    assert "ash, variant 1: it is not the file paid for" in _flaws(whole)
    assert "elm, variant 1: " in _flaws(whole)
    assert whole.description is not None
    assert whole.description.startswith("0 of 2 clips")
    others = [each for name, each in found.items() if name != "stored_files_are_whole"]
    assert all(each.passed for each in others)


def test_only_what_is_new_or_was_wrong_is_read_again(trees: Project, read_keys: list[str]) -> None:
    """An evaluation goes on where the last one ended, and comes back to what it found wrong."""
    _rewrite("ash", created_at=_clip("ash").created_at.replace(year=2020))
    _rewrite("elm", created_at=_clip("elm").created_at.replace(year=2021))
    _damage(_clip("ash"))
    assert not _evaluate(trees)["stored_files_are_whole"].passed
    read_keys.clear()
    assert not _evaluate(trees)["stored_files_are_whole"].passed
    assert read_keys == [_clip("ash").object_key], "it is still wrong, and all else was seen"

    trees.run(Kind.IMAGE, "ash", force=True)
    read_keys.clear()
    assert _evaluate(trees)["stored_files_are_whole"].passed
    assert read_keys == [_clip("ash").object_key], "the new clip, and nothing that was looked at"
    read_keys.clear()
    assert _evaluate(trees, everything=True)["clips_decode"].metadata["looked_at"].value == 2
    assert len(read_keys) == 2


def test_one_check_alone_leaves_the_others_their_clips(
    trees: Project, read_keys: list[str]
) -> None:
    """A person executes one check: the next full evaluation still looks at everything."""
    assert list(_evaluate(trees, only="stored_files_are_whole")) == ["stored_files_are_whole"]
    read_keys.clear()
    assert _evaluate(trees)["size_is_as_asked"].metadata["looked_at"].value == 2
    assert len(read_keys) == 2


def test_another_size_than_asked_is_a_warning(trees: Project) -> None:
    """A picture that is not what its inputs asked for is usable, and named."""
    _rewrite("ash", width=800, height=512)
    found = _evaluate(trees)["size_is_as_asked"]
    assert (found.passed, found.severity) == (False, WARN)
    assert "ash, variant 1" in _flaws(found)
    assert "elm" not in _flaws(found)


def test_a_cost_outside_of_the_models_price_is_a_warning(trees: Project) -> None:
    """Twice the price of a picture is named with what the price allows."""
    _rewrite("ash", cost_microusd=6000)
    found = _evaluate(trees)["cost_is_in_band"]
    assert (found.passed, found.severity) == (False, WARN)
    assert "ash, variant 1: it cost $0.006" in _flaws(found)
    assert "elm" not in _flaws(found)


def test_variants_that_show_the_same_are_a_warning(project: Project) -> None:
    """Two variants of one prompt with the same picture are named, and no other prompt."""
    project.write(Kind.IMAGE, *TREES, variants=2)
    project.sync()
    project.run(Kind.IMAGE, span=("ash", "elm"))
    with LedgerResource().open() as ledger:
        first, second = ledger.current_clips_of(Kind.IMAGE, "ash")
        fields = {
            name: getattr(first, name) for name in ("object_key", "object_uri", "sha256", "bytes")
        }
        with ledger.engine.begin() as connection:
            is_second = clips.c.clip_id == second.clip_id
            connection.execute(update(clips).where(is_second).values(**fields))
    found = _evaluate(project)["variants_differ"]
    assert (found.passed, found.severity) == (False, WARN)
    assert "ash, variant 2: it shows the same as variant 1 (0 of 128 bits)" in _flaws(found)
    assert "elm" not in _flaws(found)


def test_ledger_and_event_log_are_held_against_each_other(trees: Project) -> None:
    """Other clips than were shown are an error; clips that were never shown are a warning."""
    old = _clip("ash").created_at.replace(year=2020)
    _rewrite("ash", sha256="ab" * 32, created_at=old)
    found = _evaluate(trees)["ledger_and_event_log_agree"]
    assert (found.passed, found.severity) == (False, ERROR)
    assert "ash: shows other clips than the ledger has" in _flaws(found)
    assert "elm" not in _flaws(found)

    _rewrite("ash", prompt_id="gone", sha256="cd" * 32)
    found = _evaluate(trees)["ledger_and_event_log_agree"]
    assert found.metadata["differing"].value == 1, "ash is shown and the ledger has none"
    assert "gone: materialize it" in _flaws(found)


def test_a_clip_that_landed_just_now_is_not_blamed(trees: Project) -> None:
    """The ledger knows of a clip a moment before Dagster does; that is no disagreement."""
    _rewrite("ash", sha256="ab" * 32)
    assert _evaluate(trees)["ledger_and_event_log_agree"].passed


def test_all_checks_are_asked_for_once_a_batch_has_ended(trees: Project) -> None:
    """They follow what landed by automation, in one run, and not the batch step itself."""
    keys = {
        dg.AssetCheckKey(dg.AssetKey("image"), name)
        for name in ("stored_files_are_whole", "variants_differ", "ledger_and_event_log_agree")
    }
    selection = dg.AssetSelection.checks(*keys)
    first = dg.evaluate_automation_conditions(trees.defs, trees.instance, asset_selection=selection)
    trees.run(Kind.IMAGE, "ash", force=True)
    second = dg.evaluate_automation_conditions(
        trees.defs, trees.instance, asset_selection=selection, cursor=first.cursor
    )
    assert second.total_requested == len(keys)
    third = dg.evaluate_automation_conditions(
        trees.defs, trees.instance, asset_selection=selection, cursor=second.cursor
    )
    assert third.total_requested == 0
