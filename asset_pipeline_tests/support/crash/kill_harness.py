"""The kill harness: start a worker, kill it, start it again, until everything is delivered."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from asset_pipeline.errors import ExitCode
from asset_pipeline_tests.support.crash import worker_processes
from asset_pipeline_tests.support.crash.site import Site
from asset_pipeline_tests.support.crash.worker import Job, KillPoint

# The checkpoints that every undisturbed clip passes, in the order of the paid call.
PLAIN_POINTS = (
    "reserved",
    "submitting",
    "accepted",
    "submitted",
    "ended",
    "charged",
    "verified",
    "noted",
    "stored",
    "delivered",
)
# Those of a clip that a dead worker left behind while its create was on the wire.
RECOVERY_POINTS = ("adopted", "listed", "found")
# Those of refusals, lost replies and failed predictions.
FAULT_POINTS = ("refused", "released", "lost", "unknown", "absent", "failed")

# Lives after the last kill; more than one is needed where the provider fails predictions.
_MOST_LAST_LIVES = 8

# A life that does not come by its checkpoint for so long dies where it is.
_PATIENCE = 5.0

# The share of the prompts that the planned kills bring forth; some more come with the lives that
# end unharmed, and the rest in the last one.
_BROUGHT_BY_KILLS = 0.5
_BROUGHT_BY_LIVES = 0.25

# One clip after the other, so each death meets the clip that the one before it left behind.
SWEEP = (
    "reserved",
    "submitting",  # not sent
    "absent",
    "released",
    "accepted",  # sent, the reply lost with the process
    "listed",
    "found",
    "adopted",
    "ended",
    "charged",
    "verified",
    "noted",
    "stored",
    "delivered",
    "submitted",
    "lost",
    "unknown",
    "refused",
    "failed",
)
_FAULT_OF = {
    "lost": "lost_reply_before",
    "unknown": "lost_reply_after",
    "refused": "rate_limited",
    "failed": "failed",
}

Death = KillPoint | float


@dataclass
class Tally:
    """What the harness did.

    Attributes:
        kills: By the name of the checkpoint, or ``random``.
        starts: Worker processes started.
    """

    kills: Counter[str] = field(default_factory=Counter)
    starts: int = 0


def kill_at_every_point(site: Site, job: Job) -> Tally:
    """Kill a worker at each point of :data:`SWEEP` in turn, then let one live.

    Takes three prompts of two variants, at most one clip in flight.

    Raises:
        AssertionError: A life did not pass its point.
    """
    tally = Tally()
    for name in SWEEP:
        if name in _FAULT_OF:
            site.fault({"fault": _FAULT_OF[name], "times": 1, "params": {"retry_after": 0}})
        life = worker_processes.run(job, KillPoint(name))
        assert life.killed, f"no life passed {name}"
        tally.kills[name] += 1
        tally.starts += 1
    _live(job, None, tally)
    return tally


def _nothing() -> None:
    """Do nothing between two lives."""


def _is_done(life: worker_processes.Life) -> bool:
    return life.exit_code == ExitCode.DONE


def kill_until_done(
    job: Job,
    deaths: Iterator[Death],
    kills: int,
    *,
    between: Callable[[], None] = _nothing,
    is_done: Callable[[worker_processes.Life], bool] = _is_done,
    brought_by_lives: float = _BROUGHT_BY_LIVES,
) -> Tally:
    """Give each worker its death, at a checkpoint or after so many seconds, then let one live.

    The prompts come in little by little, as they would over a day: a worker that lives a second
    too long would else do all the work, and leave nothing to be killed at.

    Args:
        job: With all prompts.
        deaths: One for each life.
        kills: How many workers die.
        between: What happens in the world before each life.
        is_done: Whether the work is done once a life that nobody ended has ended.
        brought_by_lives: Prompts that come in with a life that ends unharmed.
    """
    tally = Tally()
    shown, step = 1.0, _BROUGHT_BY_KILLS * len(job.prompts) / kills
    while tally.kills.total() < kills and shown < len(job.prompts):
        between()
        life = _live(replace(job, prompts=job.prompts[: int(shown)]), next(deaths), tally)
        shown += step if life.killed else brought_by_lives
    for _ in range(_MOST_LAST_LIVES):
        between()
        life = _live(job, None, tally)
        if is_done(life):
            return tally
    raise AssertionError(f"not done after {tally.starts} workers: {life.summary().failures}")


def shuffled(dice: random.Random, points: Sequence[str], *, longest: float) -> Iterator[Death]:
    """Yield deaths without end: every point, at its first to third passing, and as many instants.

    Args:
        dice: Repeats the order and the instants.
        points: Checkpoints to die at.
        longest: The latest instant, in seconds from the very first moment of a process on.
    """
    while True:
        deaths: list[Death] = [KillPoint(name, dice.choice((1, 1, 2, 3))) for name in points]
        deaths += [dice.uniform(0.02, longest) for _ in points]
        dice.shuffle(deaths)
        yield from deaths


def _live(job: Job, death: Death | None, tally: Tally) -> worker_processes.Life:
    tally.starts += 1
    point = death if isinstance(death, KillPoint) else None
    life = worker_processes.start(job, point)
    name = point.name if point is not None else "random"
    limit = death if isinstance(death, float) else _PATIENCE
    if not (life.wait() if death is None else life.wait(limit)):
        name = "random"
        life.kill()
    if life.killed:
        tally.kills[name] += 1
    elif life.exit_code not in set(ExitCode):
        raise AssertionError(f"a worker ended with exit code {life.exit_code}")
    return life
