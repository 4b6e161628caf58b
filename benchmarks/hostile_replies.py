"""Thousands of odd replies of a provider, and paid calls beside them on SQLite and Postgres.

Each group runs in a process of its own, whose memory is measured together with that of the server
that it talks to. Nothing may be raised but errors of ours, no question may take longer than ten
seconds, every prompt without an odd reply must land, and nothing may be paid twice.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from asset_pipeline_tests.support.hostile_talks import (
    LONGEST_SECONDS,
    MOST_MEGABYTES,
    Figures,
    pay,
    talk,
)
from asset_pipeline_tests.support.postgres import new_database, running_postgres

_HUGE = 20


def main(arguments: Sequence[str]) -> int:
    """Print the figures of each group; 0 when nothing is wrong."""
    parser = argparse.ArgumentParser(prog="hostile_replies", description=__doc__)
    parser.add_argument("--replies", type=int, default=2000)
    parser.add_argument("--paid", type=int, default=320, help="odd replies on each database")
    parser.add_argument("--seed", type=int, default=20261128)
    given = parser.parse_args(arguments)
    fine = _show("questions", _apart(talk, given.replies, given.seed, _HUGE))
    with tempfile.TemporaryDirectory(prefix="hostile-") as name:
        folder = Path(name)
        url = f"sqlite:///{folder / 'ledger.db'}"
        fine &= _show("paid, sqlite", _apart(pay, folder, url, given.paid, given.seed))
    with (
        tempfile.TemporaryDirectory(prefix="hostile-") as name,
        running_postgres() as server,
    ):
        url = new_database(server).get_secret_value()
        fine &= _show("paid, postgres", _apart(pay, Path(name), url, given.paid, given.seed))
    return 0 if fine else 1


def _apart(work: Callable[..., Figures], *arguments: object) -> Figures:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(work, *arguments).result()


def _show(title: str, figures: Figures) -> bool:
    print(f"\n{title}: {figures.replies} odd replies", flush=True)
    print(f"  longest      {figures.longest:.1f} s")
    print(f"  memory       {figures.megabytes:.0f} MB")
    if figures.batches:
        print(f"  landed       {figures.landed}, in {figures.batches} batches")
        print(f"  did not      {figures.failed}")
    print(f"  flaws        {len(figures.flaws)}")
    for flaw in figures.flaws:
        print(f"  ! {flaw}")
    within = figures.longest < LONGEST_SECONDS and figures.megabytes < MOST_MEGABYTES
    return within and not figures.flaws
