"""The cap harness: many processes spend from one budget, die, come back, and end refused.

Or, at a price by the second, wait for one another's reservations and end with all that was wanted.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from asset_pipeline.errors import ExitCode
from asset_pipeline.money import micro_usd, to_decimal
from asset_pipeline.prompts.spec import Prompt
from asset_pipeline_tests.support.crash import worker_processes, workload
from asset_pipeline_tests.support.crash.bookkeeping import Books, close_books
from asset_pipeline_tests.support.crash.site import Site
from asset_pipeline_tests.support.crash.worker import Job

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


# Reserved for 600 seconds, charged for well under one: $0.585 and less than $0.001 a clip.
_PAID_BY_TIME = "stability-ai/sdxl"
BY_THE_SECOND = f"""\
models:
  {_PAID_BY_TIME}:
    prices:
      - {{unit: predict_second, usd: "0.000975", effective: 2026-01-01, source: the cap harness}}
"""
_WORST = micro_usd(Decimal("0.585"))


@dataclass(frozen=True)
class Sharing:
    """What the processes made under a cap that reserves only a few of their clips at a time.

    Attributes:
        at_once: How many worst cases the cap holds.
        wanted: Clips wanted, each by one process alone.
        done: Processes that ended with all of theirs.
        most: The most that was charged and reserved at any look, in micro-dollars.
        seconds: Wall time.
    """

    cap: int
    at_once: int
    wanted: int
    processes: int
    done: int
    most: int
    seconds: float
    books: Books


def share_the_cap(site: Site, *, processes: int, prompts: int, at_once: int) -> Sharing:
    """Let processes make clips by the second, all of which the cap pays for, few at a time.

    Args:
        site: Opened with :data:`BY_THE_SECOND` as its ``models.yaml``.
        processes: Each with clips of its own, started together.
        prompts: Clips of each.
        at_once: How many worst cases the cap holds; half a one more is left over.
    """
    groups = [
        [
            replace(
                workload.picture(f"share{place:02}x{number:03}"),
                model=_PAID_BY_TIME,
                inputs={"width": 128, "height": 128},
            )
            for number in range(prompts)
        ]
        for place in range(processes)
    ]
    cap = at_once * _WORST + _WORST // 2
    started = time.monotonic()
    jobs = [site.job(group, total_usd=str(to_decimal(cap)), max_in_flight=4) for group in groups]
    workers = [worker_processes.start(job) for job in jobs]
    most = 0
    ledger = jobs[0].open_ledger()
    try:
        while any(not life.ended for life in workers):
            if time.monotonic() - started > _LONGEST:
                for life in workers:
                    life.kill()
                raise TimeoutError(f"not done within {_LONGEST:.0f} s")
            for one in ledger.balances():
                most = max(most, one.charged + one.reserved)
            time.sleep(0.02)
    finally:
        ledger.close()
    wanted = [prompt for group in groups for prompt in group]
    return Sharing(
        cap=cap,
        at_once=at_once,
        wanted=len(wanted),
        processes=processes,
        done=sum(life.exit_code == ExitCode.DONE for life in workers),
        most=most,
        seconds=time.monotonic() - started,
        books=close_books(site, wanted),
    )


def _start(job: Job, prompts: Sequence[Prompt], dice: random.Random) -> worker_processes.Life:
    order = list(prompts)
    dice.shuffle(order)
    return worker_processes.start(replace(job, prompts=tuple(order)))
