"""A decoder that dies of as many files as the file ``deaths`` beside its previews says."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from asset_pipeline.generation import decoder

if __name__ == "__main__":
    deaths = Path(sys.argv[1]) / "deaths"
    left = int(deaths.read_text())
    if left > 0:
        sys.stdout.buffer.write(decoder.READY)
        sys.stdout.buffer.flush()
        sys.stdin.buffer.readline()
        deaths.write_text(str(left - 1))
        os.kill(os.getpid(), signal.SIGKILL)
    decoder.main()
