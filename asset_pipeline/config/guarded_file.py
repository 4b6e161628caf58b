"""Files that money or deletion goes by: a file that vanishes, is emptied or torn lifts no guard.

Editors empty a file before they write it, and a half of a list of caps is a list of fewer caps. So
a file that has just changed is not taken until it has stood still. One that was in force and is
gone or empty is not taken for "nothing is configured": it blocks, and says so, until somebody puts
it back or writes down that nothing is configured.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

from asset_pipeline.config.yaml_source import CONFIGURATION_BYTES
from asset_pipeline.errors import ConfigurationError
from asset_pipeline.foreign.files import ForeignFileError, read_file

SETTLE_SECONDS = 2.0
"""How long a file must have stood still before what it says is taken."""

# A file that never stands still is read in the end: its content has to be right all the same.
_PATIENCE_SECONDS = 20.0
_LOOK_SECONDS = 0.1

_SAYS_NOTHING = frozenset({"", "---", "...", "null", "~"})

Stamp: TypeAlias = tuple[int, int, int]
"""A file's time of change in nanoseconds, its size and its number on the disk."""


class GuardLostError(ConfigurationError):
    """A file that was in force is gone or empty."""


@dataclass(frozen=True, slots=True)
class InForce:
    """Which file was last in force, and what it said."""

    path: str
    sha256: str


class Memory(Protocol):
    """Remembers for all processes which files are in force."""

    def recall(self, name: str) -> InForce | None:
        """Return which file of this name was last in force, if any was."""
        ...

    def remember(self, name: str, in_force: InForce) -> None:
        """Keep which file of this name is in force now."""
        ...


class GuardedFile:
    """Tells when a file is to be read, and refuses to take its loss for an answer.

    Args:
        path: The file; it need not exist.
        memory: What other processes had in force; None for this process's own alone.
        nothing: What a person writes into it to say that nothing is configured.
    """

    def __init__(self, path: Path, memory: Memory | None = None, *, nothing: str = "{}") -> None:
        self._path = path
        self._memory = memory
        self._nothing = nothing
        self._seen: Stamp | None = None
        self._seen_at = time.monotonic()
        self._taken: Stamp | None = None
        self._is_taken = False
        self._in_force: InForce | None = None

    def has_news(self) -> bool:
        """Tell whether the file is to be read: it is new to this process, and stands still.

        The first look waits for a file that has only just changed; later ones leave it for later.

        Raises:
            GuardLostError: It was in force, and is gone or empty.
            ConfigurationError: It can't be looked at.
        """
        stamp = self._look()
        if self._is_taken and stamp == self._taken:
            return False
        if not self._is_still(stamp):
            if self._is_taken:
                return False
            stamp = self._wait()
        content = self._content() if stamp is not None else b""
        if _says_nothing(content):
            self._check_not_lost(is_there=stamp is not None)
        return True

    def taken(self) -> None:
        """Say that the file was read and is in force from now on."""
        self._taken, self._is_taken = self._seen, True
        content = self._content() if self._seen is not None else b""
        if _says_nothing(content):
            return
        found = InForce(str(self._path), hashlib.sha256(content).hexdigest())
        if self._memory is not None and found != self._memory.recall(self._path.name):
            self._memory.remember(self._path.name, found)
        self._in_force = found

    def _check_not_lost(self, *, is_there: bool) -> None:
        known = self._in_force
        if known is None and self._memory is not None:
            known = self._memory.recall(self._path.name)
        if known is None:
            return
        elsewhere = "" if known.path == str(self._path) else f" as {known.path}"
        state = "is empty" if is_there else "is gone"
        raise GuardLostError(
            f"{self._path} {state}, and {self._path.name} was in force{elsewhere}: nothing is paid "
            "by guesses about what it said.",
            hint=f"Put it back. To go on without it, write {self._nothing} into {self._path}.",
        )

    def _look(self) -> Stamp | None:
        stamp = _stamp(self._path)
        if stamp != self._seen:
            self._seen, self._seen_at = stamp, time.monotonic()
        return stamp

    def _is_still(self, stamp: Stamp | None) -> bool:
        return _is_old(stamp) or time.monotonic() - self._seen_at >= SETTLE_SECONDS

    def _wait(self) -> Stamp | None:
        if self._seen is None and (
            self._memory is None or self._memory.recall(self._path.name) is None
        ):
            return None  # it was never there: nobody is about to write it back
        wait_until_still(self._path)
        return self._look()

    def _content(self) -> bytes:
        try:
            return read_file(self._path, inside=self._path.parent, most=CONFIGURATION_BYTES)
        except OSError as error:
            raise _unreadable(self._path, error) from None
        except ForeignFileError as error:
            message = f"{self._path}: can't be read: {error.message}"
            raise ConfigurationError(message, hint=error.hint) from None


def wait_until_still(path: Path) -> None:
    """Wait until a file has stood still, for a few seconds at most; not for one that is old."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    seen, since = _stamp(path), time.monotonic()
    while not (seen is not None and _is_old(seen)):
        now = time.monotonic()
        if now - since >= SETTLE_SECONDS or now > deadline:
            return
        time.sleep(_LOOK_SECONDS)
        stamp = _stamp(path)
        if stamp != seen:
            seen, since = stamp, time.monotonic()


def _is_old(stamp: Stamp | None) -> bool:
    """Tell whether a file's own time says that it stands still; one in the future says nothing."""
    return stamp is not None and time.time() - stamp[0] / 1e9 >= SETTLE_SECONDS


def _stamp(path: Path) -> Stamp | None:
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise _unreadable(path, error) from None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _unreadable(path: Path, error: OSError) -> ConfigurationError:
    return ConfigurationError(f"{path}: can't be read: {error.strerror or error}.")


def _says_nothing(content: bytes) -> bool:
    """Tell whether there is nothing in a YAML file but comments."""
    text = content.decode(errors="replace").removeprefix("\ufeff")
    lines = (line.strip() for line in text.splitlines())
    said = [line.partition(" #")[0].strip() for line in lines if not line.startswith("#")]
    return all(line in _SAYS_NOTHING for line in said)
