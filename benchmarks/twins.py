"""Let two machines of one name want the same clips at the same time: each is paid for once.

They are process namespaces on this machine, each with a worker as its process 1; that takes root.
Once on SQLite and once on a real Postgres.
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from asset_pipeline_tests.support.crash.site import open_site
from asset_pipeline_tests.support.crash.two_machines import let_twins_meet, why_not
from asset_pipeline_tests.support.postgres import new_database, running_postgres


def main(arguments: Sequence[str]) -> int:
    """Run on both databases and print the figures; 0 when nothing was paid twice."""
    parser = argparse.ArgumentParser(prog="twins", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    given = parser.parse_args(arguments)
    if reason := why_not():
        print(f"Not run: {reason}.")
        return 2
    results = [_round(database, given.rounds) for database in ("sqlite", "postgres")]
    return 0 if all(results) else 1


def _round(database: str, rounds: int) -> bool:
    started = time.monotonic()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="twins-")))
        url = None
        if database == "postgres":
            server = stack.enter_context(running_postgres())
            url = new_database(server).get_secret_value()
        site = stack.enter_context(open_site(folder / "site", predict="0.05", ledger_url=url))
        met = let_twins_meet(site, rounds)
    books = met.books
    print(f"{database}: {time.monotonic() - started:.0f} s")
    print(f"  {met.landed_twice} of {rounds} clips reported by both, {books.posts} creates on the")
    print(f"  wire, {books.paid} paid for, {books.clips} clips, {len(books.flaws)} flaws")
    for flaw in books.flaws:
        print(f"  ! {flaw}")
    return met.are_fine
