"""Temporary files, named so that a sweep finds those of killed processes."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Generator
from pathlib import Path

from asset_pipeline.files import make_private_folder


@contextlib.contextmanager
def scratch_file(folder: Path) -> Generator[Path]:
    """Yield the path of a file of one's own in a folder, and remove the file at the end."""
    make_private_folder(folder)
    path = folder / f"{uuid.uuid4().hex}.part"
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)
