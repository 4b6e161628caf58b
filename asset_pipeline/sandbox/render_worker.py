"""The process that draws and speaks, so that the server's event loop never waits for either.

It reads one job a line from standard input and answers with one line each; when its server is
gone, its input ends and so does it.
"""

from __future__ import annotations

import json
import secrets
import sys
from pathlib import Path
from typing import Any, cast

from asset_pipeline.files import make_private_folder, open_private

_LONGEST_ERROR = 500


def main() -> None:
    """Work through the jobs."""
    answers = sys.stdout
    sys.stdout = sys.stderr  # nothing but answers may go down the pipe
    for line in sys.stdin:
        job = cast("dict[str, Any]", json.loads(line))
        answer: dict[str, object] = {"number": job["number"]}
        try:
            answer["seconds"] = _work(job)
        except Exception as error:  # noqa: BLE001 -- a job that fails is answered, not fatal
            # An error may quote a whole prompt, and the server reads lines of 64 kB at most.
            answer["again"] = isinstance(
                error, OSError | MemoryError
            )  # of the machine, not the job
            answer["error"] = f"{type(error).__name__}: {error}"[:_LONGEST_ERROR]
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _work(job: dict[str, Any]) -> float | None:
    """Render one file; returns a sound's seconds."""
    path, seconds = Path(job["path"]), None
    if job["kind"] == "image":
        # A worker that only draws never loads the voice, one that only speaks never Pillow.
        from asset_pipeline.sandbox.drawing.picture import PictureRequest, picture  # noqa: PLC0415

        content = picture(PictureRequest(**job["request"]))
    else:
        from asset_pipeline.sandbox.speech import SoundRequest, sound  # noqa: PLC0415

        content, seconds = sound(SoundRequest(**job["request"]))
    _write(path, content)
    return seconds


def _write(path: Path, content: bytes) -> None:
    # Whole or not at all, but not synced to disk: what a power cut takes can be drawn again.
    make_private_folder(path.parent)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    with open_private(temporary) as file:
        file.write(content)
    temporary.replace(path)


if __name__ == "__main__":
    main()
