"""The cap harness: many processes spend from one budget, die, come back, and end refused."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from asset_pipeline.errors import ExitCode
from asset_pipeline.money import micro_usd, to_decimal
from asset_pipeline.prompts.spec import Prompt
from asset_pipeline_tests.crash import lives, workload
from asset_pipeline_tests.crash.books import Books, close_books
from asset_pipeline_tests.crash.site import Site
from asset_pipeline_tests.crash.worker import Job

_PRICE = micro_usd(Decimal("0.003"))

_LONGEST = 600.0


@dataclass(frozen=True)
class Spending:
    """What the processes did with the cap.

    Attributes:
        affordable: How many clips the cap pays for.
        kills: Workers killed; each was started again.
        refusals: Workers that ended because a budget refused them.
        seconds: Wall time.
    """

    cap: int
    affordable: int
    processes: int
    kills: int
    refusals: int
    seconds: float
    books: Books


def spend_to_the_cap(
    site: Site, *, processes: int, prompts: int, kills: int, dice: random.Random
) -> Spending:
    """Let processes spend on the same work, of which the cap fits a third and half a clip.

    Each process goes through the prompts in an order of its own. A killed one is started again at
    once; the others go on until the budget refuses them.
    """
    wanted = [workload.picture(f"cap{number:04}") for number in range(prompts)]
    affordable = prompts // 3
    cap = affordable * _PRICE + _PRICE // 2
    job = site.job(wanted, total_usd=str(to_decimal(cap)), max_in_flight=4)
    started = time.monotonic()
    slots = [_start(job, wanted, dice) for _ in range(processes)]
    done = 0
    while any(not life.ended for life in slots):
        if time.monotonic() - started > _LONGEST:
            for life in slots:
                life.kill()
            raise TimeoutError(f"not refused within {_LONGEST:.0f} s")
        time.sleep(dice.uniform(0.02, 0.3))
        living = [place for place, life in enumerate(slots) if not life.ended]
        if done < kills and living:
            place = dice.choice(living)
            slots[place].kill()
            done += slots[place].killed
            if slots[place].killed:
                slots[place] = _start(job, wanted, dice)
    return Spending(
        cap=cap,
        affordable=affordable,
        processes=processes,
        kills=done,
        refusals=sum(life.exit_code == ExitCode.BUDGET for life in slots),
        seconds=time.monotonic() - started,
        books=close_books(site, wanted, complete=False),
    )


def _start(job: Job, prompts: Sequence[Prompt], dice: random.Random) -> lives.Life:
    order = list(prompts)
    dice.shuffle(order)
    return lives.start(replace(job, prompts=tuple(order)))
