"""Old leftovers of dead processes go; everything young, finished or foreign stays."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from asset_pipeline.files import atomic_path
from asset_pipeline.generation.temp_files import Swept, sweep, swept_folders
from asset_pipeline.settings import load_settings
from asset_pipeline.stores.local import LocalStore

_NOW = datetime.now(UTC)


def _file(path: Path, age: timedelta, content: bytes = b"half") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    then = (_NOW - age).timestamp()
    os.utime(path, (then, then))
    return path


@pytest.fixture
def folders(clean_environment: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Every place that is swept."""
    monkeypatch.setenv("ASSET_PIPELINE_DATA_DIR", str(clean_environment / "data"))
    settings = load_settings()
    (settings.previews_dir / "ab").mkdir(parents=True)
    return list(swept_folders(settings, LocalStore(clean_environment / "clips")))


def _leftovers(root: Path, age: timedelta) -> list[Path]:
    """One of each kind, as dead processes leave them."""
    data = root / "data"
    return [
        _file(data / "scratch" / f"{'0a' * 16}.part", age),
        _file(data / "scratch" / f"{'0a' * 32}.preview.part", age),
        _file(data / ".warehouse.duckdb.0123456789ab.tmp", age),
        _file(data / ".warehouse.duckdb.0123456789ab.tmp.wal", age),
        _file(data / "gallery" / ".index.html.0123456789ab.tmp", age),
        _file(data / "previews" / "ab" / f".{'ab' * 32}.webp.0123456789ab.tmp", age),
        _file(root / "clips" / ".incoming" / "0123456789abcdef.tmp", age),
    ]


def test_old_leftovers_are_swept_everywhere(clean_environment: Path, folders: list[Path]) -> None:
    """Downloads, half-written tables, pages and previews, and objects on their way in."""
    old = _leftovers(clean_environment, timedelta(minutes=61))
    assert sweep(folders, _NOW, has_ended=lambda _: False) == Swept(files=7, bytes=28)
    assert not any(path.exists() for path in old)
    assert sweep(folders, _NOW, has_ended=lambda _: False) == Swept(0, 0)


def test_young_files_may_have_an_owner(clean_environment: Path, folders: list[Path]) -> None:
    """Nothing younger than an hour is touched."""
    young = _leftovers(clean_environment, timedelta(minutes=59))
    assert sweep(folders, _NOW, has_ended=lambda _: False) == Swept(0, 0)
    assert all(path.exists() for path in young)


def test_whatever_is_not_ours_stays(clean_environment: Path, folders: list[Path]) -> None:
    """Finished files, a user's own, folders and links keep their place at any age."""
    age, data = timedelta(days=30), clean_environment / "data"
    target = _file(clean_environment / "precious", age)
    link = data / "scratch" / f"{'0b' * 16}.part"
    link.parent.mkdir()
    link.symlink_to(target)
    kept = [
        target,
        _file(data / "ledger.db", age),
        _file(data / "warehouse.duckdb", age),
        _file(data / "notes.tmp", age),
        _file(data / ".hidden.tmp", age),
        _file(data / "scratch" / "thesis.part", age),
        _file(data / "previews" / "ab" / f"{'ab' * 32}.webp", age),
        _file(clean_environment / "clips" / "image" / "ab" / f".{'0' * 12}.tmp", age),
        _file(data / "scratch" / f".x.{'0' * 12}.tmp" / "inside", age),
        link,
    ]
    assert sweep(folders, _NOW, has_ended=lambda _: False) == Swept(0, 0)
    assert all(path.exists() for path in kept)


def test_folders_that_are_not_there_are_no_trouble(folders: list[Path]) -> None:
    """The first run of a project finds nothing to sweep."""
    assert sweep(folders, _NOW, has_ended=lambda _: False) == Swept(0, 0)


def test_what_atomic_writing_leaves_is_known(clean_environment: Path, folders: list[Path]) -> None:
    """The names that are swept are those that killed writers really leave."""
    page = clean_environment / "data" / "gallery" / "index.html"
    with atomic_path(page) as temporary:
        temporary.write_bytes(b"the rest never came")
        left = temporary.read_bytes()
        name = temporary.name
    _file(page.with_name(name), timedelta(hours=2), left)
    assert sweep(folders, _NOW, has_ended=lambda _: False).files == 1
    assert page.exists()


def test_a_sweep_is_cheap(clean_environment: Path, folders: list[Path]) -> None:
    """Twenty thousand previews cost well under a second at the start of a session."""
    for number in range(20_000):
        (clean_environment / "data" / "previews" / "ab" / f"{number:064x}.webp").touch()
    started = time.perf_counter()
    sweep(folders, _NOW, has_ended=lambda _: False)
    assert time.perf_counter() - started < 0.5
