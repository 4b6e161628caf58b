"""Files on their way, named so that a sweep knows those that a killed process left."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Generator
from pathlib import Path


@contextlib.contextmanager
def scratch_file(folder: Path) -> Generator[Path]:
    """Yield the path of a file of one's own in a folder, and remove the file at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{uuid.uuid4().hex}.part"
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)
