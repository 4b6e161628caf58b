"""Two machines of one name: workers in process namespaces of their own, on one ledger.

In each the worker is process 1 of a host called ``twin``, as in two containers with a fixed host
name. One has a create on the wire, which a proxy holds back; the other wants the same clip.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Generator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from pydantic import TypeAdapter

from asset_pipeline_tests.support.crash import workload
from asset_pipeline_tests.support.crash.bookkeeping import Books, close_books
from asset_pipeline_tests.support.crash.site import Site
from asset_pipeline_tests.support.crash.worker import Job, Summary, drive, save_job
from asset_pipeline_tests.support.servers.proxy import Proxy, Request, running_proxy

# Twice as long as the workers wait before they call a lost create absent.
_HELD_SECONDS = 4.0
_PATIENCE = 60.0

_NAMESPACES = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--uts"]


def why_not() -> str | None:
    """Return why there can be no twins here; None when there can."""
    if shutil.which("unshare") is None:
        return "two machines on one take util-linux's unshare"
    tried = subprocess.run([*_NAMESPACES, "hostname", "twin"], check=False, capture_output=True)
    return "two machines on one take root: unshare was refused" if tried.returncode else None


@dataclass
class Twin:
    """One of the machines, whose worker does one job after the other."""

    process: subprocess.Popen[str]

    def ask(self, job: Path) -> None:
        """Give it a job."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{job}\n")
        self.process.stdin.flush()

    def answer(self) -> Summary:
        """Return what became of the job."""
        assert self.process.stdout is not None
        return Summary(**json.loads(self.process.stdout.readline()))


@contextlib.contextmanager
def running_twin() -> Generator[Twin]:
    """Start a machine and wait until its worker is ready."""
    worker = (
        f"hostname twin && exec {sys.executable} -m asset_pipeline_tests.support.crash.two_machines"
    )
    process = subprocess.Popen(
        [*_NAMESPACES, "sh", "-c", worker],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n", "the twin did not start"
        yield Twin(process)
    finally:
        process.kill()
        process.communicate()


@dataclass(frozen=True)
class Encounters:
    """What came of letting one twin want what the other was about to get.

    Attributes:
        rounds: How often.
        landed_twice: How often both had the clip in the end.
        books: The accounts after all of it.
    """

    rounds: int
    landed_twice: int
    books: Books

    @property
    def are_fine(self) -> bool:
        """Whether each clip was paid for once, with one create, and reported by both."""
        books = self.books
        counts = {books.posts, books.paid, books.clips, self.landed_twice}
        return counts == {self.rounds} and not books.flaws


def let_twins_meet(site: Site, rounds: int) -> Encounters:
    """Let them meet so often, each time over another clip."""
    prompts = [workload.picture(f"twin-{number}") for number in range(rounds)]
    landed = 0
    with running_proxy(site.url) as proxy, running_twin() as one, running_twin() as other:
        proxy.check = _hold
        for number, prompt in enumerate(prompts):
            path = site.folder / f"job-{number}.json"
            save_job(replace(site.job([prompt]), server=proxy.url), path)
            sent = _creates(proxy)
            one.ask(path)
            _wait_for_create(proxy, sent)
            other.ask(path)
            landed += one.answer().landed == other.answer().landed == 1
    return Encounters(rounds, landed, close_books(site, prompts))


def _hold(request: Request) -> None:
    if request.method == "POST":
        time.sleep(_HELD_SECONDS)


def _creates(proxy: Proxy) -> int:
    return sum(request.method == "POST" for request in proxy.seen)


def _wait_for_create(proxy: Proxy, before: int) -> None:
    limit = time.monotonic() + _PATIENCE
    while _creates(proxy) == before:
        assert time.monotonic() < limit, "nothing was sent"
        time.sleep(0.02)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    """Be a twin's worker: a job's path a line, its summary a line."""
    _say("ready")
    for line in sys.stdin:
        job = TypeAdapter(Job).validate_json(Path(line.strip()).read_bytes())
        _say(json.dumps(asdict(asyncio.run(drive(job)))))


if __name__ == "__main__":
    main()
