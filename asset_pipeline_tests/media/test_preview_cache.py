"""The shelf of previews: drawn once, and drawn again when what is kept is damaged."""

from __future__ import annotations

from pathlib import Path

import pytest

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.media.preview_cache import PreviewCache
from asset_pipeline.media.probe import examine
from asset_pipeline_tests.support import media_samples


def test_a_preview_is_drawn_once(tmp_path: Path) -> None:
    """What was drawn is what the shelf gives back, even when the clip is gone."""
    shelf = PreviewCache(tmp_path / "previews")
    clip = media_samples.written(tmp_path, media_samples.picture_bytes("png"))
    examined = examine(clip, Kind.IMAGE)
    assert shelf.get(examined.info.sha256) is None
    preview = shelf.make(clip, examined)
    clip.unlink()
    assert shelf.get(examined.info.sha256) == preview == shelf.make(clip, examined)


@pytest.mark.parametrize("kept", [0, 7, 100, -1, -200])
def test_a_damaged_preview_is_drawn_again(tmp_path: Path, kept: int) -> None:
    """A power cut may leave a preview empty or short: it counts as missing."""
    shelf = PreviewCache(tmp_path / "previews")
    clip = media_samples.written(tmp_path, media_samples.picture_bytes("png"))
    examined = examine(clip, Kind.IMAGE)
    preview = shelf.make(clip, examined)
    (file,) = (tmp_path / "previews").glob("*/*.webp")
    whole = file.read_bytes()
    file.write_bytes(whole[:kept])
    assert shelf.get(examined.info.sha256) is None
    assert shelf.make(clip, examined) == preview
    assert file.read_bytes() == whole
