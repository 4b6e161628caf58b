"""A process that decodes: ``python -m asset_pipeline.media.decoder_process PREVIEWS_FOLDER``.

It reads a JSON line for each file, ``{"path": ..., "kind": ..., "mend": ...}``, and answers with
one. It ends when its input does, so it never outlives the process that started it, however that
one dies.
"""

from __future__ import annotations

import base64
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.media.bad_media import BadMediaError
from asset_pipeline.media.header_repair import mend
from asset_pipeline.media.preview_cache import PreviewCache
from asset_pipeline.media.probe import examine

_NICENESS = 10


def main() -> None:
    """Answer until the input ends."""
    # Sending what is to be paid for next goes before looking at what has been paid for.
    os.nice(_NICENESS)
    shelf = PreviewCache(Path(sys.argv[1]))
    for line in sys.stdin.buffer:
        job = json.loads(line)
        answer = _answer(shelf, Path(job["path"]), Kind(job["kind"]), mending=job["mend"])
        sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n")
        sys.stdout.buffer.flush()


def _answer(shelf: PreviewCache, path: Path, kind: Kind, *, mending: bool) -> dict[str, Any]:
    try:
        received = mend(path, kind) if mending else None
        examined = examine(path, kind)
        preview = shelf.make(path, examined)
    except BadMediaError as error:
        return {"bad": [error.message, error.reason]}
    except OSError as error:
        return {"system": [error.errno, error.strerror or str(error)]}
    except Exception as error:  # noqa: BLE001 -- told to the parent, and the next file is awaited
        return {"surprise": f"{type(error).__name__}: {error}"}
    return {
        "received": received,
        "info": asdict(examined.info),
        "preview": base64.b64encode(preview.webp).decode(),
        "thumbnail": base64.b64encode(preview.thumbnail).decode(),
    }


if __name__ == "__main__":
    main()
