"""A cache of previews by SHA-256, so that a cache hit needs no decoding."""

from __future__ import annotations

from pathlib import Path

from asset_pipeline.files import write_atomically
from asset_pipeline.media.preview import Preview, draw_preview
from asset_pipeline.media.probe import Examined

_HEAD = 8  # "RIFF" and the length of what follows


class PreviewCache:
    """A folder of previews under 21 kB each, named by the clip's SHA-256.

    A file is the preview with the thumbnail behind it, which WebP viewers ignore.
    It is a cache: everything in it can be made again from the clips.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def make(self, path: Path, examined: Examined) -> Preview:
        """Return the preview of a verified file, drawing and keeping it when it is new."""
        sha256 = examined.info.sha256
        kept = self.get(sha256)
        if kept is not None:
            return kept
        preview = draw_preview(path, examined)
        write_atomically(
            self._path(sha256), preview.webp + preview.thumbnail, durable=False, private=True
        )
        return preview

    def get(self, sha256: str) -> Preview | None:
        """Return the preview of a clip, or None when it has to be made."""
        try:
            kept = self._path(sha256).read_bytes()
        except FileNotFoundError:
            return None
        middle = _length(kept)
        whole = middle > _HEAD and _length(kept[middle:]) == len(kept) - middle > _HEAD
        # A power cut may have emptied or shortened it.
        return Preview(kept[:middle], kept[middle:]) if whole else None

    def _path(self, sha256: str) -> Path:
        return self._folder / sha256[:2] / f"{sha256}.webp"


def _length(webp: bytes) -> int:
    """Return the length that a WebP file's head names."""
    return int.from_bytes(webp[4:_HEAD], "little") + _HEAD
