"""What the product keeps for itself is its owner's alone, whatever the umask."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from asset_pipeline.files import (
    atomic_path,
    keep_private,
    make_private_file,
    make_private_folder,
    open_private,
)
from asset_pipeline.ledger.engine import open_engine
from asset_pipeline.ledger.provider_ledger import open_own_engine
from asset_pipeline.sandbox.state import State
from asset_pipeline.settings import load_settings


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(params=[0o000, 0o022, 0o077], ids=["open", "usual", "closed"])
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    """A umask of the process."""
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.mark.usefixtures("umask")
def test_new_files_and_folders(tmp_path: Path) -> None:
    """Folders are 0700 at every level that was made, files 0600, those renamed in as well."""
    folder = tmp_path / "a" / "b"
    make_private_folder(folder)
    make_private_file(folder / "file")
    open_private(folder / "written").close()
    with atomic_path(folder / "c" / "renamed", private=True) as temporary:
        temporary.write_text("x")
    assert [_mode(each) for each in (tmp_path / "a", folder, folder / "c")] == [0o700] * 3
    files = (folder / "file", folder / "written", folder / "c" / "renamed")
    assert [_mode(each) for each in files] == [0o600] * 3


@pytest.mark.usefixtures("umask")
def test_ledger_and_its_log(tmp_path: Path) -> None:
    """The ledger and its write-ahead log are 0600 from their first byte, their folder 0700."""
    path = tmp_path / "data" / "ledger.db"
    engine = open_engine(SecretStr(f"sqlite:///{path}"))
    with engine.begin():
        assert [_mode(each) for each in sorted(path.parent.iterdir())] == [0o600] * 3
    engine.dispose()
    assert _mode(path.parent) == 0o700


@pytest.mark.usefixtures("umask")
def test_sandbox_state(tmp_path: Path) -> None:
    """The sandbox's memory holds prompts and a signing secret."""
    state = State(tmp_path / "sandbox")
    assert {_mode(each) for each in state.state_dir.iterdir()} == {0o600}
    assert _mode(state.state_dir) == 0o700


def test_old_ones_are_mended_on_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an earlier release left open to others is closed when the ledger is opened."""
    monkeypatch.setenv("ASSET_PIPELINE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.delenv("ASSET_PIPELINE_LEDGER_URL", raising=False)
    data = tmp_path / "data"
    ours = [data / name for name in ("ledger.db.before-x", "warehouse.sandbox.duckdb")]
    ours += [data / name / "x" for name in ("logs", "scratch", "previews", "sandbox")]
    theirs = [data / "notes.txt", tmp_path / "elsewhere.txt"]
    for path in ours + theirs:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
        path.chmod(0o664)
        path.parent.chmod(0o755)
    link = data / "logs" / "link"
    link.symlink_to(tmp_path / "elsewhere.txt")
    open_own_engine(load_settings()).dispose()
    assert [_mode(each) for each in ours] == [0o600] * len(ours)
    assert {_mode(each.parent) for each in ours} == {0o700}
    assert [_mode(each) for each in theirs] == [0o664] * 2
    assert _mode(tmp_path) == 0o755


def test_what_is_shared_stays_shared(tmp_path: Path) -> None:
    """A folder such as /tmp, a link and what is not there are left alone."""
    shared = tmp_path / "tmp"
    shared.mkdir()
    shared.chmod(0o1777)
    (tmp_path / "file").touch(mode=0o644)
    (tmp_path / "link").symlink_to(tmp_path / "file")
    keep_private(shared, tmp_path / "link", tmp_path / "missing")
    assert _mode(shared) == 0o1777
    assert _mode(tmp_path / "file") == 0o644
    make_private_folder(shared / "ours")
    assert (_mode(shared), _mode(shared / "ours")) == (0o1777, 0o700)
