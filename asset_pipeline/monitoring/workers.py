"""What the paying processes of this machine take."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import psutil

from asset_pipeline.ledger.metric_sums import Reading
from asset_pipeline.processes import ProcessIdentity

# As for the ledger itself: six missed beats.
_SILENT: Final = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class WorkerTotals:
    """Sums over the processes that pay.

    Attributes:
        alive: Processes that were heard of lately, on all machines.
        lost: Processes that ended without saying so: killed, or with their machine.
        memory: Resident bytes of those on this machine, together.
        largest: Resident bytes of the largest of them.
        files: Files that they have open.
    """

    alive: int
    lost: int
    memory: int
    largest: int
    files: int


def totals_of(reading: Reading) -> WorkerTotals:
    """Look at the processes that the ledger names; of other machines' only a heartbeat tells."""
    here: set[int] = set()
    elsewhere, lost = 0, 0
    for each in reading.workers:
        process = ProcessIdentity(
            each.host, each.boot_id, each.pid_namespace, each.pid, each.pid_started
        )
        runs = process.runs()
        if runs:
            here.add(each.pid)  # one process may work for several runs
        elif runs is None and reading.at - each.heartbeat_at < _SILENT:
            elsewhere += 1
        else:
            lost += 1
    sizes = [_taken_by(pid) for pid in here]
    memory = [size for size, _ in sizes]
    return WorkerTotals(
        alive=len(here) + elsewhere,
        lost=lost,
        memory=sum(memory),
        largest=max(memory, default=0),
        files=sum(files for _, files in sizes),
    )


def _taken_by(pid: int) -> tuple[int, int]:
    """Return resident bytes and open files of a process; nothing of one that ended meanwhile."""
    try:
        process = psutil.Process(pid)
        return process.memory_info().rss, process.num_fds()
    except psutil.Error:
        return 0, 0
