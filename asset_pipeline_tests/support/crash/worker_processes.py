"""Starting and killing worker processes.

A fresh interpreter needs seconds to import everything, and a kill test wants hundreds of workers:
they are forked from a server process that has done the imports and nothing else.
"""

from __future__ import annotations

import json
import multiprocessing
import signal
import uuid
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from asset_pipeline_tests.support.crash.worker import Job, KillPoint, Summary, live

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["__main__", "asset_pipeline_tests.support.crash.worker"])

# Longer than any life of these tests; a worker that hangs fails its test instead of blocking it.
_LONGEST_LIFE = 60.0


@dataclass
class Life:
    """One worker process, from its start to its end."""

    process: ForkServerProcess
    result: Path

    @property
    def ended(self) -> bool:
        """Whether the process is gone."""
        return self.process.exitcode is not None

    @property
    def killed(self) -> bool:
        """Whether it died by SIGKILL, its own or ours."""
        return self.process.exitcode == -signal.SIGKILL

    @property
    def exit_code(self) -> int | None:
        """Its exit code, None while it lives."""
        return self.process.exitcode

    def wait(self, seconds: float = _LONGEST_LIFE) -> bool:
        """Wait for its end, at most so long; tell whether it ended."""
        self.process.join(seconds)
        return self.ended

    def kill(self) -> None:
        """SIGKILL it, wherever it is, and wait until it is gone."""
        self.process.kill()
        self.process.join(_LONGEST_LIFE)

    def summary(self) -> Summary:
        """What it reported; only a worker that ended by itself does."""
        return Summary(**json.loads(self.result.read_text()))


def start(job: Job, kill: KillPoint | None = None) -> Life:
    """Start a worker process on a job."""
    result = job.folder / f"result-{uuid.uuid4().hex}.json"
    process = _context.Process(target=live, args=(job, kill, result), daemon=True)
    process.start()
    return Life(process, result)


def run(job: Job, kill: KillPoint | None = None) -> Life:
    """Start a worker and wait for its end.

    Raises:
        TimeoutError: It hangs; it has been killed.
    """
    life = start(job, kill)
    if not life.wait():
        life.kill()
        raise TimeoutError(f"a worker did not end within {_LONGEST_LIFE:.0f} s (kill at {kill})")
    return life
