"""The kill harness: start a worker, kill it, start it again, until everything is delivered."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from asset_pipeline_tests.crash import lives
from asset_pipeline_tests.crash.worker import Job, KillPoint

# The checkpoints that every undisturbed clip passes, in the order of the paid call.
PLAIN_POINTS = (
    "reserved",
    "submitting",
    "accepted",
    "submitted",
    "ended",
    "charged",
    "stored",
    "delivered",
)
# Those of a clip that a dead worker left behind while its create was on the wire.
RECOVERY_POINTS = ("adopted", "listed", "found")
# Those of refusals, lost replies and failed predictions.
FAULT_POINTS = ("refused", "released", "lost", "unknown", "absent", "failed")

# Lives after the last kill; more than one is needed where the provider fails predictions.
_MOST_LAST_LIVES = 8

Death = KillPoint | float


@dataclass
class Tally:
    """What the harness did.

    Attributes:
        kills: By the name of the checkpoint, or ``random``.
        starts: Worker processes started.
        done: Whether the last worker reported every clip.
    """

    kills: Counter[str] = field(default_factory=Counter)
    starts: int = 0
    done: bool = False


def kill_until_done(job: Job, deaths: Iterable[Death]) -> Tally:
    """Give each worker its death, at a checkpoint or after so many seconds, then let one live.

    A worker that is through before its time comes ends the harness early.
    """
    tally = Tally()
    for death in deaths:
        _live(job, death, tally)
        if tally.done:
            return tally
    for _ in range(_MOST_LAST_LIVES):
        _live(job, None, tally)
        if tally.done:
            return tally
    raise AssertionError(f"not done after {tally.starts} workers")


def at_random(dice: random.Random, kills: int, longest: float) -> Iterator[float]:
    """Yield instants in seconds, from the very first moment of a process on."""
    for _ in range(kills):
        yield dice.uniform(0.02, longest)


def interleaved(dice: random.Random, *deaths: Iterable[Death]) -> list[Death]:
    """Shuffle deaths, repeatably."""
    mixed = [death for group in deaths for death in group]
    dice.shuffle(mixed)
    return mixed


def _live(job: Job, death: Death | None, tally: Tally) -> None:
    tally.starts += 1
    if isinstance(death, float):
        life = lives.start(job)
        if not life.wait(death):
            life.kill()
        name = "random"
    else:
        life = lives.run(job, death)
        name = death.name if death is not None else ""
    if life.killed:
        tally.kills[name] += 1
    elif life.exit_code in {0, 1}:
        tally.done = not life.summary().failures
    else:
        raise AssertionError(f"a worker ended with exit code {life.exit_code}")
