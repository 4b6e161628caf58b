"""A table from outside: whatever may be imported is opened here, and nowhere else."""

from __future__ import annotations

from pathlib import Path

from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.foreign.files import ForeignFileError, read_file

MAX_BYTES = 64 * 2**20
"""The largest table read, in bytes: over 100,000 long prompts."""


def read_source(path: Path) -> bytes:
    """Return all bytes of a table.

    Raises:
        AssetPipelineError: There is no such file, it is no regular file, or it is too large.
    """
    try:
        return read_file(path, inside=None, most=MAX_BYTES)
    except OSError as error:
        raise AssetPipelineError(
            f"{path} cannot be read: {error.strerror or error}.",
            hint="Check that it exists and that you may read it.",
        ) from error
    except ForeignFileError as error:
        raise AssetPipelineError(
            f"{path} cannot be read: {error.message}", hint=error.hint
        ) from None
