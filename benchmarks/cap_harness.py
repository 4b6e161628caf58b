"""Let eight processes spend one cap, killed meanwhile: not a cent more, and not a clip less.

Once on SQLite and once on a real Postgres. The cap fits a third of the work and half a clip more,
so that the last clip it pays for is bought and the next one is refused. Then the same processes
make clips by the second under a cap that pays for all of them and reserves a few at a time: all are
made.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import tempfile
from collections.abc import Generator, Sequence
from pathlib import Path

from asset_pipeline_tests.support.crash.cap_harness import (
    BY_THE_SECOND,
    Sharing,
    Spending,
    share_the_cap,
    spend_to_the_cap,
)
from asset_pipeline_tests.support.crash.site import Site, open_site
from asset_pipeline_tests.support.postgres import new_database, running_postgres


def main(arguments: Sequence[str]) -> int:
    """Run on both databases and print the figures; 0 when nothing is wrong."""
    parser = argparse.ArgumentParser(prog="cap_harness", description=__doc__)
    parser.add_argument("--prompts", type=int, default=300)
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--seed", type=int, default=20261122)
    given = parser.parse_args(arguments)
    print(f"seed {given.seed}, {given.processes} processes, {given.prompts} clips wanted")
    fine = True
    for database in ("sqlite", "postgres"):
        with _site(database) as site:
            spending = spend_to_the_cap(
                site,
                processes=given.processes,
                prompts=given.prompts,
                kills=given.kills,
                dice=random.Random(given.seed),
            )
        _show(database, spending)
        fine &= _is_fine(spending)
        with _site(database, by_the_second=True) as site:
            each = given.prompts // given.processes
            sharing = share_the_cap(site, processes=given.processes, prompts=each, at_once=3)
        _show_sharing(database, sharing)
        fine &= _is_shared(sharing)
    return 0 if fine else 1


@contextlib.contextmanager
def _site(database: str, *, by_the_second: bool = False) -> Generator[Site]:
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cap-harness-")))
        url = None
        if database == "postgres":
            server = stack.enter_context(running_postgres())
            url = new_database(server).get_secret_value()
        config = None
        if by_the_second:
            config = folder
            (folder / "models.yaml").write_text(BY_THE_SECOND)
        yield stack.enter_context(open_site(folder / "site", ledger_url=url, config_dir=config))


def _is_fine(spending: Spending) -> bool:
    books = spending.books
    bought = books.paid == books.clips == spending.affordable
    refused = spending.refusals == spending.processes
    return bought and refused and not books.flaws and books.provider_charged <= spending.cap


def _show(database: str, spending: Spending) -> None:
    books = spending.books
    print(f"\n{database}: {spending.seconds:.0f} s")
    figures = {
        "cap": f"{spending.cap} micro-dollars, {spending.affordable} clips",
        "charged by the provider": f"{books.provider_charged} micro-dollars, {books.paid} clips",
        "charged in the ledger": f"{books.ledger_charged} micro-dollars",
        "clips": books.clips,
        "workers killed": spending.kills,
        "workers refused": f"{spending.refusals} of {spending.processes}",
        "creates on the wire": books.posts,
        "flaws": len(books.flaws),
    }
    for name, value in figures.items():
        print(f"  {name:28} {value}")
    for flaw in books.flaws:
        print(f"  ! {flaw}")


def _is_shared(sharing: Sharing) -> bool:
    books = sharing.books
    made = books.paid == books.clips == sharing.wanted
    within = sharing.most <= sharing.cap
    return made and within and sharing.done == sharing.processes and not books.flaws


def _show_sharing(database: str, sharing: Sharing) -> None:
    books = sharing.books
    print(f"\n{database}, by the second: {sharing.seconds:.0f} s")
    figures = {
        "cap": f"{sharing.cap} micro-dollars, {sharing.at_once} worst cases at a time",
        "most charged and reserved": f"{sharing.most} micro-dollars",
        "charged by the provider": f"{books.provider_charged} micro-dollars",
        "charged in the ledger": f"{books.ledger_charged} micro-dollars",
        "clips": f"{books.clips} of {sharing.wanted}",
        "processes done": f"{sharing.done} of {sharing.processes}",
        "flaws": len(books.flaws),
    }
    for name, value in figures.items():
        print(f"  {name:28} {value}")
    for flaw in books.flaws:
        print(f"  ! {flaw}")
