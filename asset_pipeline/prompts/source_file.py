"""The one place where a table from outside is opened: bounded in size, regular files only."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from asset_pipeline.errors import AssetPipelineError

MAX_BYTES = 64 * 2**20
"""The largest table read, in bytes: over 100,000 long prompts."""


def read_source(path: Path) -> bytes:
    """Return all bytes of a table.

    Raises:
        AssetPipelineError: There is no such file, it is no regular file, or it is too large.
    """
    try:
        # Without O_NONBLOCK the opening of a pipe waits for somebody who writes.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise AssetPipelineError(
                    f"{path} is not a regular file.", hint="Save the table as a file first."
                )
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        raise AssetPipelineError(
            f"{path} cannot be read: {reason or error}.",
            hint="Check that it exists and that you may read it.",
        ) from error
    if len(data) > MAX_BYTES:
        raise AssetPipelineError(
            f"{path} is larger than {MAX_BYTES // 2**20} MiB.", hint="Split it into several files."
        )
    return data
