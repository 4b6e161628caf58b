"""A process that decodes: ``python -m asset_pipeline.media.decoder_process`` and three words.

They are FOLDER, MEGABYTES and SECONDS.
The folder is that of kept previews, the numbers bound memory and computing. The process says that
it is ready, reads a JSON line for each file, ``{"path": ..., "kind": ..., "mend": ...}``, and
answers with one. It ends when its input does, so it never outlives the process that started it,
however that one dies. What a file may take of the machine is bounded before one is opened.
"""

from __future__ import annotations

import base64
import contextlib
import errno
import json
import os
import resource
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.media.bad_media import BadMediaError, BadMediaReason
from asset_pipeline.media.header_repair import mend
from asset_pipeline.media.preview_cache import PreviewCache
from asset_pipeline.media.probe import examine

READY = b"ready\n"
"""The first line: from here on, what ends the process is the file that it was given."""

_NICENESS = 10
_LONGEST_SAID = 300


def main() -> None:
    """Answer until the input ends."""
    # Sending what is to be paid for next goes before looking at what has been paid for.
    os.nice(_NICENESS)
    shelf = PreviewCache(Path(sys.argv[1]))
    megabytes, seconds = int(sys.argv[2]), int(sys.argv[3])
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_AS, megabytes * 1024**2)
    try:
        _say(READY)
        for line in sys.stdin.buffer:
            job = json.loads(line)
            # The system counts from the process's start, and files are counted one by one.
            _limit(resource.RLIMIT_CPU, int(_used()) + 1 + seconds)
            answer = _answer(shelf, Path(job["path"]), Kind(job["kind"]), mending=job["mend"])
            _say(json.dumps(answer).encode() + b"\n")
    except BrokenPipeError:
        # Nobody is left to answer to; the interpreter's own end would try once more, and complain.
        os._exit(0)


def _limit(what: int, most: int) -> None:
    """Set a limit that can be raised again; where a platform has none there is none."""
    with contextlib.suppress(ValueError, OSError):
        hard = resource.getrlimit(what)[1]
        lower = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (lower, hard))


def _used() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _say(line: bytes) -> None:
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()


def _answer(shelf: PreviewCache, path: Path, kind: Kind, *, mending: bool) -> dict[str, Any]:
    try:
        received = mend(path, kind) if mending else None
        examined = examine(path, kind)
        preview = shelf.make(path, examined)
    except BadMediaError as error:
        return {"bad": [error.message, error.reason]}
    except Exception as error:  # noqa: BLE001 -- whatever a codec raises is said of its file alone
        return _failed(path, error)
    return {
        "received": received,
        "info": asdict(examined.info),
        "preview": base64.b64encode(preview.webp).decode(),
        "thumbnail": base64.b64encode(preview.thumbnail).decode(),
    }


def _failed(path: Path, error: Exception) -> dict[str, Any]:
    number = error.errno if isinstance(error, OSError) else None
    if isinstance(error, MemoryError) or number == errno.ENOMEM:
        message = f"{path.name} takes too much memory to decode."
        return {"bad": [message, BadMediaReason.TOO_LARGE]}
    if number is not None:
        return {"system": [number, os.strerror(number)]}
    # An OSError without a number is a codec's.
    said = f"{type(error).__name__}: {error}"[:_LONGEST_SAID]
    return {"bad": [f"{path.name} cannot be decoded: {said}.", BadMediaReason.UNDECODABLE]}


if __name__ == "__main__":
    main()
