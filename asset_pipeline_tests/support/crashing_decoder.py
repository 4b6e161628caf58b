"""A decoder that dies of as many files as the file ``deaths`` beside its previews says."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from asset_pipeline.media import decoder_process

if __name__ == "__main__":
    deaths = Path(sys.argv[1]) / "deaths"
    left = int(deaths.read_text())
    if left > 0:
        sys.stdout.buffer.write(decoder_process.READY)
        sys.stdout.buffer.flush()
        sys.stdin.buffer.readline()
        deaths.write_text(str(left - 1))
        os.kill(os.getpid(), signal.SIGKILL)
    decoder_process.main()
