from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from asset_pipeline.errors import ConfigurationError
from asset_pipeline.stores.factory import open_store
from asset_pipeline.stores.local import LocalStore


@pytest.mark.parametrize("form", ["{folder}", "file://{folder}", "file://localhost{folder}"])
def test_a_folder(tmp_path: Path, form: str) -> None:
    """A path and a file URL open the same folder, and opening makes nothing."""
    folder = tmp_path / "my clips"
    store = open_store(
        form.format(folder=str(folder).replace(" ", "%20" if "://" in form else " "))
    )
    assert isinstance(store, LocalStore)
    assert store.root == folder
    assert not folder.exists()


def test_the_home_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """``~`` is the home folder, as in a shell."""
    monkeypatch.setenv("HOME", str(tmp_path))
    store = open_store("~/clips")
    assert isinstance(store, LocalStore)
    assert store.root == tmp_path / "clips"


@pytest.mark.parametrize(
    "url",
    ["https://x/y", "", " ", "s3://", "s3://Bucket", "s3://b/../c", "gs://bucket//x", "s3:///x"],
)
def test_what_is_no_store(url: str) -> None:
    """Any other URL is refused with what to set instead."""
    with pytest.raises(ConfigurationError, match="ASSET_PIPELINE_STORE_URL"):
        open_store(url)


@pytest.mark.parametrize("url", ["file://host/path", "file://"])
def test_file_urls_of_other_hosts(url: str) -> None:
    """A file on another host is no local folder."""
    with pytest.raises(ConfigurationError):
        open_store(url)


def test_clouds_are_loaded_for_their_own_urls_alone() -> None:
    """Opening a folder, and what every command imports of stores, loads no cloud's library."""
    script = """
import sys
import asset_pipeline.stores.hardening
from asset_pipeline.stores.factory import bucket_of, open_store
open_store("clips"), bucket_of("s3://clips/studio"), bucket_of("gs://clips")
print(sorted({name.partition(".")[0] for name in sys.modules} & {"boto3", "obstore", "google"}))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
