"""Kill real worker processes hundreds of times; then every account must agree to the cent.

First a worker dies at every named point of the paid call, one after the other. Then three rounds on
a hundred prompts: deaths alone; deaths while the provider loses replies, answers 5xx, throttles and
fails predictions; deaths while it shares neither clock nor account nor names with us. In all,
workers die at the named points, at the first to third passing, and at random instants; after the
last kill one worker is let through. What ends as a question for a person, with its money set aside,
is counted by itself.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from asset_pipeline_tests.support.crash import foreign_provider, workload
from asset_pipeline_tests.support.crash.bookkeeping import Books, close_books
from asset_pipeline_tests.support.crash.fault_plan import MIXED
from asset_pipeline_tests.support.crash.kill_harness import (
    FAULT_POINTS,
    PLAIN_POINTS,
    RECOVERY_POINTS,
    Tally,
    kill_at_every_point,
    kill_until_done,
    shuffled,
)
from asset_pipeline_tests.support.crash.site import open_site

_IN_FLIGHT = 6


def main(arguments: Sequence[str]) -> int:
    """Run all rounds and print their figures; 0 when nothing is wrong."""
    parser = argparse.ArgumentParser(prog="kill_harness", description=__doc__)
    parser.add_argument("--prompts", type=int, default=100)
    parser.add_argument("--kills", type=int, default=210, help="in each round")
    parser.add_argument("--seed", type=int, default=20261121)
    parser.add_argument("--foreign", action="store_true", help="only the round of foreign evidence")
    given = parser.parse_args(arguments)
    swept = given.foreign or _sweep()
    print(f"\nseed {given.seed}, {given.prompts} prompts of 2 variants, {_IN_FLIGHT} in flight")
    if given.foreign:
        return 0 if _foreign_round(given.prompts, given.kills, given.seed + 2) else 1
    plain = _round("deaths", given.prompts, given.kills, given.seed, faults=False)
    mixed = _round("deaths and faults", given.prompts, given.kills, given.seed + 1, faults=True)
    strange = _foreign_round(given.prompts, given.kills, given.seed + 2)
    return 0 if swept and plain and mixed and strange else 1


def _sweep() -> bool:
    prompts = [*workload.mixed(2), workload.speech("end", variants=2)]
    started = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="kill-harness-") as folder,
        open_site(Path(folder), predict="0.05") as site,
    ):
        tally = kill_at_every_point(site, site.job(prompts, max_in_flight=1))
        books = close_books(site, prompts)
    _show("every named point", tally, books, time.monotonic() - started)
    return not books.flaws


def _round(title: str, count: int, kills: int, seed: int, *, faults: bool) -> bool:
    prompts = workload.mixed(count)
    started = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="kill-harness-") as folder,
        open_site(Path(folder)) as site,
    ):
        if faults:
            site.fault(*MIXED)
        job = site.job(prompts, max_in_flight=_IN_FLIGHT)
        points = [*PLAIN_POINTS, *RECOVERY_POINTS, *(FAULT_POINTS if faults else ())]
        deaths = shuffled(random.Random(seed), points, longest=0.6)
        tally = kill_until_done(job, deaths, kills)
        books = close_books(site, prompts)
    _show(title, tally, books, time.monotonic() - started)
    return not books.flaws and tally.kills.total() >= kills


def _foreign_round(count: int, kills: int, seed: int) -> bool:
    started = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="kill-harness-") as folder,
        open_site(Path(folder)) as site,
    ):
        tally, books = foreign_provider.kill_among_strangers(
            site, foreign_provider.prompts(count), kills=kills, dice=random.Random(seed)
        )
        print(f"\n  creates of the other account: {site.foreign_posts}")
        for rule in site.rules():
            if rule["fired"]:
                print(f"  {rule['fault']} struck {rule['fired']} times")
    _show("foreign evidence", tally, books, time.monotonic() - started)
    return not books.flaws and tally.kills.total() >= kills


def _show(title: str, tally: Tally, books: Books, seconds: float) -> None:
    print(f"\n{title}: {seconds:.0f} s")
    points = ", ".join(f"{name} {count}" for name, count in sorted(tally.kills.items()))
    figures = {
        "kills": f"{tally.kills.total()} ({points})",
        "workers started": tally.starts,
        "creates on the wire": books.posts,
        "accepted by the provider": books.accepted,
        "charged for by the provider": books.paid,
        "charged by the provider": f"{books.provider_charged} micro-dollars",
        "charged in the ledger": f"{books.ledger_charged} micro-dollars",
        "clips": books.clips,
        "lost clips": books.lost_clips,
        "paid twice": books.paid_twice,
        "accepted and released": books.released,
        "questions for a person": books.questions,
        "partial files": books.partial_files,
        "temporary files left": books.leftovers,
        "flaws": len(books.flaws),
    }
    for name, value in figures.items():
        print(f"  {name:28} {value}")
    for flaw in books.flaws:
        print(f"  ! {flaw}")
