"""Which process this is, and whether another one still runs.

A host name and a process id say little: containers with a fixed host name, and machines that were
cloned, have equal ones at the same time. The kernel's boot id tells machines apart, the pid
namespace tells containers on one machine apart. Only where both are ours is a process looked at;
of any other one nothing can be said from here, and whoever asks needs its heartbeat.
"""

from __future__ import annotations

import functools
import os
import re
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil

_PROC = Path("/proc")
_TEXT = re.compile(r"(?P<boot>[^/]*)/(?P<space>[^/]*)/(?P<pid>\d{1,10})@(?P<start>\d+(\.\d+)?)")

# The kernel counts starts in hundredths of a second; other systems' clocks may be set meanwhile.
_SAME_START_ON_LINUX = 0.005
_SAME_START = 1.0


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """One process among all that ever were, on all machines.

    Attributes:
        host: The machine's name, for people and as one more sign of another machine.
        boot_id: Which start of which machine; empty where it is not known.
        pid_namespace: Which numbering of processes there; empty where it is not known.
        pid: Its number in that namespace.
        started: On Linux seconds since the machine's start, which no clock that is set can move;
            elsewhere seconds since 1970. It tells the process from a later one with its number.
    """

    host: str
    boot_id: str
    pid_namespace: str
    pid: int
    started: float

    def runs(self) -> bool | None:
        """Tell whether it runs; None when that can't be told from here."""
        known = self.boot_id and self.pid_namespace
        if not known or (self.host, self.boot_id, self.pid_namespace) != _place():
            return None
        return _runs(self.pid, self.started) if self.pid > 0 else None

    def to_text(self) -> str:
        """Return it as one word, but for the host: ``boot/namespace/pid@start``."""
        return f"{self.boot_id}/{self.pid_namespace}/{self.pid}@{self.started:.2f}"


def this_process() -> ProcessIdentity:
    """Return this process's identity."""
    pid = os.getpid()
    return ProcessIdentity(*_place(), pid, started_of(pid))


def identity_from(host: str, text: str) -> ProcessIdentity | None:
    """Return the identity that :meth:`ProcessIdentity.to_text` wrote; None for anything else."""
    found = _TEXT.fullmatch(text)
    if found is None:
        return None
    return ProcessIdentity(
        host, found["boot"], found["space"], int(found["pid"]), float(found["start"])
    )


def started_of(pid: int) -> float:
    """Return when a process of this machine started, as :class:`ProcessIdentity` counts it.

    Raises:
        psutil.NoSuchProcess: There is none.
    """
    if sys.platform != "linux":
        return psutil.Process(pid).create_time()
    try:
        return _state_and_start(pid)[1]
    except OSError:
        raise psutil.NoSuchProcess(pid) from None


def _place() -> tuple[str, str, str]:
    return socket.gethostname(), _boot_id(), _pid_namespace()


@functools.cache
def _boot_id() -> str:
    if sys.platform == "darwin":
        command = ["/usr/sbin/sysctl", "-n", "kern.bootsessionuuid"]
        try:
            asked = subprocess.run(  # noqa: S603 -- a constant
                command, capture_output=True, check=True, text=True, timeout=5
            )
        except (OSError, subprocess.SubprocessError):
            return ""
        return asked.stdout.strip()
    try:
        return (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _pid_namespace() -> str:
    """Return the namespace that process ids are looked up in here."""
    if sys.platform != "linux":
        return "none"  # there is one numbering for the whole machine
    try:
        # A namespace that still shows its parent's /proc has other numbers there than its own.
        if (_PROC / "self").readlink() != Path(str(os.getpid())):
            return ""
        return str((_PROC / "self/ns/pid").readlink())
    except OSError:
        return ""


def _runs(pid: int, started: float) -> bool | None:
    if sys.platform != "linux":
        return _runs_elsewhere(pid, started)
    try:
        state, start = _state_and_start(pid)
    except OSError:
        return _hidden(pid)
    return state not in "ZXx" and abs(start - started) < _SAME_START_ON_LINUX


def _hidden(pid: int) -> bool | None:
    """Tell that a process is gone, or nothing: /proc may hide those of other users."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return None
    return None


def _runs_elsewhere(pid: int, started: float) -> bool | None:
    try:
        process = psutil.Process(pid)
        same = abs(process.create_time() - started) < _SAME_START
        return same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
    except psutil.Error:
        return None


def _state_and_start(pid: int) -> tuple[str, float]:
    """Return a process's state and its start, in seconds since the machine's."""
    # The name in brackets may hold anything, brackets and spaces too.
    fields = (_PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
    return fields[0], int(fields[19]) / os.sysconf("SC_CLK_TCK")
