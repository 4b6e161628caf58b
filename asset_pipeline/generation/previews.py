"""Small pictures of clips, kept by content so that a cache hit costs no decoding."""

from __future__ import annotations

from pathlib import Path

from asset_pipeline.files import write_atomically
from asset_pipeline.media.preview import preview_webp
from asset_pipeline.media.probe import Examined

_HEAD = 8  # "RIFF" and the length of what follows


class PreviewShelf:
    """A folder of webp previews under 20 kB each, named by the clip's SHA-256.

    It is a cache: everything in it can be made again from the clips.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def make(self, path: Path, examined: Examined) -> bytes:
        """Return the preview of a verified file, drawing and keeping it when it is new."""
        sha256 = examined.info.sha256
        kept = self.get(sha256)
        if kept is not None:
            return kept
        preview = preview_webp(path, examined)
        write_atomically(self._path(sha256), preview, durable=False)
        return preview

    def get(self, sha256: str) -> bytes | None:
        """Return the preview of a clip, or None when it has to be made."""
        try:
            preview = self._path(sha256).read_bytes()
        except FileNotFoundError:
            return None
        return preview if _is_whole(preview) else None

    def _path(self, sha256: str) -> Path:
        return self._folder / sha256[:2] / f"{sha256}.webp"


def _is_whole(webp: bytes) -> bool:
    """Whether a WebP file has the length that its head names; a power cut may have emptied it."""
    return len(webp) > _HEAD and int.from_bytes(webp[4:_HEAD], "little") == len(webp) - _HEAD
